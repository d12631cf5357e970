package httpcache

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/forebay-cache/forebay"
)

// serveStored answers with what is stored.
func (h *handler) serveStored(w http.ResponseWriter, a *ask, f *found, d decision) {
	o := f.Outcome
	o.Status, o.TTL = forebay.Hit, d.left
	if d.stale {
		o.Status = forebay.StaleHit
	}
	h.count(a, o)
	var scratch [96]byte
	h.write(w, a, f.response, appendStatus(scratch[:0], o), d.age, nil)
}

// serveInstead answers with something stale for an origin that did not.
func (h *handler) serveInstead(w http.ResponseWriter, a *ask, f *found, d decision, err error) {
	o := f.Outcome
	o.Status, o.TTL = forebay.StaleHit, d.left
	h.count(a, o)
	status := append(append(appendStatus(nil, o), "; fwd="...), d.why.forward()...)
	var answered *statusError
	if errors.As(err, &answered) {
		status = strconv.AppendInt(append(status, "; fwd-status="...), int64(answered.status), 10)
	}
	h.write(w, a, f.response, status, d.age, nil)
}

// serveLoaded answers with what a load brings, while it arrives. It returns false where the beginning is
// gone already.
func (h *handler) serveLoaded(w http.ResponseWriter, a *ask, r *response, o forebay.Outcome, d decision) bool {
	reader, err := r.body.read()
	if err != nil {
		return false
	}
	defer reader.close()
	if err := r.body.failure(); err != nil {
		h.fail(w, a, d, err)
		return true
	}
	h.count(a, o)
	var scratch [96]byte
	status, age := append(append(scratch[:0], "forebay; fwd="...), d.why.forward()...), time.Duration(noAge)
	if r.validated {
		status, age = append(status, "; fwd-status=304"...), r.age(time.Now())
	}
	switch {
	case o.Status == forebay.Coalesced:
		status = append(status, "; collapsed"...)
	case r.storing:
		status = append(status, "; stored"...)
	}
	if d.why == isInvalidated {
		status = append(status, "; detail=invalidated"...)
	}
	h.write(w, a, r, status, age, reader)
	return true
}

// ownFields are what the cache adds: Cache-Status, and Age where age is not negative. They share one
// piece of memory, behind what the cache before this one said.
func (a *ask) ownFields(h http.Header, status []byte, age time.Duration) {
	n := len(status)
	if age >= 0 {
		status = strconv.AppendInt(status, int64(age/time.Second), 10)
	}
	text := string(status)
	a.own = [2]string{text[:n], text[n:]}
	if upstream := h["Cache-Status"]; upstream != nil {
		h["Cache-Status"] = append(upstream[:len(upstream):len(upstream)], a.own[0])
	} else {
		h["Cache-Status"] = a.own[0:1:1]
	}
	if age >= 0 {
		h["Age"] = a.own[1:2:2]
	}
}

// noAge: the answer comes from the origin, which says its age itself.
const noAge = -1

// write sends a response, or the part of it that the client asks for.
func (h *handler) write(w http.ResponseWriter, a *ask, r *response, status []byte, age time.Duration, from *reader) {
	header := w.Header()
	for name, lines := range r.header {
		header[name] = lines
	}
	a.ownFields(header, status, age)
	if r.notModified(a.r.Header) {
		for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Range", "Content-Type"} {
			delete(header, name)
		}
		w.WriteHeader(http.StatusNotModified)
		return
	}
	data, trailer, isWhole := r.body.complete()
	if isWhole && len(data) > smallBody && a.r.Method != http.MethodHead {
		if !r.body.pin(a.r.Context(), &h.bodies) {
			clear(header)
			WriteError(w, a.r, &forebay.BusyError{Class: a.route.class.Name, RetryAfter: time.Second})
			return
		}
		defer r.body.unpin()
		to := h.bodies.send(w)
		defer to.close()
		w = sending{w, to}
	}
	if first, end, ok := r.slice(a.r.Header); ok && (r.status == http.StatusOK || r.kind == part) && a.r.Method == http.MethodGet {
		h.writeRange(w, r, data, first, end)
		return
	}
	if isWhole && header["Content-Length"] == nil && len(trailer) == 0 && bodyAllowed(r.status) {
		header["Content-Length"] = []string{strconv.Itoa(len(data))}
	}
	if len(trailer) > 0 {
		delete(header, "Content-Length")
	}
	w.WriteHeader(r.status)
	switch {
	case a.r.Method == http.MethodHead || !bodyAllowed(r.status):
	case isWhole && r.events:
		replay(a.r.Context(), w, data, a.route.Pace)
	case isWhole:
		w.Write(data)
		writeTrailer(w, trailer)
	default:
		to := h.bodies.send(w)
		defer to.close()
		stream(a.r.Context(), sending{w, to}, r, from)
	}
}

