package httpcache

import (
	"net/http"
	"slices"
	"strings"
)

// A passage says how a field of a request reaches the origin in a load that callers may share.
//
// The invariant: two requests that share an entry are forwarded byte for byte alike, but for the
// fields whose passage is byVary or traced, what [exchange.request] adds (conditions for what is stored,
// the range that those that wait have in common, and "no-cache" of a client that wants what is new), and
// credentials where a rule says that callers share. So one caller's field never shapes what another
// gets. FuzzForwardedAlike holds it.
type passage uint8

const (
	ends         passage = iota // it is not forwarded
	byKey                       // it is forwarded, and part of the key
	asCredential                // it is forwarded, and names the caller
	byVary                      // it is forwarded, and compared where the response varies on it (RFC 9111)
	traced                      // it is forwarded in the form of its grammar alone, and not compared
)

// passage returns how a field of a route's requests passes.
func (rt *route) passage(name string) passage {
	if p, known := rt.passages[name]; known {
		return p
	}
	return rt.unknown
}

// decidePassages finds out, once, how the fields pass that have a name here, and how all others do.
func (h *Cache) decidePassages(rt *route) {
	rt.passages = map[string]passage{traceField: h.passageOf(rt, traceField)}
	for _, known := range []map[string]bool{ending, hopByHop, tracing, h.ignored} {
		for name := range known {
			rt.passages[name] = h.passageOf(rt, name)
		}
	}
	for _, name := range slices.Concat(rt.keyed, credentialFields) {
		rt.passages[name] = h.passageOf(rt, name)
	}
	rt.unknown = h.passageOf(rt, "")
}

// passageOf decides. On a ruled route in profile Safe only what
// the rule names is forwarded. Without a rule nobody has said what the response depends on: everything
// that is forwarded is part of the key. In profile RFC the origin says it, by Vary.
func (h *Cache) passageOf(rt *route, name string) passage {
	switch {
	case ending[name] || hopByHop[name]:
		return ends
	case slices.Contains(rt.keyed, name):
		return byKey
	case h.options.Profile == RFC:
		return byVary
	case slices.Contains(credentialFields, name):
		return asCredential
	case name == traceField:
		return traced
	case rt.ruled || tracing[name]:
		return ends
	case h.ignored[name]:
		return byVary
	}
	return byKey
}

// ending are the fields that are not passed on in a load. The cache obeys the first ones itself, and
// asks with conditions of its own; the others speak of a body or a hop that the load does not have.
var ending = set("Cache-Control", "Pragma", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Range",
	"Expect", "Content-Length", "Host", "Max-Forwards", "Surrogate-Capability")

// traceField is handed on by its grammar: hexadecimal digits cannot carry anybody's content (W3C Trace
// Context, section 3.2).
const traceField = "Traceparent"

// tracing are fields with free text that only trace. They reach the origin with what is not cached; in a
// load they would be keys of which no two are equal.
var tracing = set("Tracestate", "Baggage", "X-Request-Id", "X-Correlation-Id", "X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "Cf-Ray")

// isTraceparent checks version-traceid-parentid-flags.
func isTraceparent(s string) bool {
	if len(s) != 55 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if dash := i == 2 || i == 35 || i == 52; dash != (c == '-') || !dash && !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}

// sent is the line by which a field is forwarded, and compared.
func sent(name string, lines []string) string {
	switch {
	case len(lines) == 0:
		return ""
	case slices.Contains(negotiated, name):
		return preferred(name, lines)
	}
	return oneLine(name, lines)
}

// sentLines is sent, as a field's lines: those of the request, where they are sent as they came.
func sentLines(name string, lines []string) []string {
	line := sent(name, lines)
	if len(lines) == 1 && lines[0] == line {
		return lines
	}
	return []string{line}
}

// oneLine joins the lines of a field (RFC 9110, section 5.3). The space around the commas of a plain list
// has no meaning; fields that are no lists, and what may be a structure of its own, keep their bytes.
func oneLine(name string, lines []string) string {
	between := ", "
	if name == "Cookie" {
		between = "; " // RFC 9113, section 8.2.3
	}
	line := lines[0]
	if len(lines) > 1 {
		line = strings.Join(lines, between)
	}
	if strings.IndexByte(line, ',') < 0 || singletons[name] || strings.ContainsAny(line, "\"'\\{}[]()<>") || slices.Contains(credentialFields, name) {
		return line
	}
	members := strings.Split(line, ",")
	for i := range members {
		members[i] = strings.Trim(members[i], " \t")
	}
	return strings.Join(members, between)
}

// appendKeyed appends the fields that are part of the key.
func (h *Cache) appendKeyed(b []byte, a *ask) []byte {
	if a.route.ruled || h.options.Profile == RFC {
		for _, name := range a.route.keyed {
			b = appendField(b, name, a.r.Header[name])
		}
		return b
	}
	var scratch [32]field
	fields := scratch[:0]
	for name, lines := range a.r.Header {
		if a.route.passage(name) == byKey {
			fields = append(fields, field{name, lines})
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	for _, f := range fields {
		b = appendField(appendPart(b, f.name), f.name, f.lines)
	}
	return b
}

type field struct {
	name  string
	lines []string
}

// appendField tells a field that is not there from an empty one.
func appendField(b []byte, name string, lines []string) []byte {
	if lines == nil {
		return append(b, 0)
	}
	return appendPart(append(b, 1), sent(name, lines))
}

// selectedBy is what a request says in the fields that a response varies on, as they are forwarded: two
// requests select the same response if and only if it is equal (RFC 9111, section 4.1).
func (h *Cache) selectedBy(names []string, a *ask) string {
	if len(names) == 0 {
		return ""
	}
	var b []byte
	for _, name := range names {
		lines := a.r.Header[name]
		if p := a.route.passage(name); p == ends || p == traced {
			lines = nil // all ask alike
		}
		b = appendField(appendPart(b, name), name, lines)
	}
	return string(b)
}

// forwarded are the fields of a request that a load forwards.
func (h *Cache) forwarded(a *ask) http.Header {
	out := make(http.Header, len(a.r.Header)+2)
	for name, lines := range a.r.Header {
		switch a.route.passage(name) {
		case byKey:
			out[name] = sentLines(name, lines)
		case asCredential:
			out[name] = lines
		case byVary:
			if slices.Contains(credentialFields, name) {
				out[name] = lines
			} else {
				out[name] = sentLines(name, lines)
			}
		case traced:
			if len(lines) == 1 && isTraceparent(lines[0]) {
				out[name] = lines
			}
		case ends:
		}
	}
	return out
}

// endToEnd returns the fields of a response that go on. The lines are shared.
func endToEnd(h http.Header) http.Header {
	listed := map[string]bool(nil)
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if listed == nil {
				listed = map[string]bool{}
			}
			listed[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	out := make(http.Header, len(h))
	for name, lines := range h {
		if !hopByHop[name] && !listed[name] && !strings.HasPrefix(name, http.TrailerPrefix) {
			out[name] = lines
		}
	}
	return out
}
