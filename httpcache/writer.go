package httpcache

import (
	"net/http"
	"time"
)

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

// Write implements [http.ResponseWriter]: every reader has it at once.
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
		x.abandonStoring(brokenEvents) // a live stream, not something that ends by the rule
	}
	if x.keep {
		if n := x.response.body.length() + int64(len(p)); n > int64(x.h.options.MaxBody) {
			x.abandonStoring(tooLarge)
		} else if !x.response.body.reserve(n) {
			x.abandonStoring(noRoom)
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

// Held reports, inside the next handler, whether what it writes is held for all that wait: then flushing
// does nothing, because everybody has each byte at once.
func Held(w http.ResponseWriter) bool {
	return exchangeOf(w) != nil
}

// Fail tells the cache, from inside the next handler, that its origin could not be asked: then what is
// stored may stand in, else [Options.Error] answers. It returns false where w is not a writer of the
// cache: then the handler must answer itself.
func Fail(w http.ResponseWriter, err error) bool {
	x := exchangeOf(w)
	if x != nil {
		x.fail(err)
	}
	return x != nil
}

// exchangeOf finds the cache's writer below those of middleware between the cache and its next handler.
func exchangeOf(w http.ResponseWriter) *exchange {
	for {
		switch one := w.(type) {
		case *exchange:
			return one
		case *passWriter: // what is below it is the client's
			return nil
		case interface{ Unwrap() http.ResponseWriter }:
			w = one.Unwrap()
		default:
			return nil
		}
	}
}

// Leave tells the cache, from inside the next handler and before the head of its answer, to store nothing of it and to give it to
// this caller alone, whatever it and the rule say.
func Leave(w http.ResponseWriter) {
	if x := exchangeOf(w); x != nil {
		x.ask.left = true
	}
}

// ClassOf is the class of what w is an answer for, inside the next handler; empty where it is not held.
func ClassOf(w http.ResponseWriter) string {
	if x := exchangeOf(w); x != nil {
		return x.ask.route.class.Name
	}
	return ""
}
