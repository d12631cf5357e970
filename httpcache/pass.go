package httpcache

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
)

// pass lets a request through: the cache only says so, and learns what the response invalidates.
func (h *handler) pass(w http.ResponseWriter, a *ask) {
	if may := h.options.MayChange; may != nil && a.unsafe() && !may(a.r) {
		w.Header().Set("Retry-After", "1")
		h.Refuse(w, a.r, http.StatusServiceUnavailable, "changes", "this client sends more requests a second that may change something than one may")
		return
	}
	o := forebay.Outcome{Status: forebay.Bypass}
	if a.bypass == notStoredSoFar {
		o = forebay.Outcome{Status: forebay.Miss, Reason: forebay.ReasonAbsent}
	}
	h.count(a, o)
	p := &passWriter{ResponseWriter: w, h: h, ask: a}
	end := a.route.space.Pass(a.r.Context(), a.key)
	p.status = http.StatusInternalServerError // unless it answers
	defer func() {
		var err error
		if p.status >= http.StatusInternalServerError {
			err = &statusError{p.status}
		}
		end(err)
	}()
	h.next.ServeHTTP(p, h.ownTags(a.r))
	if !p.wrote {
		p.head(http.StatusOK) // the server will say so for a handler that says nothing
	}
}

// A passWriter looks at a head as it passes.
type passWriter struct {
	http.ResponseWriter
	h     *handler
	ask   *ask
	wrote bool

	status int
}

// WriteHeader implements [http.ResponseWriter].
func (w *passWriter) WriteHeader(status int) {
	if isInterim(status) {
		sendInterim(w.ResponseWriter, w.ask.r, status, nil)
		return
	}
	if !w.wrote {
		w.wrote = true
		w.head(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *passWriter) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// FlushError is what [http.ResponseController] looks for.
func (w *passWriter) FlushError() error {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements [http.Flusher]: libraries look for it without unwrapping.
func (w *passWriter) Flush() { w.FlushError() }

// Hijack implements [http.Hijacker], for an upgrade: what the handler then writes is its own.
func (w *passWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.wrote, w.status = true, http.StatusSwitchingProtocols
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// ReadFrom implements [io.ReaderFrom]: files go the short way.
func (w *passWriter) ReadFrom(r io.Reader) (int64, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return io.Copy(w.ResponseWriter, r)
}

// Unwrap lets [http.ResponseController] reach the writer below.
func (w *passWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *passWriter) head(status int) {
	w.status = status
	w.ask.answered()
	h := w.Header()
	late := ""
	if w.ask.unsafe() && status < 400 && w.h.invalidate(w.ask.r, h) {
		late = "; detail=invalidation-deferred"
	}
	switch w.ask.bypass {
	case notStoredSoFar:
		w.lift(status)
		h.Add("Cache-Status", "forebay; fwd=uri-miss; detail=not-stored")
	case otherMethod:
		h.Add("Cache-Status", "forebay; fwd=method"+late)
	default:
		if late == "" {
			late = "; detail=" + string(w.ask.bypass)
		}
		h.Add("Cache-Status", "forebay; fwd=bypass"+late)
	}
	if !w.h.options.KeepControl {
		for _, name := range controlFields {
			delete(h, name)
		}
	}
}

// lift takes the mark away that a URI's responses are not kept, when one comes that could be: the next
// request loads for all that wait.
func (w *passWriter) lift(status int) {
	h := w.Header()
	v := judge(w.h.options.Profile, w.ask, status, h, responseDirectives(h, w.h.targets), time.Now())
	if v.unsaid && w.h.options.Uncached != nil {
		w.h.options.Uncached(w.ask.r)
	}
	if !v.keep {
		return
	}
	if f := w.h.find(w.ask.r.Context(), w.ask); f.passing {
		f.Drop()
	}
}

// unsafe reports whether a request may change something (RFC 9110, section 9.2.1). One whose method is
// not known may; a POST that a rule makes a query does not.
func (a *ask) unsafe() bool {
	switch a.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "QUERY":
		return false
	case http.MethodPost:
		return a.route.BodyKey == nil || a.route.BodyKey.GraphQL && a.bypass != "" && a.bypass != notStoredSoFar
	}
	return true
}

// invalidate removes what a successful unsafe request has made wrong, before its response goes on: its
// URI, those that Location and Content-Location name on the same host (RFC 9111, section 4.4), and the
// groups that the origin names (RFC 9875, section 3). It reports whether that was deferred: then other nodes
// may go on with what they have for a while, and the client is told.
func (h *handler) invalidate(r *http.Request, fields http.Header) (deferred bool) {
	targets := []forebay.Target{forebay.Tag(uriTag(r.Host, r.URL.RequestURI()))}
	for _, name := range []string{"Location", "Content-Location"} {
		if at := fields.Get(name); at != "" {
			if uri, ok := sameHost(r, at); ok {
				targets = append(targets, forebay.Tag(uriTag(r.Host, uri)))
			}
		}
	}
	for _, group := range groups(fields["Cache-Group-Invalidation"]) {
		targets = append(targets, forebay.Tag(groupTag(r, group)))
	}
	receipt, err := h.cache.Invalidate(r.Context(), targets...)
	return receipt.Deferred || err != nil // a target is only refused for its form, which these have
}

// sameHost resolves a reference, and returns its path and query if it is on the host of the request.
func sameHost(r *http.Request, reference string) (uri string, ok bool) {
	u, err := r.URL.Parse(reference)
	if err != nil || u.Opaque != "" {
		return "", false
	}
	if u.Host != "" {
		secure := r.TLS != nil
		if u.Scheme != "" {
			secure = strings.EqualFold(u.Scheme, "https")
		}
		if host, valid := normalHost(u.Host, secure); !valid || host != r.Host {
			return "", false
		}
	}
	return (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}).RequestURI(), true
}
