package httpcache

import (
	"errors"
	"net/http"
	"strconv"
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
	h.chooseForm(a, f)
	a.repeat = h.repeatOf(a, f, d)
	var scratch [96]byte
	h.write(w, a, f.response, appendStatus(scratch[:0], o), d.age, nil)
}

// serveInstead answers with something stale for an origin that did not.
func (h *handler) serveInstead(w http.ResponseWriter, a *ask, f *found, d decision, err error) {
	o := f.Outcome
	o.Status, o.TTL = forebay.StaleHit, d.left
	h.count(a, o)
	h.chooseForm(a, f)
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
	switch {
	case d.why == isInvalidated:
		status = append(status, "; detail=invalidated"...)
	case r.unstored != "":
		status = append(append(status, "; detail="...), r.unstored...)
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
	body, forms := h.chooseBody(header, a, r)
	h.tellServed(w, a, r)
	tag, unmodified := r.notModified(a.r.Header, header["Etag"], forms)
	h.tellRepeat(a, r, body, unmodified)
	if unmodified {
		writeNotModified(w, tag)
		return
	}
	data, trailer, isWhole := body.complete()
	if isWhole && len(data) > smallBody && a.r.Method != http.MethodHead {
		if !body.pin(a.r.Context(), h.bodies) {
			clear(header)
			WriteError(w, a.r, &forebay.BusyError{Class: a.route.class.Name, RetryAfter: time.Second})
			return
		}
		defer body.unpin()
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

// chooseBody is the body that is sent, with what the fields say of it; forms is nil where there is only one.
func (h *handler) chooseBody(header http.Header, a *ask, r *response) (b *body, forms *Compression) {
	f := h.formsOf(a, r)
	if f == nil {
		return r.body, nil
	}
	header["Vary"] = f.vary
	if a.form == nil {
		return r.body, h.options.Compression
	}
	a.describe(header, f, h.options.Compression)
	return a.form.body, h.options.Compression
}

func writeNotModified(w http.ResponseWriter, tag []string) {
	header := w.Header()
	if tag != nil {
		header["Etag"] = tag
	}
	for _, name := range []string{"Content-Length", "Content-Encoding", "Content-Range", "Content-Type"} {
		delete(header, name)
	}
	w.WriteHeader(http.StatusNotModified)
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
