package forebay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/forebay-cache/forebay/internal/replica"
	"github.com/forebay-cache/forebay/shared"
)

// flights holds the load that runs for each key on this node: one, and a new one beside it only
// when an invalidation made it obsolete.
type flights struct {
	cache *Cache

	mu       sync.Mutex // guards the fields below, and the fields of flights that say so
	byKey    map[string]*flight
	endless  map[*flight]struct{} // that nothing but Close may end
	detached map[*flight]struct{}
	closed   bool
	cut      bool // Close has waited for long enough
	all      sync.WaitGroup
}

func newFlights(c *Cache) *flights {
	return &flights{cache: c, byKey: map[string]*flight{}, endless: map[*flight]struct{}{}, detached: map[*flight]struct{}{}}
}

// A flight is one load of one key, which many callers may wait for.
type flight struct {
	space   *space
	key     string
	stamp   shared.Stamp // the head of the log before the load began …
	number  uint64       // … and the ledger's number
	created int64
	load    loadContext
	ctx     context.Context         // load
	end     context.CancelCauseFunc // of ctx
	late    *time.Timer             // ends the load; nil: it may take forever
	timeout time.Duration           // of late
	grows   bool                    // the timeout counts from each Publish again

	// behind: nobody need wait, because the load refreshes something that is still served.
	behind   bool
	anyway   bool            // asked for, whatever is stored
	since    int64           // see beginning
	held     int64           // when what was near at its beginning was made; -1: nothing was
	grace    time.Duration   // see Need
	visit    context.Context // of the leader, to the shared tier
	readable chan struct{}   // closed when there is a value: published early, or at the end
	done     chan struct{}   // closed at the end

	// Guarded by flights.mu.
	value     any
	tags      []string
	entry     *entry // the whole answer; nil while it is still growing, and for a failure
	err       error
	waiters   int
	queued    bool  // waits for one of the class's loads
	loading   bool  // allowed to call the origin, …
	began     int64 // … since when
	published bool
	alone     bool // detached: see Fill.Detach
	ended     bool
	stored    bool
	token     string      // of the lease, while this node holds it
	deserted  *time.Timer // ends the load, where nobody has waited for so long
	renewal   *time.Timer
}

// A beginning says what the caller of a flight is after.
type beginning struct {
	anyway bool   // load, whatever is stored
	from   uint64 // join only a flight that knows all that this node knew then: when the caller came
	behind bool   // nobody will wait: something else is being served
	grows  bool   // the timeout counts from each Publish again
	grace  time.Duration

	// since is when a caller came that could not make sure that this node knows everything: no load
	// that began before may answer it, under way or stored (rule 8). 0 for everybody else.
	since int64
	visit context.Context // to the shared tier
}

// begin joins the flight of a key or leads a new one. Unless the caller asks for a load anyway, it
// looks into the near tier once more, under the lock. The order that makes this necessary:
//
//  1. A misses the near tier.
//  2. B, which leads the flight, stores its answer and ends the flight.
//  3. A finds no flight, and would load a second time.
//
// after is a flight that runs but may not answer this caller, which waits for its end and begins again.
// All callers that came too late for it then share the next one, and the origin sees one load at a time.
func (fs *flights) begin(ctx context.Context, sp *space, key string, how beginning) (f *flight, leads bool, found *entry, after <-chan struct{}) {
	c := fs.cache
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.byKey[key]; f != nil {
		v, _ := c.replica.Judge(key, sp.class.Name, f.tags, f.number) // its tags are known once it is published
		if v == replica.Valid && f.created < how.since {
			return nil, false, nil, f.done
		}
		if v == replica.Valid && f.number >= how.from {
			if !how.behind {
				f.waiters++
				if f.deserted != nil {
					f.deserted.Stop()
				}
			}
			return f, false, nil, nil
		}
	}
	if !how.anyway {
		if e, st := c.near.get(key, c.now()); (st == isFresh || st == isAhead && !how.behind) && (how.since == 0 || e.loadedSince(how.since)) {
			return nil, false, e, nil
		}
	}
	f = &flight{space: sp, key: key, readable: make(chan struct{}), done: make(chan struct{}), behind: how.behind, anyway: how.anyway, since: how.since, grace: how.grace, grows: how.grows, visit: how.visit}
	f.stamp, f.number = c.replica.Place()
	f.created, f.held = c.now(), -1
	if e, st := c.near.get(key, f.created); st != isDead {
		f.held = e.created
	}
	fs.setTimeout(f, ctx)
	if !how.behind {
		f.waiters = 1
	}
	fs.byKey[key] = f
	fs.all.Add(1)
	return f, true, nil, nil
}

