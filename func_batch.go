package forebay

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// batchSize is how many parameters are one call of [BatchBy]: each has the class's LoadTimeout for itself.
const batchSize = 1000

// A wanted parameter of a batch waits for its fill.
type wanted[V any] struct {
	index int
	fill  *Fill[V]
	stale *Found[V]
	why   Reason
}

// A batch is what is asked for at once: one look-up for all, and one load of what has to be loaded.
type batch[P, V any] struct {
	f       *Func[P, V]
	ps      []P
	results []Result[V]
	waiting []wanted[V]
	led     led[P, V] // for callers that wait
	behind  led[P, V] // for callers that were served something stale
}

// led are fills that this node leads, with their parameters.
type led[P, V any] struct {
	fills   []*Fill[V]
	params  []P
	patient []bool
}

func (l *led[P, V]) add(fill *Fill[V], p P, patient bool) {
	if fill.Leads() {
		l.fills, l.params, l.patient = append(l.fills, fill), append(l.params, p), append(l.patient, patient)
	}
}

// batch begins all fills before it waits for any, so that those it leads are one call.
func (f *Func[P, V]) batch(ctx context.Context, ps []P, results []Result[V]) {
	b := &batch[P, V]{f: f, ps: ps, results: results}
	came := f.space.cache.now() // one time for all, or a parameter that is named twice would wait for itself
	var keys []string
	var at, without []int
	for i, p := range ps {
		key, reason := f.key(ctx, p)
		if results[i].Reason = reason; reason != NoReason {
			without = append(without, i)
			continue
		}
		keys, at = append(keys, key), append(at, i)
	}
	f.bypassMany(ctx, ps, results, without)
	for n, l := range f.space.cache.lookupMany(ctx, f.space.space, keys) {
		found, ok := f.space.judged(l)
		b.take(ctx, at[n], keys[n], found, ok, min(came, found.asked))
	}
	for _, l := range []*led[P, V]{&b.led, &b.behind} {
		if len(l.fills) > 0 {
			go f.leadMany(l)
		}
	}
	for _, w := range b.waiting {
		results[w.index] = f.await(ctx, w, ps[w.index])
	}
}

// take answers a parameter with what was found, or begins its fill.
func (b *batch[P, V]) take(ctx context.Context, i int, key string, found Found[V], ok bool, since int64) {
	f := b.f
	if ok && found.Use != UseOnError {
		if found.Use != UseFresh {
			b.behind.add(f.space.begin(ctx, key, beginning{behind: true}), b.ps[i], false)
		}
		if found.Use == UseStale {
			found.Reason = ReasonReloading
		}
		if found.Use != UseStale {
			f.space.slide(found.entry)
		}
		b.results[i] = f.result(found)
		return
	}
	w := wanted[V]{index: i, why: found.Reason}
	if ok {
		w.stale = &found
	}
	w.fill = f.space.begin(ctx, key, beginning{since: since, visit: found.visit})
	b.led.add(w.fill, b.ps[i], w.stale == nil)
	b.waiting = append(b.waiting, w)
}

// bypassMany asks the origin, by one call, for the parameters that have no key.
func (f *Func[P, V]) bypassMany(ctx context.Context, ps []P, results []Result[V], which []int) {
	if len(which) == 0 {
		return
	}
	params := make([]P, len(which))
	for n, i := range which {
		params[n] = ps[i]
	}
	start := f.space.cache.now()
	end := f.space.Pass(ctx, "")
	loaded, err := f.loadMany(ctx, params)
	end(err)
	o := Outcome{Status: Bypass, Tier: TierOrigin, LoadTime: f.space.cache.since(start)}
	for n, i := range which {
		o.Reason = results[i].Reason
		results[i] = Result[V]{Err: err, Outcome: o}
		if err == nil {
			results[i].Value, results[i].Err = loaded[n].Value, f.space.cache.notFound(loaded[n].Err)
		}
	}
}

// loadMany calls the user's function, and holds it to its word.
func (f *Func[P, V]) loadMany(ctx context.Context, ps []P) ([]Result[V], error) {
	results, err := f.many(ctx, ps)
	if err == nil && len(results) != len(ps) {
		err = fmt.Errorf("forebay: the function of BatchBy, for %s, returned %d results for %d parameters", f.space.name, len(results), len(ps))
	}
	return results, err
}

func (f *Func[P, V]) await(ctx context.Context, w wanted[V], p P) Result[V] {
	r, slow := f.wait(ctx, w.fill, w.stale)
	switch {
	case slow:
		return f.serveStale(w.stale, ReasonLoadSlow)
	case errors.Is(r.Err, ErrObsolete), GivenUp(r.Err) && !f.usable(w.stale):
		return f.do(ctx, p, call{})
	case r.Err != nil && !errors.Is(r.Err, ErrNotFound) && ctx.Err() == nil && f.usable(w.stale):
		return f.serveStale(w.stale, ReasonLoadFailed)
	}
	return f.fetched(r, w.why)
}

// leadMany loads for all fills with one call of the origin, and so with one of the class's loads. What another
// node has loaded meanwhile is not loaded, and what it loads is waited for, each by itself.
func (f *Func[P, V]) leadMany(l *led[P, V]) {
	own := f.leases(l)
	if len(own.fills) == 0 {
		return
	}
	first := own.fills[0]
	defer first.Release()
	defer func() { abandonAll(own.fills, unanswered(recover())) }()
	if err := first.acquireSlot(own.patient[0]); err != nil {
		abandonAll(own.fills, err)
		return
	}
	for _, fill := range own.fills[1:] {
		f.space.cache.flights.acquired(fill.flight)
	}
	results, err := f.loadMany(first.Context(), own.params)
	if err != nil {
		abandonAll(own.fills, first.timeout(err))
		return
	}
	for i, r := range results {
		f.finish(own.fills[i], own.params[i], call{}, r.Value, r.Err)
	}
}

// leases takes the leases of all fills and returns those that this node is to load.
func (f *Func[P, V]) leases(l *led[P, V]) (own led[P, V]) {
	defer func() {
		if p := recover(); p != nil { // in a method of a value that came from the shared tier
			abandonAll(l.fills, &PanicError{Value: p, Stack: debug.Stack()})
			own = led[P, V]{}
		}
	}()
	flights := make([]*flight, len(l.fills))
	for i, fill := range l.fills {
		flights[i] = fill.flight
	}
	for i, got := range f.space.cache.leaseMany(flights) {
		switch got {
		case leaseOwn:
			own.add(l.fills[i], l.params[i], l.patient[i])
		case leaseOther:
			go f.lead(l.fills[i], l.params[i], call{}, l.patient[i])
		}
	}
	return own
}

func abandonAll[V any](fills []*Fill[V], err error) {
	for _, fill := range fills {
		fill.Abandon(err)
	}
}
