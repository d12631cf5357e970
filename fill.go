package forebay

import (
	"context"
	"errors"
	"runtime/debug"
	"time"
)

// A Fill is one caller's part in the load of a key. Every fill that was begun must be waited for
// or left; one that leads must also be ended, by Commit or Abandon.
type Fill[V any] struct {
	space  *Space[V]
	flight *flight // nil: answered at once, by found or err
	found  *entry
	err    error
	leads  bool
	joined uint64
	slot   bool
	slots  chan struct{} // that its own is one of; nil: it needs none (see holdsSlot)
	asking traced        // the origin
}

// BeginOptions say what a load must be for its caller. The zero value takes any, and what was stored
// meanwhile; [Found.BeginOptions] is that of a caller that looked up first.
type BeginOptions struct {
	IgnoreStored bool // nothing stored will do, however fresh
	Background   bool // nobody will wait: something stale is being served

	// Grace is how long a load goes on that nobody waits for and nobody was answered by yet. Default:
	// to its end, because its answer will be kept.
	Grace time.Duration

	since int64
	visit context.Context
}

// Begin joins the load of a full key that is under way, or leads a new one: then the place in the
// log is taken, before anything is loaded. The load gets ctx's values without its cancellation.
// It is cancelled when it makes no progress for the class's LoadTimeout: from here, and from each
// [Fill.Publish].
func (s *Space[V]) Begin(ctx context.Context, key string, need BeginOptions) *Fill[V] {
	return s.begin(ctx, key, beginning{grows: true, anyway: need.IgnoreStored, behind: need.Background, grace: need.Grace, since: need.since, visit: need.visit})
}

func (s *Space[V]) begin(ctx context.Context, key string, how beginning) *Fill[V] {
	if err := circle(ctx, key); err != nil {
		return &Fill[V]{space: s, err: err}
	}
	for {
		f := &Fill[V]{space: s, joined: s.cache.replica.Number()}
		if how.from > 0 {
			f.joined = how.from // a caller that begins again asks for no more than when it came
		}
		var after <-chan struct{}
		if f.flight, f.leads, f.found, after = s.cache.flights.begin(ctx, s.space, key, how); after == nil {
			return f
		}
		step := beginStep(ctx, StageWait, s.space, key)
		select {
		case <-after:
		case <-ctx.Done():
			f.err = ctx.Err()
		}
		step.end("began too early", f.err)
		if f.err != nil {
			return f
		}
	}
}

// Leads reports whether this caller has to load.
func (f *Fill[V]) Leads() bool { return f.leads }

// Context is the load's: cancelled at its timeout, or when nobody could use its answer.
func (f *Fill[V]) Context() context.Context { return f.flight.ctx }

// Cancel ends the load's context, where its answer is of no use to anybody any more.
func (f *Fill[V]) Cancel() { f.flight.cancel() }

// Detach has a published value that will not be stored go on by itself, for its readers: it holds
// none of the class's loads any more, has no timeout, and nobody joins it. The leader cancels it when
// its last reader has left, and ends it as any other; [Cache.Close] cancels it too.
func (f *Fill[V]) Detach() {
	f.space.cache.flights.detach(f.flight)
	f.Release()
}

// Acquire is what the leader must do before it calls the origin: take the lease of the key, so that
// one node loads, and one of the class's loads. It returns false if the leader must not load: with
// an error, which [Fill.Abandon] takes, or because another node had the answer and the fill has
// ended with it. A patient leader waits for both, until the load's context ends; others get a
// [BusyError] at once. [Fill.Release] gives both back.
func (f *Fill[V]) Acquire(patient bool) (bool, error) {
	if answered, err := f.space.cache.tracedLease(f.flight, patient); answered || err != nil {
		return false, err
	}
	if err := f.acquireSlot(patient); err != nil {
		return false, err
	}
	f.asking = beginStep(f.flight.ctx, StageOrigin, f.space.space, f.flight.key)
	return true, nil
}

func (f *Fill[V]) acquireSlot(patient bool) error {
	c, ctx := f.space.class, f.flight.ctx
	nested, slots := holdsSlot(ctx, c), c.now().slots
	if slots != nil && !nested {
		select {
		case slots <- struct{}{}:
		default:
			if !patient {
				return f.busy(true)
			}
			f.space.cache.flights.queue(f.flight)
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return f.busy(false)
			}
		}
		f.slots = slots
	}
	f.slot = true
	c.loads.Add(1)
	c.loading.Add(1)
	f.space.cache.flights.acquired(f.flight)
	return nil
}

func (f *Fill[V]) busy(impatient bool) error {
	c := f.space.class
	c.refused.Add(1)
	f.space.cache.tell(Event{Kind: EventBusy, Class: c.Name, Key: f.flight.key})
	return &BusyError{Class: c.Name, MaxLoads: c.now().MaxLoads, RetryAfter: retryAfter, impatient: impatient}
}

