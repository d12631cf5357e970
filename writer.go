package forebay

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/internal/replica"
	"github.com/forebay-cache/forebay/shared"
)

// A tier is what the cache adds to a shared tier: it reads and judges what is there, and writes
// behind the requests.
type tier struct {
	shared.Tier
	codec codec.ID
	keys  *codec.Keyring
	alone bool                   // it holds the log and no values: see shared.LogOnly
	most  int                    // bytes of an entry; 0: no bound
	jobs  [queueWorkers]chan job // see enqueue

	pending atomic.Int64  // jobs that wait, or are being done
	doubts  chan struct{} // has the self-test run: a write was refused
	reads   atomic.Uint64 // for requests
	dropped atomic.Uint64 // writes for which the queue had no room
	failed  atomic.Uint64 // writes that the tier refused
	large   atomic.Uint64 // entries that were larger than most
	mu      sync.Mutex    // guards the fields below
	unread  map[string]uint64
}

// A job is a write behind the requests: an entry and the lease that ends with it, or a key to be removed.
type job struct {
	entry  *entry
	token  string
	key    string
	remove bool
	until  time.Time // of a lease that is given back: it ends by itself then
}

const (
	queueWorkers = 8
	queueLength  = 4096 / queueWorkers // for each
	releaseAgain = 100 * time.Millisecond
)

// sharedMax is the default of [Options.SharedMax]: what a gigabit takes in 8 ms, of a budget of 50.
const sharedMax = 1 << 20

func newTier(o Options, keys *codec.Keyring) *tier {
	t := &tier{Tier: o.Shared, codec: o.Codec.id(), keys: keys, most: o.SharedMax, doubts: make(chan struct{}, 1), unread: map[string]uint64{}}
	_, t.alone = o.Shared.(shared.LogOnly)
	for i := range t.jobs {
		t.jobs[i] = make(chan job, queueLength)
	}
	return t
}

// unusable counts what could not be used, by reason.
func (t *tier) unusable(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unread[why.Error()]++
}

// jobSeed spreads keys over the workers.
var jobSeed = maphash.MakeSeed()

// enqueue never waits: what finds no room is dropped and counted. A dropped value is loaded again by
// the next caller that needs it, a dropped lease ends by itself, a dropped removal leaves what no reader takes. The jobs
// of a key are done in their order, by one worker: a removal must not overtake what was stored after it.
func (t *tier) enqueue(j job) {
	t.pending.Add(1)
	select {
	case t.jobs[maphash.String(jobSeed, j.key)%queueWorkers] <- j:
	default:
		t.pending.Add(-1)
		t.dropped.Add(1)
	}
}

// queued is how many jobs wait, or are being done.
func (t *tier) queued() int { return int(t.pending.Load()) }

// write does the jobs of a worker until stopped ends, and then those that are left.
func (t *tier) write(stopped context.Context, jobs <-chan job, now func() int64) {
	ctx := context.WithoutCancel(stopped) // the tier's budget bounds each operation
	for {
		select {
		case j := <-jobs:
			t.try(ctx, j, now)
			continue
		case <-stopped.Done():
		}
		for {
			select {
			case j := <-jobs:
				t.try(ctx, j, now)
			default:
				return
			}
		}
	}
}

func (t *tier) try(ctx context.Context, j job, now func() int64) {
	defer t.pending.Add(-1)
	if err := t.do(ctx, j, now); err != nil {
		t.failed.Add(1)
		if j.entry == nil && j.token != "" && time.Now().Before(j.until) {
			time.AfterFunc(releaseAgain, func() { t.enqueue(j) }) // others wait for it
		}
		select {
		case t.doubts <- struct{}{}:
		default:
		}
	}
}

func (t *tier) do(ctx context.Context, j job, now func() int64) error {
	var err error
	switch {
	case j.remove:
		return t.Unlink(ctx, j.key)
	case j.entry != nil:
		err = t.put(ctx, j, now())
	}
	if j.token != "" {
		err = errors.Join(err, t.Release(ctx, j.key, j.token))
	}
	return err
}

// put writes an entry, for the life that is left of it.
func (t *tier) put(ctx context.Context, j job, now int64) error {
	e := j.entry
	left := time.Duration(e.dead - now)
	if left <= 0 {
		return nil
	}
	if v, _ := e.space.cache.replica.Judge(e.key, e.space.class.Name, e.tags, e.number.Load()); v == replica.Removed {
		return nil // or it would be written over what was loaded since
	}
	b, err := t.sealed(e, now)
	if err != nil || b == nil {
		return err
	}
	if t.most > 0 && len(b) > t.most {
		t.large.Add(1)
		e.space.saidLarge.Do(func() {
			e.space.cache.logger.Warn("forebay: an answer is too large for the shared tier and stays near: make it smaller, or raise Options.SharedMax",
				"function", e.space.name, "bytes", len(b), "most", t.most)
		})
		return nil
	}
	return t.Set(ctx, j.key, b, left)
}
