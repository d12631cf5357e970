package forebay

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/forebay-cache/forebay/internal/replica"
	"github.com/forebay-cache/forebay/internal/size"
	"github.com/forebay-cache/forebay/shared"
)

// An entry is a stored answer with its times. Times are nanoseconds since the cache was opened, on
// the monotonic clock. Everything but number is written before the entry is shared. What a hit
// reads stands first, in one cache line.
type entry struct {
	value any
	err   error // "not found", as the load said it; nil otherwise

	// number is the ledger's, as it was before the load began or when the entry was last found valid.
	number      atomic.Uint64
	refreshFrom int64 // until then a hit is a hit: it is fresh, and too early to refresh
	took        time.Duration

	space      *space
	key        string
	tags       []string
	stamp      shared.Stamp
	created    int64
	fresh      int64 // until
	stale      int64 // until: served while a load runs behind
	dead       int64 // until: served when a load fails
	weight     uint32
	fromShared bool // came from the shared tier
	nearOnly   bool // must not go there
	ownLife    bool // its TTL is not the class's
	loaded     bool // by this node: it began to when it was created, less what that took
}

// loadedSince reports whether this node loaded the entry, and began to at a time or later.
func (e *entry) loadedSince(at int64) bool { return e.loaded && e.created-int64(e.took) >= at }

// refreshSpan is how many (beta × load time) before its end an entry may first be refreshed:
// the chance at 16 of them is e^-16, so a hit before it need not draw a number.
const refreshSpan = 16

// A Keep says how an answer is kept where the class does not say it: the result of [KeepBy], and
// what [Fill.Commit] is given. The zero Keep is the class as it is.
type Keep struct {
	TTL          time.Duration // 0: the class's; negative: do not store
	Stale        time.Duration // 0: the class's; negative: off
	StaleIfError time.Duration // 0: the class's; negative: off
	Tags         []string
	NearOnly     bool // not in the shared tier
}

// times sets an entry's times from its class and its Keep.
func (e *entry) times(now int64, k Keep) {
	c := e.space.class.now()
	ttl, stale, onError := orClass(k.TTL, c.TTL), orClass(k.Stale, c.Stale), orClass(k.StaleIfError, c.StaleIfError)
	if c.Strict {
		stale, onError = 0, 0
	}
	if k.TTL == 0 && c.Jitter > 0 {
		ttl -= time.Duration(rand.Float64() * c.Jitter * float64(ttl))
	}
	if e.err != nil {
		ttl, stale, onError = c.NotFound, 0, 0
	}
	e.created, e.ownLife = now, k.TTL != 0
	e.fresh = now + int64(ttl)
	e.stale = e.fresh + int64(stale)
	e.dead = e.fresh + int64(max(stale, onError))
	if ttl == 0 {
		e.stale, e.dead = e.fresh, e.fresh // what is not kept is not there to stand in either
	}
	e.setRefreshFrom()
}

// setRefreshFrom finds until when a hit need not think of a refresh.
func (e *entry) setRefreshFrom() {
	e.refreshFrom = e.fresh
	if beta := e.space.class.now().RefreshAhead; beta > 0 && e.err == nil {
		e.refreshFrom -= int64(refreshSpan * beta * float64(e.took))
	}
}

func orClass(k, class time.Duration) time.Duration {
	switch {
	case k == 0:
		return class
	case k < 0:
		return 0
	}
	return min(k, maxLife)
}

// refreshAhead decides by XFetch whether this caller should load before the entry expires:
// with probability exp(-(time left)/(beta × load time)).
func (e *entry) refreshAhead(now int64) bool {
	gap := -math.Log(1-rand.Float64()) * e.space.class.now().RefreshAhead * float64(e.took)
	return float64(now)+gap >= float64(e.fresh)
}

// A state is what may be done with an entry: by time and by the log.
type state uint8

const (
	isFresh   state = iota
	isAhead         // fresh, and in the span in which XFetch may ask for a load
	isStale         // served while a load runs behind
	isOnError       // served only when a load fails
	isDead
)

func (e *entry) stateAt(now int64, v replica.Verdict) state {
	switch {
	case v == replica.Removed || now >= e.dead:
		return isDead
	case v == replica.Valid && now < e.refreshFrom:
		return isFresh
	case v == replica.Valid && now < e.fresh:
		return isAhead
	case e.err != nil: // "not found" is never served stale
		return isDead
	case v == replica.Expired && e.space.class.now().Strict:
		return isDead
	case now < e.stale && e.stale > e.fresh:
		return isStale
	}
	return isOnError
}

// tierOverhead is what otter keeps for an entry besides key and value: its node, its place in the
// hash table and in the timer wheel. Found by filling the tier and measuring the live heap.
const tierOverhead = 144

// weigh sets what an entry takes in memory: its value, its key and tags, and what the near tier and the entry
// itself cost. Encoded sizes are wrong by up to 3.4 ×.
func (e *entry) weigh(value int) {
	n := tierOverhead + size.Class(int(unsafe.Sizeof(entry{})), true) + size.Class(len(e.key), false) + value
	if len(e.tags) > 0 {
		n += size.Class(cap(e.tags)*int(unsafe.Sizeof("")), true)
		for _, t := range e.tags {
			n += size.Class(len(t), false)
		}
	}
	e.weight = uint32(min(n, math.MaxUint32))
}