// sending writes to a client piece by piece.
type sending struct {
	http.ResponseWriter
	to *client
}

// Write implements [http.ResponseWriter].
func (s sending) Write(p []byte) (int, error) { return s.to.Write(p) }

// Unwrap lets [http.ResponseController] reach the writer below.
func (s sending) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (h *handler) writeRange(w http.ResponseWriter, r *response, data []byte, first, end int64) {
	header := w.Header()
	of := r.of
	if r.kind == whole {
		of = int64(len(data))
	}
	if first >= end {
		delete(header, "Content-Length")
		header.Set("Content-Range", "bytes */"+strconv.FormatInt(of, 10))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	header["Content-Range"] = []string{rangeField(first, end, of)}
	header["Content-Length"] = []string{strconv.FormatInt(end-first, 10)}
	w.WriteHeader(http.StatusPartialContent)
	w.Write(data[first-r.first : end-r.first])
}

// writeTrailer flushes first: a short body would else go with its length, and there is no place for a
// trailer behind that.
func writeTrailer(w http.ResponseWriter, trailer http.Header) {
	if len(trailer) == 0 || http.NewResponseController(w).Flush() != nil {
		return
	}
	for name, lines := range trailer {
		w.Header()[http.TrailerPrefix+name] = lines
	}
}

// flushAfter is how long a head may wait for the first of its body: one write instead of two.
const flushAfter = time.Millisecond

// stream sends a body while it arrives. What breaks off at the origin breaks off here: the client must
// not take it for whole.
func stream(ctx context.Context, w http.ResponseWriter, r *response, from *reader) {
	flusher := http.NewResponseController(w)
	atOnce := r.incremental() || r.header["Content-Length"] == nil
	flushed := false
	for {
		p, more, err := from.next()
		switch {
		case err != nil:
			panic(http.ErrAbortHandler)
		case len(p) > 0:
			if _, err := w.Write(p); err != nil {
				return
			}
			flushed = false
			continue
		case more == nil:
			_, trailer, _ := r.body.complete()
			writeTrailer(w, trailer)
			return
		}
		if !flushed && !wait(ctx, more, atOnce) {
			flushed = true
			if flusher.Flush() != nil {
				return
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// wait gives what is missing a moment before what is there is flushed.
func wait(ctx context.Context, more <-chan struct{}, no bool) bool {
	if no {
		return false
	}
	t := time.NewTimer(flushAfter)
	defer t.Stop()
	select {
	case <-more:
		return true
	case <-t.C:
		return false
	case <-ctx.Done():
		return true
	}
}

// replay sends stored events one by one.
func replay(ctx context.Context, w http.ResponseWriter, data []byte, pace time.Duration) {
	flusher := http.NewResponseController(w)
	for len(data) > 0 {
		var event []byte
		event, data = nextEvent(data)
		if _, err := w.Write(event); err != nil || flusher.Flush() != nil {
			return
		}
		if pace <= 0 || len(data) == 0 {
			continue
		}
		select {
		case <-time.After(pace):
		case <-ctx.Done():
			return
		}
	}
}

// hints passes interim responses (1xx) on to the client whose request led to them, until it is answered.
type hints struct {
	mu    sync.Mutex // guards what follows
	to    http.ResponseWriter
	r     *http.Request // of the client
	ended bool
}

func (e *hints) send(status int, fields http.Header) {
	if e == nil || !isInterim(status) || status == http.StatusContinue {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ended {
		sendInterim(e.to, e.r, status, fields)
	}
}

func isInterim(status int) bool {
	return status >= 100 && status < 200 && status != http.StatusSwitchingProtocols
}

// sendInterim sends a 1xx with the fields that are there and others. It is not sent to a client of HTTP/1.0,
// which would take it for the answer (RFC 9110, section 15.2); fields of the hop end here.
func sendInterim(w http.ResponseWriter, r *http.Request, status int, fields http.Header) {
	if !r.ProtoAtLeast(1, 1) {
		return
	}
	h := w.Header()
	before := cloneFields(h)
	for name, lines := range fields {
		if _, there := h[name]; !there {
			h[name] = lines
		}
	}
	on := endToEnd(h)
	maps.DeleteFunc(h, func(name string, _ []string) bool { return on[name] == nil })
	w.WriteHeader(status)
	clear(h)
	maps.Copy(h, before)
}

func (e *hints) end() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
}
