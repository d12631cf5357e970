package httpcache

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// directives are what Cache-Control, or a field targeted at this cache, says (RFC 9111, section 5.2).
type directives struct {
	noStore, noCache, private, public  bool
	mustRevalidate, mustUnderstand     bool
	immutable, onlyIfCached            bool
	noTransform                        bool
	noCacheFields, privateFields       []string // of the qualified forms
	maxAge, sMaxAge                    delta
	staleWhileRevalidate, staleIfError delta
	maxStale, minFresh                 delta
	targeted                           bool // a targeted field said it: Cache-Control and Expires do not count
	anything                           bool // there was a directive at all
}

// A delta is a number of seconds (RFC 9111, section 1.2.2), if there is one.
type delta struct {
	set bool
	d   time.Duration
}

// maxDelta is what a delta that overflows is taken for.
const maxDelta = 1 << 31

func deltaSeconds(s string) delta {
	n, digits := int64(0), 0
	for ; digits < len(s) && s[digits] >= '0' && s[digits] <= '9'; digits++ {
		n = min(n*10+int64(s[digits]-'0'), maxDelta)
	}
	if digits == 0 || digits < len(s) {
		return delta{set: true} // invalid freshness information is taken for stale (section 4.2.1)
	}
	return delta{true, time.Duration(n) * time.Second}
}

// parseCacheControl reads the lines of a Cache-Control field.
func parseCacheControl(lines []string) (d directives) {
	for _, line := range lines {
		for line != "" {
			var name, value string
			name, value, line = nextDirective(line)
			d.add(strings.ToLower(name), value)
		}
	}
	return d
}

// nextDirective cuts the first member off a list: a name, and its value without quotes.
func nextDirective(s string) (name, value, rest string) {
	i := 0
	for i < len(s) && s[i] != ',' && s[i] != '=' {
		i++
	}
	name = strings.Trim(s[:i], " \t")
	if i == len(s) || s[i] == ',' {
		return name, "", s[min(i+1, len(s)):]
	}
	if i > 0 && (s[i-1] == ' ' || s[i-1] == '\t') {
		name = "" // "max-age =1" is not a directive
	}
	i++
	if i < len(s) && s[i] == '"' {
		var b strings.Builder
		for i++; i < len(s) && s[i] != '"'; i++ {
			if s[i] == '\\' && i+1 < len(s) {
				i++
			}
			b.WriteByte(s[i])
		}
		_, rest, _ = strings.Cut(s[min(i+1, len(s)):], ",")
		return name, b.String(), rest
	}
	value, rest, _ = strings.Cut(s[i:], ",")
	return name, strings.TrimRight(value, " \t"), rest
}

func (d *directives) add(name, value string) {
	d.anything = d.anything || name != ""
	switch name {
	case "no-store":
		d.noStore = true
	case "no-cache":
		d.noCache, d.noCacheFields = qualified(value, d.noCache, d.noCacheFields)
	case "private":
		d.private, d.privateFields = qualified(value, d.private, d.privateFields)
	case "no-transform":
		d.noTransform = true
	case "public":
		d.public = true
	case "must-revalidate", "proxy-revalidate":
		d.mustRevalidate = true
	case "must-understand":
		d.mustUnderstand = true
	case "immutable":
		d.immutable = true
	case "only-if-cached":
		d.onlyIfCached = true
	case "max-stale":
		d.maxStale = delta{true, maxDelta * time.Second}
		if value != "" {
			d.maxStale = deltaSeconds(value)
		}
	default:
		if at := d.deltaOf(name); at != nil {
			at.take(deltaSeconds(value))
		}
	}
}

func (d *directives) deltaOf(name string) *delta {
	switch name {
	case "max-age":
		return &d.maxAge
	case "s-maxage":
		return &d.sMaxAge
	case "stale-while-revalidate":
		return &d.staleWhileRevalidate
	case "stale-if-error":
		return &d.staleIfError
	case "min-fresh":
		return &d.minFresh
	}
	return nil
}

// take keeps the shorter of two: which one was meant, nobody knows (section 4.2.1).
func (d *delta) take(other delta) {
	if !d.set || other.d < d.d {
		*d = other
	}
}

// qualified reads no-cache="a, b": then it is those fields that are meant, not the response.
func qualified(value string, whole bool, fields []string) (bool, []string) {
	if value == "" {
		return true, fields
	}
	for name := range strings.SplitSeq(value, ",") {
		fields = append(fields, http.CanonicalHeaderKey(strings.TrimSpace(name)))
	}
	return whole, fields
}

// responseDirectives reads what a response says to this cache: the first of the fields targeted at
// it that is there and valid, else Cache-Control (RFC 9213, section 2.2).
func responseDirectives(h http.Header, targets []string) directives {
	for _, target := range targets {
		if lines := h[target]; len(lines) > 0 {
			if d, ok := parseTargeted(lines); ok {
				return d
			}
		}
	}
	if lines := h["Surrogate-Control"]; len(lines) > 0 {
		if d, ok := parseSurrogate(lines); ok {
			return d
		}
	}
	d := parseCacheControl(h["Cache-Control"])
	if !d.anything && pragmaNoCache(h) {
		d.noCache, d.anything = true, true
	}
	return d
}

// pragmaNoCache: in a response it says nothing (section 5.4), but a server that sends it does not want to
// be cached.
func pragmaNoCache(h http.Header) bool {
	for _, line := range h["Pragma"] {
		if strings.EqualFold(strings.TrimSpace(line), "no-cache") {
			return true
		}
	}
	return false
}

// parseTargeted reads a targeted field: a dictionary of structured fields. One that is empty or
// cannot be parsed is not there (RFC 9213, section 2.1).
func parseTargeted(lines []string) (d directives, ok bool) {
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dict.Names()) == 0 {
		return d, false
	}
	d.targeted = true
	for _, name := range dict.Names() {
		member, _ := dict.Get(name)
		item, isItem := member.(httpsfv.Item)
		if !isItem {
			continue
		}
		switch v := item.Value.(type) {
		case bool:
			if v && d.deltaOf(name) == nil {
				d.add(name, "")
			}
		case int64:
			if d.deltaOf(name) != nil {
				d.add(name, strconv.FormatInt(max(v, 0), 10))
			}
		case string:
			if name == "no-cache" || name == "private" {
				d.add(name, v)
			}
		}
	}
	return d, true
}

// surrogate is how this cache names itself in Surrogate-Capability.
const surrogate = "forebay"

var capability = []string{surrogate + `="Surrogate/1.0"`}

// parseSurrogate reads Surrogate-Control (Edge Architecture, section 2.2): a directive may name the
// device that it is for behind a semicolon.
func parseSurrogate(lines []string) (d directives, ok bool) {
	for _, line := range lines {
		for line != "" {
			var name, value string
			name, value, line = nextDirective(line)
			v, target, isTargeted := strings.Cut(value, ";")
			if value == "" {
				name, target, isTargeted = strings.Cut(name, ";")
			}
			if isTargeted && strings.TrimSpace(target) != surrogate {
				continue
			}
			v, _, _ = strings.Cut(v, "+") // the grace behind it is stale-while-revalidate's elder
			d.add(strings.ToLower(name), v)
			ok = true
		}
	}
	d.targeted = ok
	return d, ok
}
