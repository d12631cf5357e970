package httpcache

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
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
	due         *time.Timer // when the client is answered in any case
}

func newExchange(h *handler, fill *forebay.Fill[*response], a *ask, f found, d decision, early *hints) *exchange {
	return &exchange{h: h, fill: fill, ask: a, found: f, why: d, early: early, header: make(http.Header), length: -1}
}

// lead runs the load: in the goroutine of the client that leads it, or in one of its own.
func (x *exchange) lead() {
	if t := x.ask.route.class.LoadTimeout; t > 0 && x.delivery != nil {
		x.due = time.AfterFunc(t, x.delivery.beside) // a handler may not heed its context
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

// Header implements [http.ResponseWriter].
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements [http.ResponseWriter].
func (x *exchange) WriteHeader(status int) {
	switch {
	case x.response != nil || x.failed != nil:
	case status >= 100 && status < 200:
		x.early.send(status, x.header)
	default:
		x.head(status)
	}
}

// Write implements [http.ResponseWriter]: everybody who reads has it at once.
func (x *exchange) Write(p []byte) (int, error) {
	if x.response == nil && x.failed == nil {
		x.head(http.StatusOK)
	}
	switch {
	case x.failed != nil:
		return 0, x.failed
	case x.response.status == http.StatusNoContent || x.response.status == http.StatusNotModified:
		return 0, http.ErrBodyNotAllowed
	case x.ask.r.Method == http.MethodHead, x.found.response != nil && x.response.body == x.found.response.body:
		return len(p), nil // there is none to be stored
	}
	if now := time.Now(); now.Sub(x.touched) > progressEach {
		x.touched = now
		x.fill.Publish(x.response)
	}
	if x.events.write(p); x.keep && x.events.hopeless() {
		x.unkeep(brokenEvents) // a live stream, not something that ends by the rule
	}
	if x.keep {
		if n := x.response.body.length() + int64(len(p)); n > int64(x.h.options.MaxBody) {
			x.unkeep(tooLarge)
		} else if !x.response.body.reserve(n) {
			x.unkeep(noRoom)
		}
	}
	if err := x.response.body.write(x.fill.Context(), p); err != nil {
		x.failed = err
		return 0, err
	}
	return len(p), nil
}

// progressEach is how often the fill is told that the body goes on.
const progressEach = time.Second

// Flush implements [http.Flusher]. Nothing is held back here.
func (x *exchange) Flush() { x.FlushError() }

// FlushError is what [http.ResponseController] looks for.
func (x *exchange) FlushError() error {
	if x.response == nil && x.failed == nil {
		x.head(http.StatusOK)
	}
	return x.failed
}

// fail says that there is no answer: see [Fail].
func (x *exchange) fail(err error) {
	if x.response == nil && x.failed == nil {
		x.failed = err
	}
}

// Held reports, inside the next handler, whether what it writes is held for all who wait: then flushing
// does nothing, because everybody has each byte at once.
func Held(w http.ResponseWriter) bool {
	_, ok := w.(*exchange)
	return ok
}

// Fail tells the cache, from inside the next handler, that its origin could not be asked: then what is
// stored may stand in, else [Options.Error] answers. It returns false where w is no writer of the
// cache: then the handler must answer itself.
func Fail(w http.ResponseWriter, err error) bool {
	x, ok := w.(interface{ fail(error) })
	if ok {
		x.fail(err)
	}
	return ok
}

// head is called with the final status: the response is published, and read while its body grows.
func (x *exchange) head(status int) {
	now := time.Now()
	switch {
	case status < 200 || status > 999:
		x.failed = &statusError{status}
		return
	case status == http.StatusNotModified && x.conditional:
		x.freshen(now)
		return
	case status >= 500 && x.why.onStatus:
		x.failed = &statusError{status}
		return
	case x.continued && !x.continues(status):
		x.failed = errNotTheRest
		return
	}
	x.length = announced(x.header)
	d := responseDirectives(x.header, x.h.targets)
	v := judge(x.h.options.Profile, x.ask, status, x.header, d, now)
	r := x.received(status, d, v, now)
	if x.why.forced {
		r.reloads = x.found.response.reloads.more(now)
	}
	x.response, x.keep = r, v.keep && x.worth(r, now)
	if !x.place(r) || x.ask.r.Method == http.MethodHead {
		x.keep = false
	}
	why := v.why
	if tags, few := tagsOf(x.ask.r, x.header); !few {
		x.keep, v.lasting, why = false, true, tooManyTags
		r.tags = tags[:maxTags]
	} else {
		r.tags = tags
	}
	if x.keep && x.length > int64(x.h.options.MaxBody) {
		x.keep, v.lasting, why = false, true, tooLarge
	}
	if x.keep && r.events {
		x.events = newEventCheck(x.ask.route.Events)
	}
	kept := x.keep
	if !x.fillBody(r) && kept {
		why = noRoom
		x.h.bodies.refused.Add(1)
	}
	r.shareable = v.share && (!v.keep || x.keep || x.ask.r.Method == http.MethodHead)
	if !x.keep {
		x.ask.route.space.NotStored(string(cmp.Or(why, tooLarge)))
	}
	x.tell(r, v, now)
}

// received is a response with the fields that go on.
func (x *exchange) received(status int, d directives, v verdict, now time.Time) *response {
	on, control := x.h.split(x.header)
	if on["Date"] == nil {
		on["Date"] = []string{now.UTC().Format(http.TimeFormat)}
	}
	r := &response{status: status, header: on, control: control, events: isEvents(on)}
	r.terms = termsOf(x.h.options.Profile, x.ask, on, d, v.lifetime, x.asked, now)
	r.vary = x.selecting(on)
	r.selected = x.h.selectedBy(r.vary, x.ask)
	return r
}

// selecting are the names of the fields that choose a response: what it varies on, what others of its
// URI are known to vary on, so that one that says nothing does not take their place (RFC 9111, section
// 4.1), and Accept-Encoding where it is encoded: else a client gets a coding that it refuses.
func (x *exchange) selecting(h http.Header) []string {
	names, _ := varyNames(h["Vary"])
	if h["Content-Encoding"] != nil && !slices.Contains(names, "Accept-Encoding") {
		names = append(names, "Accept-Encoding")
	}
	if x.found.index != nil && len(x.found.index.vary) <= maxSelecting {
		names = append(names, x.found.index.vary...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// maxSelecting bounds the names that one URI's responses are chosen by together.
const maxSelecting = 16

// tell lets everybody know that there is a head.
func (x *exchange) tell(r *response, v verdict, now time.Time) {
	if v.unsaid && x.h.options.Uncached != nil {
		x.h.options.Uncached(x.ask.r)
	}
	if v.lasting && !x.keep && x.ask.r.Method != http.MethodHead && (x.found.response == nil || !x.worth(x.found.response, now)) {
		x.mark() // a refusal is no news of what is stored for others
	}
	if x.ask.r.Method == http.MethodHead {
		x.updateByHead() // all there is has come
	}
	x.touched = now
	x.fill.Publish(r, r.tags...)
	switch {
	case x.ask.r.Method == http.MethodHead || !bodyAllowed(r.status):
	case !x.keep:
		x.fill.Detach() // a newcomer gets an answer of its own, from its first byte
	case r.events && x.early != nil:
		x.fill.Release()                                  // it may go on for ever, …
		r.body.whenUnreadFor(abandonedFor, x.fill.Cancel) // … if anybody reads it
	}
	if x.delivery == nil {
		return
	}
	if x.length > 0 && x.length <= short && !r.events {
		if x.due == nil {
			x.due = time.AfterFunc(flushAfter, x.delivery.beside)
		} else {
			x.due.Reset(flushAfter)
		}
		return
	}
	x.delivery.beside()
}

// short is a body that very likely comes with its head: then the client has both at once.
const short = 16 << 10

// fillBody gives the response the body that Write writes to. Without room for it the answer passes: that
// is no news of the next one.
func (x *exchange) fillBody(r *response) (room bool) {
	r.body = newBody(x.window())
	r.body.budget = &x.h.bodies
	if x.keep && !r.body.reserve(max(x.length, 0)) {
		x.keep = false
		r.body.limit = x.window()
	}
	room = x.keep
	if x.keep {
		r.body.grow(x.length)
	}
	r.storing = x.keep
	r.body.data = append(r.body.data, x.before...)
	r.body.served = x.early == nil
	if !x.keep {
		r.body.whenUnread(x.fill.Cancel)
		r.body.firstReadWithin(patience)
	}
	return room
}

// worth reports whether storing a response could serve anybody.
func (x *exchange) worth(r *response, now time.Time) bool {
	return r.left(now) > 0 || r.validator() || max(r.staleWhileRevalidate, r.staleIfError) > max(-r.left(now), 0)
}

// markLife is how long a URI is remembered as one whose responses are not kept.
const markLife = 30 * time.Second

// window is how much of a body stays in memory.
func (x *exchange) window() int {
	if x.keep {
		return x.h.options.MaxBody
	}
	return min(passWindow, x.h.options.MaxBody)
}

// passWindow is how much of a body that will not be stored is held for its reader.
const passWindow = 32 << 10

// announced is the length that the response announces, or -1.
func announced(h http.Header) int64 {
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 63); err == nil {
		return n
	}
	return -1
}

// mark remembers that the responses of this URI are not kept.
func (x *exchange) mark() {
	x.fill.CommitAs(x.found.key, &response{kind: passing}, forebay.Keep{TTL: markLife, Stale: -1, StaleIfError: -1, NearOnly: true})
}

// unkeep gives up storing a body that outgrew what is kept: it goes on as a window, and as a stream of
// those who read it.
func (x *exchange) unkeep(why why) {
	x.keep = false
	x.ask.route.space.NotStored(string(why))
	if why == noRoom {
		x.h.bodies.refused.Add(1)
	} else {
		x.mark()
	}
	x.response.body.narrow(x.window())
	x.response.body.whenUnread(x.fill.Cancel)
	x.response.body.firstReadWithin(patience)
	x.fill.Detach()
}

// finish ends the load. What is whole is stored before its readers learn that it is: whoever has read
// the end and asks again gets a hit.
func (x *exchange) finish(err error) {
	if x.due != nil {
		x.due.Stop()
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
		return // validated: it was stored with its head
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
