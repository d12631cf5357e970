package httpcache

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/internal/canon"
)

// An ask is a request as the cache sees it: its rule, what it wants, and its key; or why the cache has
// no part in it.
type ask struct {
	r          *http.Request
	route      *route
	method     string // GET for HEAD too
	seen       trait  // of its fields
	directives directives
	credential string
	key        string
	body       []byte // of a query
	bypass     bypass
	alone      bool // what others wait for is not for this caller
	left       bool // its response is not to be stored, whatever it says: see Leave

	form      *response // sent instead of the stored body; nil: that is sent
	formOf    string    // its coding
	formPlace place
	encoding  bool    // one would be sent, and is being made
	repeat    *Repeat // nil: the answer cannot be given again

	record *Record   // nil: nobody keeps one
	began  time.Time // of the request; known where there is a record

	own [2]string // the fields that the cache adds to the answer: see ownFields
}

// maxURI bounds the URIs that are cached.
const maxURI = 8 << 10

// ask reads a canonical request.
func (h *Cache) ask(r *http.Request) *ask {
	rt := h.route(r)
	r = rt.rewrite(r)
	a := &ask{r: r, route: rt, method: r.Method}
	a.seen = survey(r.Header)
	a.checkUpgrade()
	if a.bypass = a.bypassReason(); a.bypass != "" {
		return a
	}
	if a.seen&wish != 0 {
		a.readWishes()
	}
	if a.directives.noStore {
		a.bypass = clientNoStore
		return a
	}
	if a.seen&ofCaller != 0 && h.options.Profile == Safe && !a.route.Shared {
		a.credential = credential(r.Header, rt.Cookies != nil)
	}
	if a.route.class.Private && a.credential == "" {
		a.bypass = noCaller
		return a
	}
	canonical, why := a.readQuery()
	if a.bypass = why; why != "" {
		return a
	}
	a.key = h.key(a, canonical)
	return a
}

// checkUpgrade takes an upgrade off that the route does not pass on: then the request is answered
// without it, as HTTP allows (RFC 9110, section 7.8). What the origin would speak after it is unknown.
func (a *ask) checkUpgrade() {
	if a.seen&upgrading == 0 {
		return
	}
	if p := upgradeOf(a.r); p != "" && a.r.Method == http.MethodGet && a.route.upgrades(p) {
		return
	}
	r := a.r.WithContext(a.r.Context())
	r.Header = cloneFields(r.Header)
	for _, name := range []string{"Upgrade", "Http2-Settings", "Connection"} {
		delete(r.Header, name)
	}
	a.r, a.seen = r, a.seen&^upgrading
}

// readWishes reads what the client wants of caches (RFC 9111, sections 5.2.1 and 5.4).
func (a *ask) readWishes() {
	if lines := a.r.Header["Cache-Control"]; lines != nil {
		a.directives = parseCacheControl(lines)
	} else {
		a.directives.noCache = pragmaNoCache(a.r.Header)
	}
}

// bodiless reports whether a request of the method says all that it asks in its head.
func (a *ask) bodiless() bool { return a.method == http.MethodGet || a.method == http.MethodOptions }

// bypassReason says why a request cannot be answered from a cache.
func (a *ask) bypassReason() bypass {
	r := a.r
	if a.route.off {
		return cacheOff
	}
	switch r.Method {
	case http.MethodGet:
	case http.MethodHead:
		a.method = http.MethodGet
	case "QUERY":
	case http.MethodOptions:
		if !a.route.isFlight {
			return otherMethod
		}
	case http.MethodPost:
		if a.route.BodyKey == nil {
			return otherMethod
		}
	default:
		return otherMethod
	}
	switch {
	case a.route.Bypass:
		return byRule
	case a.seen&upgrading != 0: // one that the route allows: see checkUpgrade
		return upgrades
	case a.seen&repeated != 0:
		return repeatedField
	case a.bodiless() && r.ContentLength != 0:
		return hasBody
	case a.seen&precondition != 0:
		return conditional
	case len(r.RequestURI) > maxURI:
		return uriTooLong
	case ambiguousPath(r.URL.EscapedPath()):
		return ambiguous
	}
	return ""
}

