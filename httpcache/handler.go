package httpcache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/forebay-cache/forebay"
)

// A handler is a cache in front of another handler, its origin. A request's way: it is made canonical
// ([canonical]), read ([ask]), looked up (find), decided on (decide), and answered from what is stored
// (serveStored), by a load (load, [exchange]), or by the origin alone (pass).
type handler struct {
	*Cache
	next http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, asked *http.Request) {
	r, refused := canonical(asked)
	if refused != nil {
		h.refuse(w, asked, refused)
		return
	}
	a := h.ask(r)
	if record, ok := r.Context().Value(recordKey{}).(*Record); ok {
		a.note(record)
	}
	if a.bypass != "" {
		h.pass(w, a)
	} else {
		h.answer(w, a)
	}
}

// A found is what is stored for a request.
type found struct {
	forebay.Found[*response]
	response *response // nil: nothing, or only a mark
	key      string    // where it is, or where it would be as far as is known
	passing  bool      // nobody need wait for a response of this URI
	why      missReason
	index    *response

	indexSince time.Duration // when it was stored
}

// find looks a request up: what is under its key says itself, or what it varies on.
func (h *Cache) find(ctx context.Context, a *ask) found {
	s := a.route.space
	f := found{key: a.key, why: uriMiss}
	var ok bool
	if f.Found, ok = s.Lookup(ctx, f.key); ok && f.Value.kind == index {
		f.index, f.why, f.indexSince = f.Value, varyMiss, f.Since()
		f.key = variantKey(a.key, h.selectedBy(f.index.vary, a))
		f.Found, ok = s.Lookup(f.Within(ctx), f.key)
	}
	switch {
	case !ok:
		f.Value = nil
	case f.Value.kind == coded: // somebody wrote it there
		f.Value = nil
	case f.Value.kind == passing:
		f.passing = true
	default:
		f.response = f.Value
	}
	return f
}

// maxTries bounds how often a caller joins what turns out not to be for it.
const maxTries = 4

// answer answers from what is stored, or from a load.
func (h *handler) answer(w http.ResponseWriter, a *ask) {
	for range maxTries {
		f := h.find(a.r.Context(), a)
		if f.passing {
			break
		}
		d := h.decide(a, &f)
		switch d.action {
		case serve:
			h.serveStored(w, a, &f, d)
			return
		case serveAndLoad:
			h.loadBehind(a, f, d)
			h.serveStored(w, a, &f, d)
			return
		case unsatisfiable:
			h.count(a, forebay.Outcome{Status: forebay.Miss, Reason: f.Reason})
			w.Header().Add("Cache-Status", "forebay; detail=only-if-cached")
			WriteProblem(w, http.StatusGatewayTimeout, "only-if-cached: nothing is stored that may be served", 0)
			return
		}
		if h.load(w, a, f, d) {
			return
		}
		if a.alone {
			break // what came is for the caller that led: the others need not wait for one another
		}
	}
	a.bypass = notStoredSoFar
	h.pass(w, a)
}

func (h *handler) decide(a *ask, f *found) decision {
	if f.response == nil {
		d := decide(a.directives, nil, false, time.Time{})
		d.why = f.why
		return d
	}
	now := time.Now()
	d := decide(a.directives, &f.response.terms, f.Use >= forebay.UseStale && f.Reason == forebay.ReasonInvalidated, now)
	if d.forced && f.response.reloads.tooMany(now) {
		a.directives.noCache, a.directives.maxAge = false, delta{}
		return h.decide(a, f)
	}
	if f.response.kind == part && d.action <= serveAndLoad {
		if _, _, ok := f.response.slice(a.r.Header); !ok {
			d.action, d.why = load, isPartial
			if a.directives.onlyIfCached {
				d.action = unsatisfiable
			}
		}
	}
	if d.action == serve && !d.stale && f.Use == forebay.UseAndRefresh {
		d.action = serveAndLoad
	}
	return d
}

// reloads are how often clients have had a response loaded again that was still fresh. One client cannot
// make a cached URI as dear as one that is not cached: RFC 9111, section 5.2.1.4, lets a cache disregard the
// wish.
type reloads struct {
	since time.Time
	n     int
}

const (
	maxReloads   = 5
	reloadWindow = 5 * time.Second
)

func (r reloads) tooMany(now time.Time) bool {
	return r.n >= maxReloads && now.Sub(r.since) < reloadWindow
}

// more is that of the response which takes the place.
func (r reloads) more(now time.Time) reloads {
	if r.n == 0 || now.Sub(r.since) >= reloadWindow {
		return reloads{now, 1}
	}
	return reloads{r.since, r.n + 1}
}

// load joins or leads the load of a request and serves what comes. It returns false if that was not
// for this caller, which then begins again.
func (h *handler) load(w http.ResponseWriter, a *ask, f found, d decision) bool {
	if may := h.options.MayLoad; may != nil && !may(a.r) {
		h.overBudget(w, a, &f, d)
		return true
	}
	need := f.BeginOptions()
	need.Grace = abandonedFor
	need.IgnoreStored = f.response != nil && f.Use <= forebay.UseAndRefresh // fresh, but not what is wanted
	fill := a.route.space.Begin(a.r.Context(), loadKey(a, &f), need)
	if !fill.Leads() {
		return h.await(w, a, f, d, fill, nil)
	}
	x := newExchange(h, fill, a, f, d, &hints{to: w, r: a.r})
	if h.mayServe(&f, d, nil) { // then this caller need not wait to the end
		go x.lead()
		return h.await(w, a, f, d, fill, x.early)
	}
	x.delivery = newDelivery(func() bool { return h.await(w, a, f, d, fill, x.early) })
	x.lead()
	return x.delivery.finish()
}

