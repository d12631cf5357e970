package forebay

import (
	"context"
	"errors"
)

// fetch answers by a load: it joins the one that runs or leads a new one. stale is what may be
// served if that fails, is refused or takes too long; nil if there is nothing.
func (f *Func[P, V]) fetch(ctx context.Context, key string, p P, how call, stale *Found[V], why Reason, need BeginOptions) Result[V] {
	for begin := (beginning{anyway: why == ReasonRefreshed, since: need.since, visit: need.visit}); ; {
		fill := f.space.begin(ctx, key, begin)
		if fill.Leads() {
			go f.lead(fill, p, how, stale == nil)
		}
		r, slow := f.wait(ctx, fill, stale)
		switch {
		case slow:
			return f.serveStale(stale, ReasonLoadSlow)
		case errors.Is(r.Err, ErrObsolete):
			begin.from = fill.joined
			continue
		case r.Err == nil || errors.Is(r.Err, ErrNotFound):
			return f.fetched(r, why)
		case ctx.Err() != nil && errors.Is(r.Err, ctx.Err()):
			r.Reason = why
			return r
		}
		var busy *BusyError
		refused := errors.As(r.Err, &busy)
		switch {
		case GivenUp(r.Err) && !f.usable(stale):
			stale = nil // it may have been invalidated meanwhile: then this caller is patient
			continue
		case errors.Is(r.Err, errElsewhere) && f.usable(stale):
			return f.serveStale(stale, ReasonReloading)
		case refused && f.usable(stale):
			return f.serveStale(stale, ReasonLoadRefused)
		case f.usable(stale):
			return f.serveStale(stale, ReasonLoadFailed)
		}
		return f.fetched(r, why)
	}
}

func (f *Func[P, V]) fetched(r Result[V], why Reason) Result[V] {
	if r.Status == Miss {
		r.Reason = why
	}
	r.Value = f.own(r.Value)
	return r
}

// wait waits for a fill, but not longer than the class's Wait where something stale can be served.
func (f *Func[P, V]) wait(ctx context.Context, fill *Fill[V], stale *Found[V]) (r Result[V], slow bool) {
	wait := f.space.class.now().Wait
	if stale == nil || wait == 0 {
		r.Value, r.Outcome, r.Err = fill.Wait(ctx)
		return r, false
	}
	patience, cancel := context.WithTimeout(ctx, max(wait, 0))
	defer cancel()
	r.Value, r.Outcome, r.Err = fill.Wait(patience)
	slow = r.Err != nil && patience.Err() != nil && ctx.Err() == nil && f.usable(stale)
	return r, slow
}

// usable asks again, now that time has passed, whether something stale may still be served.
func (f *Func[P, V]) usable(stale *Found[V]) bool {
	if stale == nil {
		return false
	}
	_, st := f.space.cache.near.judge(stale.entry, f.space.cache.now())
	return st != isDead
}

func (f *Func[P, V]) serveStale(stale *Found[V], why Reason) Result[V] {
	o := stale.entry.outcome(f.space.cache.now())
	o.Status, o.Reason = StaleHit, why
	o.Unconfirmed = stale.Unconfirmed || f.space.cache.shared != nil && !f.space.cache.replica.Confirmed()
	return Result[V]{f.own(stale.Value), nil, o}
}

// behind loads a key behind an answer, unless it is being loaded.
func (f *Func[P, V]) behind(ctx context.Context, key string, p P, how call) {
	if fill := f.space.begin(ctx, key, beginning{behind: true}); fill.Leads() {
		go f.lead(fill, p, how, false)
	}
}

// GivenUp reports whether a load ended because its leader had something stale to serve instead. Whoever
// has joined it, and has nothing, begins again.
func GivenUp(err error) bool {
	if err == nil {
		return false
	}
	var busy *BusyError
	return errors.Is(err, errElsewhere) || errors.As(err, &busy) && busy.impatient
}

// lead runs the load in a goroutine of its own, whose owner is the flight.
func (f *Func[P, V]) lead(fill *Fill[V], p P, how call, patient bool) {
	defer fill.Release()
	defer fill.Recover()
	must, err := fill.Acquire(patient)
	if err != nil {
		fill.Abandon(err)
	}
	if !must {
		return
	}
	v, err := f.load(fill.Context(), p)
	f.finish(fill, p, how, v, err)
}

func (f *Func[P, V]) finish(fill *Fill[V], p P, how call, v V, err error) {
	if err != nil {
		fill.Abandon(f.space.cache.notFound(fill.timeout(err)))
		return
	}
	k := f.keepOf(fill.Context(), p, v)
	if how.ttl != 0 {
		k.TTL = how.ttl
	}
	fill.Commit(v, k)
}

// timeout names the class's timeout where a load reports it as its context's end.
func (f *Fill[V]) timeout(err error) error {
	if errors.Is(err, context.DeadlineExceeded) && f.flight.ctx.Err() != nil {
		return f.space.cache.flights.timeoutError(f.flight)
	}
	return err
}