// queue marks that the load waits for its turn.
func (fs *flights) queue(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.queued = true
}

// acquired marks that the load may now call the origin. It has its whole time for that, however long the
// flight has waited for another node's load, or for its turn.
func (fs *flights) acquired(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.loading, f.began = true, fs.cache.now()
	if !f.ended && f.ctx.Err() == nil {
		f.more()
	}
}

func (fs *flights) took(f *flight, now int64) time.Duration {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if !f.loading {
		return 0
	}
	return time.Duration(now - f.began)
}

// holds reports whether the entry ended the flight and was stored.
func (fs *flights) holds(f *flight, e *entry) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return f.entry == e && f.stored
}

// publish lets the callers have a value that is still growing, and gives it more time.
func (fs *flights) publish(f *flight, value any, tags []string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.ended {
		return
	}
	if !f.alone {
		f.more()
	}
	if f.published {
		return
	}
	f.value, f.tags, f.published = value, tags, true
	close(f.readable)
}

// end finishes a flight with an entry or an error; the first to call it wins. The entry is in the
// near tier before the flight is gone.
func (fs *flights) end(f *flight, e *entry, err error) {
	fs.mu.Lock()
	if f.ended {
		fs.mu.Unlock()
		return
	}
	f.ended, f.entry = true, e
	if f.loading && failed(err) && !errors.Is(err, context.Canceled) {
		f.space.class.errors.Add(1) // before anybody learns of it
	}
	token := f.token
	f.stored = e != nil && fs.cache.store(e, token)
	if !f.published {
		f.err = err
		if e != nil {
			f.value, f.tags = e.value, e.tags
		}
		close(f.readable)
	}
	close(f.done)
	fs.forget(f)
	delete(fs.detached, f)
	delete(fs.endless, f)
	if f.deserted != nil {
		f.deserted.Stop()
	}
	loading, began := f.loading, f.began
	if f.renewal != nil {
		f.renewal.Stop()
	}
	fs.mu.Unlock()
	if token != "" && (e == nil || !f.stored || e.fromShared || e.nearOnly) { // else it is released behind the write
		fs.cache.release(f.space.stored(f.key), token)
	}
	f.release()
	if loading {
		fs.ended(f, time.Duration(fs.cache.now()-began), err)
	}
	fs.all.Done()
}

// failed reports whether a load ended without an answer. "Not found" is one.
func failed(err error) bool { return err != nil && !errors.Is(err, ErrNotFound) }

func (fs *flights) ended(f *flight, took time.Duration, err error) {
	c := f.space.class
	c.loadEnds.Add(1)
	c.loadTime.Add(int64(took))
	if failed(err) && f.behind && !errors.Is(err, context.Canceled) {
		fs.cache.logger.Warn("forebay: refresh failed; what is stored is served as long as the class allows",
			"class", c.Name, "key", f.key, "error", err)
	}
	fs.cache.tell(Event{Kind: EventLoad, Class: c.Name, Key: f.key, Duration: took, Err: err})
}

// An answer is what a flight has to say, as of one moment.
type answer struct {
	value  any
	entry  *entry
	err    error
	stored bool
}

// answer reads a readable flight for a caller that came at a number. A caller that came after an
// invalidation that the load may not have seen gets [ErrObsolete] (rule 8; tags are known only now).
func (fs *flights) answer(f *flight, joined uint64) answer {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if joined != f.number {
		if v, _ := fs.cache.replica.Judge(f.key, f.space.class.Name, f.tags, f.number); v != replica.Valid {
			return answer{err: ErrObsolete}
		}
	}
	return answer{f.value, f.entry, f.err, f.stored}
}
