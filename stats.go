package forebay

import (
	"maps"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/forebay-cache/forebay/shared"
)

// Counters are kept where the answer is given, per class. Hits are striped, because they are the
// only ones that all cores add to at full speed.
type counters struct {
	hits      [numTiers]striped
	staleHits atomic.Uint64
	coalesced atomic.Uint64
	bypasses  atomic.Uint64
	misses    [numReasons]atomic.Uint64
	loads     atomic.Uint64
	loading   atomic.Int64
	errors    atomic.Uint64
	saved     atomic.Int64 // nanoseconds, of stale hits and joined loads
	entries   atomic.Int64
	evictions atomic.Uint64
	refused   atomic.Uint64
	kept      atomic.Uint64

	mu        sync.Mutex // guards what follows
	notStored map[string]uint64
}

// maxReasons bounds the reasons that are counted one by one.
const maxReasons = 32

func (c *counters) leftOut(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.notStored == nil {
		c.notStored = map[string]uint64{}
	}
	if _, known := c.notStored[why]; known || len(c.notStored) < maxReasons {
		c.notStored[why]++
	}
}

func (c *counters) init() {
	for i := range c.hits {
		c.hits[i].cells = make([]cell, stripes)
	}
}

// stackShift is the size of the smallest stacks, as a power of two.
const stackShift = 11

// stripes is a power of two, so that masking picks one.
var stripes = 1 << bits.Len(uint(min(64, 4*runtime.GOMAXPROCS(0))-1))

type striped struct{ cells []cell }

// A cell counts hits and the time they saved in one word, because a hit can afford one addition:
// the hits in the lower bits, the microseconds above. What no longer fits is folded into the wide
// sums. A cell has a cache line of its own: two cores that count do not wait for each other.
type cell struct {
	packed atomic.Uint64
	mu     sync.Mutex // guards what follows
	hits   uint64
	saved  time.Duration
	_      [96]byte
}

const (
	hitBits  = 24
	foldWhen = 1<<(hitBits-1) | 1<<63 // half of either part is used
)

func (s *striped) add(saved time.Duration) {
	// Goroutines that run at the same time have stacks in different places, so an address on the
	// stack picks a stripe as well as a random number would, for nothing.
	var here byte
	c := &s.cells[int(uintptr(unsafe.Pointer(&here))>>stackShift)&(len(s.cells)-1)]
	if c.packed.Add(1|uint64(saved/time.Microsecond)<<hitBits)&foldWhen != 0 {
		c.fold()
	}
}

// fold empties the word and returns the sums.
func (c *cell) fold() (hits uint64, saved time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.packed.Swap(0)
	c.hits += v & (1<<hitBits - 1)
	c.saved += time.Duration(v>>hitBits) * time.Microsecond
	return c.hits, c.saved
}

func (s *striped) sum() (n uint64, saved time.Duration) {
	for i := range s.cells {
		h, t := s.cells[i].fold()
		n, saved = n+h, saved+t
	}
	return n, saved
}

// Stats is what a cache has done since it was opened.
type Stats struct {
	Classes []ClassStats // in the order of their declaration
	Near    NearStats
	Shared  *SharedStats // nil: no shared tier is configured
	Log     LogStats
	Mode    Standing
	Nodes   []NodeStats // that share the tier, this one first
	Uptime  time.Duration
}

// A Standing is how a cache stands to its shared tier.
type Standing string

const (
	NearOnly Standing = "near-only" // none is configured
	TwoTier  Standing = "two-tier"
	Degraded Standing = "degraded" // configured, but away, not usable, or unconfirmed
)

// SharedStats is the shared tier, and what the cache does with it.
type SharedStats struct {
	shared.State
	Reads    uint64            // for requests; Lookups counts the canary's too
	Queued   int               // writes that wait behind the requests
	Dropped  uint64            // writes for which there was no room
	Failed   uint64            // writes that the tier refused
	TooLarge uint64            // entries that stay near, because they are larger than [Options.SharedMax]
	Unusable map[string]uint64 // values that could not be used, by reason: each was a miss
	Lost     map[string]string // functions whose values do not survive the codec, and the first difference
	Others   map[string]string // functions under whose name somebody else writes values of another form
	Deferred int64             // invalidations that wait for the log
	Canary   string            // why the entry that goes the whole way every few seconds did not come through; "" if it does
}

