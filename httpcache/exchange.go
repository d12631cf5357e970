package httpcache

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
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
	x.finish(x.call())
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

// request is what the origin is asked: for the whole, or whether what is stored is still the one.
func (x *exchange) request() *http.Request {
	a := x.ask
	r := a.r.WithContext(x.fill.Context())
	r.Header = maps.Clone(a.r.Header) // the lines are never changed
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
	if a.method != http.MethodGet {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(a.body)), int64(len(a.body))
	}
	if x.h.options.Profile == Safe && a.route.ruled {
		forwardKeyed(r, a.route)
	}
	for _, name := range []string{"If-None-Match", "If-Modified-Since", "If-Range", "Range"} {
		delete(r.Header, name) // the answer is for all who wait
	}
	if a.r.Method != http.MethodHead && (x.found.response == nil || x.found.response.kind == part) {
		for _, name := range []string{"Range", "If-Range"} { // those who wait have both in common
			if lines := a.r.Header[name]; lines != nil && a.r.Header["Range"] != nil {
				r.Header[name] = lines
			}
		}
	}
	x.addConditions(r)
	r.Header["Surrogate-Capability"] = capability
	return r
}

// addConditions asks for less than the whole, where what is stored allows it (RFC 9111, sections 4.3.1
// and 3.4).
func (x *exchange) addConditions(r *http.Request) {
	old := x.found.response
	if old == nil {
		return
	}
	if old.kind == part {
		if _, whole := r.Header["Range"]; !whole && old.first == 0 && old.strongTag() != "" && r.Method == http.MethodGet {
			r.Header.Set("Range", "bytes="+strconv.FormatInt(old.body.length(), 10)+"-")
			r.Header.Set("If-Range", old.strongTag())
		}
		return
	}
	if tag := old.header.Get("Etag"); tag != "" {
		r.Header.Set("If-None-Match", tag)
		x.conditional = true
	}
	if modified := old.header.Get("Last-Modified"); modified != "" {
		r.Header.Set("If-Modified-Since", modified)
		x.conditional = true
	}
}

// forwardKeyed leaves of a request's fields only those that are part of the key, so that no other can
// shape what is stored. The address of the first caller says nothing of the others.
func forwardKeyed(r *http.Request, rt *route) {
	all := r.Header
	r.Header = make(http.Header, len(rt.keyed)+4)
	for _, name := range rt.keyed {
		if lines := all[name]; lines != nil {
			r.Header[name] = []string{normalised(name, lines)}
		}
	}
	for _, name := range credentialFields {
		if lines := all[name]; lines != nil {
			r.Header[name] = lines
		}
	}
	for _, name := range []string{"Content-Type", "Content-Encoding"} {
		if lines := all[name]; lines != nil && r.ContentLength > 0 {
			r.Header[name] = lines
		}
	}
	r.Header["User-Agent"] = []string{""} // none, rather than the HTTP client's own
	r.RemoteAddr = ""
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
	x.events.write(p)
	if x.keep && x.response.body.length()+int64(len(p)) > int64(x.h.options.MaxBody) {
		x.unkeep()
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
func (x *exchange) Flush() {
	if x.response == nil && x.failed == nil {
		x.head(http.StatusOK)
	}
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
	case status == http.StatusNotModified && x.conditional:
		x.freshen(now)
		return
	case status >= 500 && x.why.onStatus:
		x.failed = &statusError{status}
		return
	}
	x.length = announced(x.header)
	d := responseDirectives(x.header, x.h.targets)
	v := storable(x.h.options.Profile, x.ask, status, x.header, d, now)
	h := endToEnd(x.header)
	if h["Date"] == nil {
		h["Date"] = []string{now.UTC().Format(http.TimeFormat)}
	}
	r := &response{status: status, header: h, terms: termsOf(x.h.options.Profile, x.ask, h, d, v.lifetime, x.asked, now)}
	r.vary, _ = varyNames(h["Vary"])
	r.selected = selectedBy(r.vary, x.ask.r.Header)
	r.events = isEvents(h)
	x.response, x.keep = r, v.keep && x.worth(r, now)
	if !x.place(r) || x.ask.r.Method == http.MethodHead {
		x.keep = false
	}
	if x.keep {
		var few bool
		if r.tags, few = tagsOf(x.ask.r, h); !few || x.length > int64(x.h.options.MaxBody) {
			x.keep, v.mark = false, true
		}
	}
	if x.keep && r.events {
		x.events = newEventCheck(x.ask.route.Events)
	}
	r.shareable = v.keep && (x.keep || x.ask.r.Method == http.MethodHead) || x.h.options.Profile == Safe && status >= 400 && h["Set-Cookie"] == nil
	x.fillBody(r)
	if !x.keep {
		x.ask.route.space.NotStored(cmp.Or(v.why, "too-large-or-partial"))
	}
	if v.unsaid && x.h.options.Uncached != nil {
		x.h.options.Uncached(x.ask.r)
	}
	if v.mark && !x.keep && x.ask.r.Method != http.MethodHead {
		x.mark()
	}
	if x.ask.r.Method == http.MethodHead {
		x.updateByHead() // all there is has come
	}
	x.touched = now
	x.fill.Publish(r, r.tags...)
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

// fillBody gives the response the body that Write writes to.
func (x *exchange) fillBody(r *response) {
	r.storing = x.keep
	r.body = newBody(x.window(), x.length)
	r.body.data = append(r.body.data, x.before...)
	r.body.served = x.early == nil
	if !x.keep {
		r.body.whenUnread(x.fill.Cancel)
	}
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
const passWindow = 256 << 10

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

// unkeep gives up storing a body that outgrew what is kept: it goes on as a window.
func (x *exchange) unkeep() {
	x.keep = false
	x.mark()
	x.response.body.whenUnread(x.fill.Cancel)
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
	trailer := trailers(x.header)
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

// trailers collects what a handler said behind its body.
func trailers(h http.Header) (out http.Header) {
	add := func(name string, lines []string) {
		if out == nil {
			out = make(http.Header)
		}
		out[name] = lines
	}
	for _, name := range h["Trailer"] {
		for name := range splitList(name) {
			if lines := h[http.CanonicalHeaderKey(name)]; lines != nil {
				add(http.CanonicalHeaderKey(name), lines)
			}
		}
	}
	for name, lines := range h {
		if len(name) > len(http.TrailerPrefix) && name[:len(http.TrailerPrefix)] == http.TrailerPrefix {
			add(name[len(http.TrailerPrefix):], lines)
		}
	}
	return out
}
