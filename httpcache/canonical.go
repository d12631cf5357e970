package httpcache

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A refusal is a request that no handler may see: what is wrong with it, and what is answered.
type refusal struct {
	status int
	reason string // in Cache-Status and in the statistics
	text   string // for a person
	allow  string // of a 405
}

// canonical makes a request canonical, once, before anything reads it. Its rule, its key, what it
// selects, what is forwarded and what it invalidates are all taken from the one that it returns, so
// that what is compared is what is sent. The caller's request is not changed.
func canonical(r *http.Request) (*http.Request, *refusal) {
	if refused := checkMethod(r.Method); refused != nil {
		return nil, refused
	}
	u, refused := originForm(r)
	if refused != nil {
		return nil, refused
	}
	host, ok := normalHost(r.Host, r.TLS != nil)
	if !ok || host == "" && r.ProtoAtLeast(1, 1) {
		return nil, &refusal{status: http.StatusBadRequest, reason: "host", text: "the Host field is not a host with an optional port"}
	}
	header, changed := withoutHopByHop(r.Header)
	if u == r.URL && host == r.Host && !changed {
		return r, nil
	}
	out := r.WithContext(r.Context())
	out.Host, out.Header = host, header
	if u != r.URL {
		out.URL, out.RequestURI = u, u.RequestURI()
	}
	return out, nil
}

// Canonical returns a request in the one form that the cache reads, for what decides before it; a request that no handler
// may see is answered, and ok is false.
func (h *Cache) Canonical(w http.ResponseWriter, r *http.Request) (canon *http.Request, ok bool) {
	canon, refused := canonical(r)
	if refused != nil {
		h.refuse(w, r, refused)
		return nil, false
	}
	return canon, true
}

// AmbiguousPath reports whether a path is one that servers are known to read differently: with dots, empty segments or
// escaped slashes. Such a request bypasses the cache.
func AmbiguousPath(escaped string) bool { return ambiguousPath(escaped) }

const (
	maxMethod = 32 // bytes
	allowed   = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY"
)

// checkMethod refuses what is not a method for an intermediary to pass on: CONNECT makes a tunnel of the
// connection to the origin, TRACE shows what proxies add (RFC 9110, sections 9.3.6 and 9.3.8), PRI is
// the preface of HTTP/2. Any other token passes: the origin knows its own methods.
func checkMethod(method string) *refusal {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		return nil
	case http.MethodConnect, http.MethodTrace, "TRACK":
		return &refusal{status: http.StatusMethodNotAllowed, reason: "method", text: "the method " + method + " is not passed on", allow: allowed}
	case "PRI":
		return &refusal{status: http.StatusNotImplemented, reason: "method", text: "the method PRI is not passed on"}
	}
	if len(method) > maxMethod || !isToken(method) {
		return &refusal{status: http.StatusBadRequest, reason: "method", text: "the method is not a token of at most 32 characters"}
	}
	return nil
}

var errTarget = &refusal{status: http.StatusBadRequest, reason: "target", text: "the target is not a path, nor a URL with http or https"}

// originForm takes an absolute-form target apart (RFC 9112, section 3.2). What is left begins with '/',
// or is '*' for OPTIONS.
func originForm(r *http.Request) (*url.URL, *refusal) {
	u := r.URL
	switch {
	case u.Opaque != "", u.User != nil:
		return nil, errTarget
	case u.Scheme != "" && !strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https"):
		return nil, &refusal{status: http.StatusMisdirectedRequest, reason: "target", text: "the target's scheme is not http or https"}
	case (u.Scheme != "") != (u.Host != ""):
		return nil, errTarget
	case u.Host == "" && (u.Path == "*" && r.Method == http.MethodOptions || strings.HasPrefix(u.Path, "/")):
		return u, nil
	case u.Host == "" || u.Path != "" && u.Path[0] != '/':
		return nil, errTarget
	}
	relative := *u
	relative.Scheme, relative.Host = "", ""
	switch {
	case relative.Path != "":
	case r.Method == http.MethodOptions && u.RawQuery == "" && !u.ForceQuery:
		relative.Path = "*" // RFC 9112, section 3.2.4
	default:
		relative.Path = "/"
	}
	return &relative, nil
}

// NormalHost is the one spelling of a host and port, as it stands in keys and tags: lower case, without
// the root's dot and the scheme's default port. It returns false for what is not valid.
func NormalHost(host string, secure bool) (string, bool) {
	normal, ok := normalHost(host, secure)
	return normal, ok && normal != ""
}