// ClassStats is what happened in one class. A request is exactly one of hit, stale hit, coalesced,
// miss and bypass; a refresh behind an answer is a load and nothing else.
type ClassStats struct {
	Class
	NearHits     uint64
	SharedHits   uint64
	StaleHits    uint64            // served past their TTL
	Coalesced    uint64            // took the answer of a load that another request had begun
	Misses       uint64            // waited for a load of their own
	MissesBy     map[Reason]uint64 // the same by reason
	Bypasses     uint64            // were not looked up at all
	Loads        uint64
	Loading      int64 // loads that run now
	LoadErrors   uint64
	LoadsRefused uint64        // MaxLoads were running
	Saved        time.Duration // the loads' own durations that hits, stale hits and joins did not wait for
	Entries      int64         // in the near tier
	Evictions    uint64
	Stored       uint64            // answers
	NotStored    map[string]uint64 // answers, by why they were not
}

// Hits is the sum over the tiers.
func (s ClassStats) Hits() uint64 { return s.NearHits + s.SharedHits }

// HitRate is (hits + stale hits + coalesced) / (those + misses); false before the first look-up.
func (s ClassStats) HitRate() (float64, bool) {
	good := s.Hits() + s.StaleHits + s.Coalesced
	if good+s.Misses == 0 {
		return 0, false
	}
	return float64(good) / float64(good+s.Misses), true
}

// NearStats is the state of the near tier.
type NearStats struct {
	Entries   int64
	Bytes     uint64
	MaxBytes  uint64
	Evictions uint64
}

// LogStats is how this node stands to the log.
type LogStats struct {
	Head       shared.Stamp
	Floor      shared.ID
	Lag        time.Duration // since the latest check of the log was sent
	Confirmed  bool
	Targets    int    // held in the ledger
	Unreadable uint64 // records that this node could not read or did not trust: each removed everything
}

// Stats returns what the cache has done so far. The counters are read one after the other, while
// requests go on.
func (c *Cache) Stats() Stats {
	s := Stats{Uptime: time.Since(c.opened), Log: LogStats(c.replica.Stats()), Mode: NearOnly}
	if c.shared != nil {
		s.Shared = c.sharedStats()
		s.Mode = c.standing(s.Shared)
	}
	s.Nodes = append([]NodeStats{{Name: c.options.Node}}, c.neighbours.alive()...)
	c.mu.RLock()
	for _, name := range c.order {
		s.Classes = append(s.Classes, c.classes[name].stats())
	}
	c.mu.RUnlock()
	s.Near = NearStats{Bytes: c.near.tier.WeightedSize(), MaxBytes: c.near.bytes}
	for _, k := range s.Classes {
		s.Near.Entries += k.Entries
		s.Near.Evictions += k.Evictions
	}
	return s
}

func (c *Cache) sharedStats() *SharedStats {
	t := c.shared
	s := &SharedStats{State: t.State(), Reads: t.reads.Load(), Queued: t.queued(), Dropped: t.dropped.Load(), Failed: t.failed.Load(), TooLarge: t.large.Load(),
		Deferred: c.replica.Deferred(), Lost: map[string]string{}, Others: c.census.said(t.Clock()), Canary: c.canary.state()}
	t.mu.Lock()
	s.Unusable = maps.Clone(t.unread)
	t.mu.Unlock()
	c.mu.RLock()
	defer c.mu.RUnlock()
	for name, sp := range c.names {
		if lost := sp.lostField(); lost != "" {
			s.Lost[name] = lost
		}
	}
	return s
}

func (c *Cache) standing(s *SharedStats) Standing {
	if c.replica.Ready() && c.replica.Confirmed() && s.Connected && s.Breaker == "closed" && s.Problem == "" && s.Canary == "" {
		return TwoTier
	}
	return Degraded
}

func (k *class) stats() ClassStats {
	s := ClassStats{
		Class: k.Class, StaleHits: k.staleHits.Load(), Coalesced: k.coalesced.Load(), Bypasses: k.bypasses.Load(),
		Loads: k.loads.Load(), Loading: k.loading.Load(), LoadErrors: k.errors.Load(), LoadsRefused: k.refused.Load(),
		Saved: time.Duration(k.saved.Load()), Entries: k.entries.Load(), Evictions: k.evictions.Load(),
		MissesBy: map[Reason]uint64{}, Stored: k.kept.Load(),
	}
	k.mu.Lock()
	s.NotStored = maps.Clone(k.notStored)
	k.mu.Unlock()
	near, savedNear := k.hits[TierNear].sum()
	shared, savedShared := k.hits[TierShared].sum()
	s.NearHits, s.SharedHits = near, shared
	s.Saved += savedNear + savedShared
	for r := range k.misses {
		if n := k.misses[r].Load(); n > 0 {
			s.MissesBy[Reason(r)] = n
			s.Misses += n
		}
	}
	return s
}
