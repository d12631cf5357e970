package httpcache

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay"
)

// An exchange is one load: the next handler is called with it as its ResponseWriter, on behalf of all
// who wait. It owns the fill.
type exchange struct {
	h        *handler
	fill     *forebay.Fill[*response]
	ask      *ask
	found    found
	why      decision
	early    *hints    // where to send 1xx responses; nil: nobody waits
	delivery *delivery // to the client in whose goroutine this runs; nil: it has one of its own
	asked    time.Time

	header      http.Header // as the handler sets it
	response    *response   // once there is a head
	keep        bool
	events      *eventCheck
	conditional bool // what is stored is being validated
	continued   bool // what is stored is a part, and the rest was asked for
	again       bool // what was stored is of no use: the whole is asked for
	length      int64
	before      []byte    // the part of the body that was stored
	touched     time.Time // when the fill was last told of progress
	failed      error
	watch       *time.Timer // over the client that waits in this goroutine
	hasHead     atomic.Bool // which that client has not
}

func newExchange(h *handler, fill *forebay.Fill[*response], a *ask, f found, d decision, early *hints) *exchange {
	return &exchange{h: h, fill: fill, ask: a, found: f, why: d, early: early, header: make(http.Header), length: -1}
}

// lead runs the load: in the goroutine of the client that leads it, or in one of its own.
func (x *exchange) lead() {
	if x.delivery != nil {
		x.watch = time.AfterFunc(time.Hour, x.lookAtClient)
		x.watch.Reset(x.lookAfter())
	}
	defer x.fill.Release()
	defer x.fill.Recover()
	must, err := x.fill.Acquire(x.found.response == nil || !x.why.onError)
	if err != nil {
		x.fill.Abandon(err)
	}
	if !must {
		return
	}
	x.asked = time.Now()
	err = x.call()
	if x.failed == errNotTheRest {
		err = x.wholeAgain()
	}
	x.finish(err)
}

// call runs the next handler. Its panic is an answer that broke off.
func (x *exchange) call() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errTruncated
			if p != http.ErrAbortHandler {
				err = &forebay.PanicError{Value: p, Stack: debug.Stack()}
				x.h.options.Logger.Error("httpcache: the handler panicked", "method", x.ask.r.Method, "path", x.ask.r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			}
		}
	}()
	x.h.next.ServeHTTP(x, x.request())
	return x.failed
}

// lookEvery is how late a client that leads a load may be found gone: to be told by its context would cost a tenth of
// what a miss allocates.
const lookEvery = 250 * time.Millisecond

func (x *exchange) lookAfter() time.Duration {
	if t := x.ask.route.class.LoadTimeout; t > 0 {
		return min(t, lookEvery)
	}
	return lookEvery
}

// lookAtClient answers the client beside the load where it waits for no more: the body is late behind its head, the
// client has gone, or the load's time is up and the handler does not heed that.
func (x *exchange) lookAtClient() {
	if x.hasHead.Load() || x.ask.r.Context().Err() != nil || x.fill.Context().Err() != nil {
		x.delivery.startAsync()
		return
	}
	if x.watch.Reset(x.lookAfter()); x.hasHead.Load() { // it has come meanwhile
		x.watch.Reset(flushAfter)
	}
}

// finish ends the load. What is whole is stored before its readers learn that it is: a client that has read
// the end and asks again gets a hit.
func (x *exchange) finish(err error) {
	if x.watch != nil {
		x.watch.Stop()
	}
	if x.response == nil && err == nil {
		x.head(http.StatusOK)
		err = x.failed
	}
	if x.response == nil {
		x.fill.Abandon(x.timeout(err))
		return
	}
	body := x.response.body
	if x.found.response != nil && body == x.found.response.body {
		x.fill.Abandon(nil) // validated: it was stored with its head, which ends only a load of its own key
		return
	}
	if err == nil && x.ask.r.Method != http.MethodHead && x.length >= 0 && body.length() != x.length && bodyAllowed(x.response.status) {
		err = errTruncated
	}
	if err != nil {
		body.end(x.timeout(err), nil)
		x.fill.Abandon(err)
		return
	}
	trailer := x.h.trailers(x.header)
	if x.keep && x.events.whole() {
		body.prepare(trailer)
		x.store(x.merged())
	}
	body.end(nil, trailer)
	if status := x.response.status; status >= 500 {
		err = &statusError{status} // everybody has it, but it counts as a failed load
	}
	x.fill.Abandon(err)
}

// timeout names the load's own timeout where the handler reports what followed from it.
func (x *exchange) timeout(err error) error {
	switch cause := context.Cause(x.fill.Context()); {
	case errors.Is(cause, context.DeadlineExceeded):
		return forebay.ErrLoadTimeout
	case err == nil:
		return cause
	}
	return err
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// trailers collects what a handler said behind its body, but for what has no place there.
func (h *Cache) trailers(fields http.Header) (out http.Header) {
	add := func(name string, lines []string) {
		if HeaderOnly(name) || !h.options.KeepControl && slices.Contains(controlFields, name) {
			return
		}
		if out == nil {
			out = make(http.Header)
		}
		out[name] = lines
	}
	for _, line := range fields["Trailer"] {
		for name := range splitList(line) {
			if lines := fields[http.CanonicalHeaderKey(name)]; lines != nil {
				add(http.CanonicalHeaderKey(name), lines)
			}
		}
	}
	for name, lines := range fields {
		if bare, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			add(http.CanonicalHeaderKey(bare), lines)
		}
	}
	return out
}