// overBudget answers a request that may not load: with what is stale, else with 429.
func (h *handler) overBudget(w http.ResponseWriter, a *ask, f *found, d decision) {
	err := &forebay.BusyError{Class: a.route.class.Name, RetryAfter: time.Second}
	if h.mayServe(f, d, err) {
		d.stale = true
		h.serveInstead(w, a, f, d, err)
		return
	}
	w.Header().Set("Retry-After", "1")
	h.Refuse(w, a.r, http.StatusTooManyRequests, "misses", "this client asks for more of what is not stored than one may: what is stored it can have")
}

// abandonedFor is how long a load goes on whose callers have all left before its head came: somebody may
// ask again, but nobody need wait for an origin on their behalf.
const abandonedFor = time.Second

// await serves what a load brings.
func (h *handler) await(w http.ResponseWriter, a *ask, f found, d decision, fill *forebay.Fill[*response], early *hints) bool {
	response, outcome, err, slow := h.wait(a, &f, d, fill)
	a.answered()
	early.end()
	if slow {
		d.stale = true
		h.serveInstead(w, a, &f, d, nil)
		return true
	}
	led := fill.Leads()
	switch {
	case errors.Is(err, forebay.ErrObsolete), forebay.GivenUp(err) && !h.mayServe(&f, d, err):
		return false // begin again
	case err != nil && a.r.Context().Err() != nil:
		return true // the client has gone
	case err != nil && h.mayServe(&f, d, err):
		d.stale = true
		h.serveInstead(w, a, &f, d, err)
		return true
	case err != nil:
		h.fail(w, a, d, err)
		return true
	case response == nil || response.kind == index || response.kind == passing:
		return false
	case !led && !response.shareable:
		a.alone = true
		return false
	case !led && response.selected != h.selectedBy(response.vary, a):
		return false
	}
	if outcome.Status == forebay.Hit { // stored meanwhile, by this node or another
		f.response, f.Outcome = response, outcome
		h.serveStored(w, a, &f, h.decide(a, &f))
		return true
	}
	outcome.Reason = f.Reason
	return h.serveLoaded(w, a, response, outcome, d)
}

// wait waits for a load. Where something stale may be served, it waits no longer than the class's Wait,
// and until the body is whole: half an answer is worse than what is stored.
func (h *handler) wait(a *ask, f *found, d decision, fill *forebay.Fill[*response]) (r *response, o forebay.Outcome, err error, slow bool) {
	ctx, patience := a.r.Context(), a.route.class.Wait
	instead := h.mayServe(f, d, nil)
	short := ctx
	if instead && patience != 0 {
		var cancel context.CancelFunc
		short, cancel = context.WithTimeout(ctx, max(patience, 0))
		defer cancel()
	}
	r, o, err = fill.Wait(short)
	if err == nil && instead && r != nil && r.storing && !r.incremental() {
		err = r.body.settle(short)
	}
	return r, o, err, err != nil && short.Err() != nil && ctx.Err() == nil
}

// loadKey is what requests must have in common to share a load.
func loadKey(a *ask, f *found) string {
	switch {
	case a.r.Method == http.MethodHead:
		return f.key + "#head"
	case isRange(a.r.Header) && (f.response == nil || f.response.kind == part):
		return variantKey(f.key, a.r.Header.Get("Range")+" "+a.r.Header.Get("If-Range")) + "#range"
	case a.credential == "" && a.r.Header["Authorization"] != nil:
		return variantKey(f.key, a.r.Header.Get("Authorization")) + "#auth" // very likely not for others
	}
	return f.key
}

// mayServe asks again, now that time has passed, whether what is stored may stand in for an answer.
func (h *handler) mayServe(f *found, d decision, err error) bool {
	if f.response == nil || f.response.kind != whole {
		return false
	}
	var status *statusError
	if errors.As(err, &status) {
		return d.onStatus
	}
	return d.onError
}

// loadBehind loads behind an answer, unless that is done already.
func (h *handler) loadBehind(a *ask, f found, d decision) {
	behind := *a // the answer goes on with its own
	behind.r = a.r.WithContext(context.WithoutCancel(a.r.Context()))
	need := f.BeginOptions()
	need.Background = true
	if fill := a.route.space.Begin(behind.r.Context(), loadKey(a, &f), need); fill.Leads() {
		x := newExchange(h, fill, &behind, f, d, nil)
		go x.lead()
	}
}

// A statusError says that the origin answered with a server error where something stale can be served.
type statusError struct{ status int }

func (e *statusError) Error() string { return fmt.Sprintf("the origin answered %d", e.status) }

func (h *handler) count(a *ask, o forebay.Outcome) { a.route.space.Count(o) }

// fail answers for an origin that did not.
func (h *handler) fail(w http.ResponseWriter, a *ask, d decision, err error) {
	h.count(a, forebay.Outcome{Status: forebay.Miss})
	w.Header().Add("Cache-Status", "forebay; fwd="+d.why.forward()+"; detail=load-failed")
	h.options.Error(w, a.r, err)
}
