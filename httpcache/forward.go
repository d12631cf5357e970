package httpcache

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
)

// request is what the origin is asked: for the whole, or whether what is stored is still the one.
func (x *exchange) request() *http.Request {
	a := x.ask
	r := a.r.WithContext(x.fill.Context())
	r.Header = x.h.forwarded(a)
	r.Body, r.ContentLength, r.TransferEncoding, r.Trailer = http.NoBody, 0, nil, nil
	if !a.bodiless() {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(a.body)), int64(len(a.body))
		for _, name := range []string{"Content-Type", "Content-Encoding"} { // part of the key: see key
			if lines := a.r.Header[name]; lines != nil {
				r.Header[name] = lines
			}
		}
	}
	if x.h.options.Profile == Safe {
		r.RemoteAddr = "" // that of the first caller says nothing of the others
	}
	if r.Header["User-Agent"] == nil {
		r.Header["User-Agent"] = []string{""} // none, rather than the HTTP client's own
	}
	switch { // for the caches on the way (RFC 9111, section 5.2)
	case a.directives.noCache:
		r.Header["Cache-Control"] = []string{"no-cache"}
	case a.directives.maxAge.set && a.directives.maxAge.d == 0:
		r.Header["Cache-Control"] = []string{"max-age=0"}
	}
	x.addRange(r)
	x.addConditions(r)
	r.Header["Surrogate-Capability"] = capability
	return r
}

// addRange asks for the part that those that wait have in common.
func (x *exchange) addRange(r *http.Request) {
	h := x.ask.r.Header
	if x.ask.r.Method == http.MethodHead || x.again || x.found.response != nil && x.found.response.kind != part || !isRange(h) {
		return
	}
	r.Header["Range"] = h["Range"]
	if lines := h["If-Range"]; lines != nil {
		r.Header["If-Range"] = lines
	}
}

// isRange reports whether a request asks for one range of bytes. Other units and forms are answered by
// the whole, which is always allowed (RFC 9110, section 14.2).
func isRange(h http.Header) bool {
	lines := h["Range"]
	if len(lines) != 1 || len(lines[0]) > 64 {
		return false
	}
	const unit = "bytes="
	field := lines[0]
	if len(field) <= len(unit) || field[:len(unit)] != unit {
		return false
	}
	digits, dashes := 0, 0
	for i := len(unit); i < len(field); i++ {
		switch c := field[i]; {
		case '0' <= c && c <= '9':
			digits++
		case c == '-':
			dashes++
		default:
			return false
		}
	}
	return digits > 0 && dashes == 1
}

// addConditions asks for less than the whole, where what is stored allows it (RFC 9111, sections 4.3.1
// and 3.4).
func (x *exchange) addConditions(r *http.Request) {
	old := x.found.response
	if old == nil || x.again {
		return
	}
	if old.kind == part {
		if r.Header["Range"] == nil && old.first == 0 && old.strongTag() != "" && r.Method == http.MethodGet {
			r.Header["Range"] = []string{"bytes=" + strconv.FormatInt(old.body.length(), 10) + "-"}
			r.Header["If-Range"] = []string{old.strongTag()}
			x.continued = true
		}
		return
	}
	if tag := old.header.Get("Etag"); tag != "" {
		r.Header["If-None-Match"] = []string{tag}
		x.conditional = true
	}
	if modified := old.header.Get("Last-Modified"); modified != "" {
		r.Header["If-Modified-Since"] = []string{modified}
		x.conditional = true
	}
}