// ambiguousPath finds what caches and origins are known to read differently.
func ambiguousPath(path string) bool {
	if !strings.ContainsAny(path, "\\%#.") && !strings.Contains(path, "//") {
		return false
	}
	lower := strings.ToLower(path)
	for _, bad := range []string{"\\", "#", "%00", "%0a", "%0d", "%23", "%2e", "%2f", "%3f", "%5c"} {
		if strings.Contains(lower, bad) {
			return true
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return strings.Contains(path, "//")
}

// readQuery reads the body of a QUERY or of a POST that a rule makes one, so that it can be part of
// the key. Whatever is read is given back to the request.
func (a *ask) readQuery() (canonical []byte, why bypass) {
	if a.bodiless() {
		return nil, ""
	}
	limit, ignore := defaultMaxQuery, []canon.Path(nil)
	if k := a.route.BodyKey; k != nil {
		limit, ignore = k.MaxBytes, a.route.ignore
	}
	r := a.r
	if r.Header.Get("Incremental") == "?1" {
		return nil, incremental
	}
	if r.ContentLength > int64(limit) {
		return nil, bodyTooLarge
	}
	body, err := readUpTo(r.Body, limit+1, r.ContentLength)
	a.r = r.WithContext(r.Context()) // the server looks at the body of its own request
	a.r.Body = putBack(body, err, r.Body)
	if err != nil || len(body) > limit {
		return nil, bodyTooLarge
	}
	a.body = body
	if k := a.route.BodyKey; k != nil && k.GraphQL && !onlyQueries(body) {
		return nil, changes
	}
	switch {
	case isJSON(r.Header.Get("Content-Type")) && r.Header.Get("Content-Encoding") == "":
		if canonical, err = a.route.known.canonical(body, ignore); err == nil {
			return canonical, ""
		}
		if a.method == http.MethodPost {
			return nil, bodyNotJSON
		}
	case a.method == http.MethodPost:
		return nil, bodyNotJSON
	}
	return body, "" // a QUERY may be of any type: then its bytes count
}

// readUpTo reads a body up to a bound. What its length is said to be, which may be -1, saves room.
func readUpTo(from io.Reader, most int, said int64) ([]byte, error) {
	var body bytes.Buffer
	body.Grow(int(min(max(said, 0), int64(most))) + bytes.MinRead)
	_, err := body.ReadFrom(io.LimitReader(from, int64(most)))
	return body.Bytes(), err
}

func isJSON(contentType string) bool {
	t, _, _ := strings.Cut(contentType, ";")
	t = strings.ToLower(strings.TrimSpace(t))
	return t == "application/json" || strings.HasSuffix(t, "+json")
}

// putBack returns a body that begins with what was read of it and goes on with the rest.
func putBack(read []byte, err error, rest io.ReadCloser) io.ReadCloser {
	var end io.Reader = rest
	if err != nil {
		end = errReader{err}
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(read), end), rest}
}

type errReader struct{ err error }

func (f errReader) Read([]byte) (int, error) { return 0, f.err }

// credentialFields name the caller.
var credentialFields = []string{"Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-Auth-Token", "X-Access-Token"}

// credential returns everything in the request that names the caller; "" if nothing does. With cookiesKeyed the cookies
// that are left are a part of the key like other fields.
func credential(h http.Header, cookiesKeyed bool) string {
	var tuple []byte
	for i, name := range credentialFields {
		if cookiesKeyed && name == "Cookie" {
			continue
		}
		for _, line := range h[name] {
			tuple = appendPart(append(tuple, byte('0'+i)), line)
		}
	}
	return string(tuple)
}