// normalHost is the one spelling of a host and port: lower case, without the root's dot and the
// scheme's default port (RFC 9110, section 4.2.3). It returns false for what is not valid.
func normalHost(host string, secure bool) (string, bool) {
	if host == "" || isPlainHost(host) {
		return host, true
	}
	name, port, hasPort := host, "", false
	if end := strings.LastIndexByte(host, ']'); strings.HasPrefix(host, "[") && end > 0 {
		name = host[:end+1]
		if rest := host[end+1:]; rest != "" {
			if port, hasPort = strings.CutPrefix(rest, ":"); !hasPort {
				return "", false
			}
		}
		addr, err := netip.ParseAddr(name[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", false
		}
		name = "[" + addr.String() + "]"
	} else {
		name, port, hasPort = strings.Cut(host, ":")
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if name == "" || !isPlainHost(name) {
			return "", false
		}
	}
	if !hasPort || port == "" {
		return name, true
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || port[0] == '+' {
		return "", false
	}
	if !secure && number == 80 || secure && number == 443 {
		return name, true
	}
	return name + ":" + strconv.FormatUint(number, 10), true
}

// isPlainHost reports whether a name needs no change: the most frequent case, without allocation.
func isPlainHost(s string) bool {
	before := byte('.')
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '~':
		case c == '.' && before != '.':
		default:
			return false
		}
		before = c
	}
	return before != '.'
}

// withoutHopByHop takes off what Connection names (RFC 9110, section 7.6.1): that field, and what it
// lists, were meant for this hop. Fields that end at every hop anyway stay where nothing reads them;
// see isHopByHop. The lines are shared.
func withoutHopByHop(h http.Header) (out http.Header, changed bool) {
	out = h
	drop := func(name string) {
		if out[name] == nil {
			return
		}
		if !changed {
			out, changed = cloneFields(h), true
		}
		delete(out, name)
	}
	for _, line := range h["Connection"] {
		for name := range splitList(line) {
			if name = http.CanonicalHeaderKey(name); !hopByHop[name] && name != "Close" {
				drop(name)
			}
		}
	}
	return out, changed
}

func cloneFields(h http.Header) http.Header {
	out := make(http.Header, len(h))
	for name, lines := range h {
		out[name] = lines
	}
	return out
}

// upgradeOf is the protocol that a request asks to go on with, in lower case; "" for none, or for
// several.
func upgradeOf(r *http.Request) string {
	lines := r.Header["Upgrade"]
	if len(lines) != 1 || r.ProtoMajor != 1 || !HasMember(r.Header["Connection"], "upgrade") {
		return ""
	}
	protocol := strings.ToLower(strings.TrimSpace(lines[0]))
	if strings.ContainsAny(protocol, ", \t") {
		return ""
	}
	return protocol
}

// HasMember reports whether a list has a member, in any case.
func HasMember(lines []string, want string) bool {
	for _, line := range lines {
		for member := range splitList(line) {
			if strings.EqualFold(member, want) {
				return true
			}
		}
	}
	return false
}

// singletons are the request's fields that have one value (RFC 9110, section 5.3): of two, nobody knows
// which one the origin takes.
var singletons = set("Authorization", "Content-Type", "Content-Location", "Content-Range", "Date", "Expect", "From",
	"If-Modified-Since", "If-Range", "If-Unmodified-Since", "Max-Forwards", "Origin", "Range", "Referer", "User-Agent",
	"Access-Control-Request-Method", "Incremental", "X-Api-Key", "Api-Key", "X-Auth-Token", "X-Access-Token", "Upgrade-Insecure-Requests")

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

func (h *Cache) refuse(w http.ResponseWriter, r *http.Request, why *refusal) {
	if why.allow != "" {
		w.Header().Set("Allow", why.allow)
	}
	h.Refuse(w, r, why.status, why.reason, why.text)
}

// Refused counts a request that was refused, by one word.
func (h *Cache) Refused(reason string) { h.other.space.CountNotStored("refused: " + reason) }

// Refuse answers a request that goes no further with problem details, and counts it: reason is one
// word, text is for a person.
func (h *Cache) Refuse(w http.ResponseWriter, r *http.Request, status int, reason, text string) {
	h.Refused(reason)
	w.Header().Add("Cache-Status", "forebay; detail=refused-"+reason)
	if r.Method == http.MethodConnect || r.ContentLength != 0 {
		w.Header().Set("Connection", "close") // what follows the head is not read
	}
	WriteProblem(w, status, text, 0)
}

// upgrades reports whether a route passes an upgrade to a protocol on.
func (rt *route) upgrades(protocol string) bool {
	if rt.Upgrade == nil {
		return protocol == "websocket"
	}
	return slices.ContainsFunc(rt.Upgrade, func(p string) bool { return strings.EqualFold(p, protocol) })
}
