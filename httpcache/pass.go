package httpcache

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
)

// pass lets a request through: the cache only says so, and learns what the response invalidates.
func (h *handler) pass(w http.ResponseWriter, a *ask) {
	o := forebay.Outcome{Status: forebay.Bypass}
	if a.bypass == "not-stored" {
		o = forebay.Outcome{Status: forebay.Miss, Reason: forebay.Absent}
	}
	h.count(a, o)
	p := &passWriter{ResponseWriter: w, h: h, ask: a}
	h.next.ServeHTTP(p, a.r)
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
}

// WriteHeader implements [http.ResponseWriter].
func (w *passWriter) WriteHeader(status int) {
	if !w.wrote && (status >= 200 || status == http.StatusSwitchingProtocols) {
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

// Unwrap lets [http.ResponseController] reach the writer below.
func (w *passWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *passWriter) head(status int) {
	h := w.Header()
	if w.ask.unsafe() && status < 400 {
		w.h.invalidate(w.ask.r, h)
	}
	switch w.ask.bypass {
	case "not-stored":
		w.lift(status)
		h.Add("Cache-Status", "forebay; fwd=uri-miss; detail=not-stored")
	case string(byMethod):
		h.Add("Cache-Status", "forebay; fwd=method")
	default:
		h.Add("Cache-Status", "forebay; fwd=bypass; detail="+w.ask.bypass)
	}
}

// lift takes back the mark that a URI's responses are not kept, when one comes that could be.
func (w *passWriter) lift(status int) {
	h := w.Header()
	d := responseDirectives(h, w.h.targets)
	v := storable(w.h.options.Profile, w.ask, status, h, d, time.Now())
	if v.unsaid && w.h.options.Uncached != nil {
		w.h.options.Uncached(w.ask.r)
	}
	if !v.keep {
		return
	}
	if f := w.h.find(w.ask.r.Context(), w.ask); f.passing {
		f.Value.lifted.Store(true)
	}
}

// unsafe reports whether a request may change something (RFC 9110, section 9.2.1). One whose method is
// not known may; a POST that a rule makes a query does not.
func (a *ask) unsafe() bool {
	switch a.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, "QUERY":
		return false
	case http.MethodPost:
		return a.route.BodyKey == nil
	}
	return true
}

// invalidate removes what a successful unsafe request has made wrong, before its response goes on: its
// URI, those that Location and Content-Location name on the same host (RFC 9111, section 4.4), and the
// groups that the origin names (RFC 9875, section 3).
func (h *handler) invalidate(r *http.Request, fields http.Header) {
	targets := []forebay.Target{forebay.Tag(uriTag(r.Host, r.URL.RequestURI()))}
	for _, name := range []string{"Location", "Content-Location"} {
		if at := fields.Get(name); at != "" {
			if u, err := r.URL.Parse(at); err == nil && (u.Host == "" || strings.EqualFold(u.Host, r.Host)) {
				targets = append(targets, forebay.Tag(uriTag(r.Host, (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).RequestURI())))
			}
		}
	}
	for _, group := range groups(fields["Cache-Group-Invalidation"]) {
		targets = append(targets, forebay.Tag(groupTag(r, group)))
	}
	// A target is only refused for its form, and the log being away defers it.
	h.cache.Invalidate(r.Context(), targets...)
}