// Release gives the load back, when the origin is really done: also after its timeout, so that a
// hanging origin never sees more than MaxLoads. It is safe to call twice. The leader alone calls it.
func (f *Fill[V]) Release() {
	if !f.slot {
		return
	}
	f.slot = false
	f.space.class.loading.Add(-1)
	if f.slots != nil {
		<-f.slots
	}
}

// Publish gives every caller that waits a value that is still growing; they read it from its first
// byte. Later calls say that it has grown. Commit stores it when it is whole. Abandon ends the load
// without storing it, with nil where that is not a failure; it tells nobody twice, so the value itself
// must carry its failure. V must be safe to read while it grows.
func (f *Fill[V]) Publish(v V, tags ...string) {
	f.space.cache.flights.publish(f.flight, v, tags)
}

// Commit ends the load with a whole answer and stores it. It reports whether it was stored: not if
// it was invalidated meanwhile, or if the load had already ended.
func (f *Fill[V]) Commit(v V, k Keep) bool {
	fs, e := f.space.cache.flights, f.entry(f.flight.key, v, k)
	f.endOriginStep(nil)
	fs.end(f.flight, e, nil)
	return fs.holds(f.flight, e)
}

// endOriginStep tells the trace of the origin's answer, once, and before those that wait for it.
func (f *Fill[V]) endOriginStep(err error) {
	f.asking.end("loaded", err)
	f.asking = traced{}
}

// CommitAs stores an answer under a further full key of the space with the place in the log of
// this load, and does not end it: an HTTP cache stores the variant so, and ends with its index.
func (f *Fill[V]) CommitAs(key string, v V, k Keep) bool {
	return f.space.cache.store(f.entry(key, v, k), "")
}

func (f *Fill[V]) entry(key string, v V, k Keep) *entry {
	now := f.space.cache.now()
	near := k.NearOnly || f.flight.since > 0 // a tier that could not confirm would not take it either
	took := f.space.cache.flights.took(f.flight, now)
	e := &entry{value: v, key: key, tags: k.Tags, nearOnly: near, loaded: took > 0, space: f.space.space, stamp: f.flight.stamp, took: took}
	e.number.Store(f.flight.number)
	e.times(now, k)
	e.weigh(f.space.weigh(e.value))
	return e
}

// Abandon ends the load without storing anything, except that "not found" is kept for the class's
// NotFound.
func (f *Fill[V]) Abandon(err error) {
	f.endOriginStep(err)
	var e *entry
	if errors.Is(err, ErrNotFound) {
		e = f.entry(f.flight.key, *new(V), Keep{})
		e.err = err
		e.times(e.created, Keep{})
	}
	f.space.cache.flights.end(f.flight, e, err)
}

// Recover ends the load if the calling goroutine panics; defer it in the goroutine that loads.
func (f *Fill[V]) Recover() {
	f.Abandon(unanswered(recover()))
}

// unanswered is the error of a load that ended without an answer: by a panic, or by
// runtime.Goexit, as t.FailNow does. A load that has ended otherwise takes no notice of it.
func unanswered(panicked any) error {
	if panicked == nil {
		return errNoAnswer
	}
	return &PanicError{Value: panicked, Stack: debug.Stack()}
}

var errNoAnswer = errors.New("forebay: the load ended without an answer")

// Leave takes back the wait of a caller that does not call [Fill.Wait] to its end.
func (f *Fill[V]) Leave() {
	if f.flight != nil {
		f.space.cache.flights.leave(f.flight)
	}
}

// Wait returns the load's answer, whole or still growing. ctx is the caller's own: when it ends, the
// caller leaves and the load goes on. [ErrObsolete]: begin again.
func (f *Fill[V]) Wait(ctx context.Context) (V, Outcome, error) {
	var zero V
	if f.err != nil {
		return zero, Outcome{Status: Miss, Tier: TierOrigin}, f.err
	}
	if f.flight == nil {
		found := f.space.found(f.found, f.space.cache.now())
		found.Reason = NoReason
		return found.Value, found.Outcome, found.Err
	}
	if !f.leads {
		step := beginStep(ctx, StageWait, f.space.space, f.flight.key)
		f.space.class.waiting.Add(1)
		defer func() {
			f.space.class.waiting.Add(-1)
			step.end("joined", ctx.Err())
		}()
	}
	select {
	case <-f.flight.readable:
	case <-ctx.Done():
		f.Leave()
		return zero, Outcome{Status: Miss, Tier: TierOrigin}, ctx.Err()
	}
	f.Leave()
	return f.answer()
}

func (f *Fill[V]) answer() (V, Outcome, error) {
	var zero V
	joined, o := f.flight.number, Outcome{Status: Miss, Tier: TierOrigin}
	if !f.leads {
		joined, o.Status = f.joined, Coalesced
	}
	a := f.space.cache.flights.answer(f.flight, joined)
	if e := a.entry; e != nil {
		now := f.space.cache.now()
		o.Age, o.TTL, o.LoadTime = time.Duration(now-e.created), time.Duration(e.fresh-now), e.took
		o.Stored = a.stored
	}
	if a.err != nil {
		return zero, o, a.err
	}
	v, _ := a.value.(V)
	return v, o, nil
}
