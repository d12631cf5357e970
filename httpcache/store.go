package httpcache

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/forebay-cache/forebay"
)

// termsOf collects what decides about the reuse of a response.
func termsOf(p Profile, a *ask, h http.Header, d directives, lifetime time.Duration, asked, arrived time.Time) terms {
	class := a.route.class
	t := terms{
		times:   times{arrived: arrived, initialAge: initialAge(h, asked, arrived), lifetime: lifetime},
		noCache: d.noCache, immutable: d.immutable,
		mustRevalidate:       d.mustRevalidate || d.sMaxAge.set && !d.targeted,
		staleWhileRevalidate: class.Stale, staleIfAway: class.StaleIfError,
	}
	if a.route.Override {
		t.noCache, t.mustRevalidate = false, false
	}
	if p == Safe {
		t.staleIfError = class.StaleIfError
	}
	if d.staleWhileRevalidate.set {
		t.staleWhileRevalidate = d.staleWhileRevalidate.d
	}
	if d.staleIfError.set {
		t.staleIfError, t.staleIfAway = d.staleIfError.d, d.staleIfError.d
	}
	if class.Strict {
		t.staleWhileRevalidate, t.staleIfError, t.staleIfAway = 0, 0, 0
	}
	return t
}

// How long a stale response is kept for its validator: as long as it was fresh, within these.
const (
	minToValidate = time.Hour
	maxToValidate = 24 * time.Hour
)

// keepOf says how long the tiers keep a response: as long as decide can make anything of it.
func (r *response) keepOf(now time.Time) forebay.Keep {
	k := forebay.Keep{TTL: max(r.left(now), 1), Stale: -1, StaleIfError: max(r.staleWhileRevalidate, r.staleIfError, r.staleIfAway), Tags: r.tags}
	if r.noCache {
		k.TTL = 1
	}
	if r.staleWhileRevalidate > 0 {
		k.Stale = r.staleWhileRevalidate
	}
	if r.validator() {
		k.StaleIfError = max(k.StaleIfError, min(max(r.lifetime, minToValidate), maxToValidate))
	}
	if k.StaleIfError == 0 {
		k.StaleIfError = -1
	}
	return k
}

// maxTags bounds the tags of a response. One with more is not stored: a tag that was dropped would be
// an invalidation that was missed.
const maxTags = 1000

// tagsOf returns a response's tags: its URI's, those that the origin gives it, and its cache groups,
// which belong to their origin (RFC 9875).
func tagsOf(r *http.Request, h http.Header) (tags []string, ok bool) {
	tags = append(tags, uriTag(r.Host, r.URL.RequestURI()))
	for _, line := range h["Cache-Tag"] {
		for tag := range strings.SplitSeq(line, ",") {
			tags = appendTag(tags, strings.TrimSpace(tag))
		}
	}
	for _, line := range h["Surrogate-Key"] {
		for tag := range strings.FieldsSeq(line) {
			tags = appendTag(tags, tag)
		}
	}
	for _, group := range groups(h["Cache-Groups"]) {
		tags = appendTag(append(tags, groupTag(r, group)), group)
	}
	return tags, len(tags) <= maxTags
}

func appendTag(tags []string, tag string) []string {
	if tag == "" {
		return tags
	}
	return append(tags, tag)
}

// groups reads a list of strings; one that cannot be read, or has anything else in it, is not there.
func groups(lines []string) (out []string) {
	if len(lines) == 0 {
		return nil
	}
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return nil
	}
	for _, member := range list {
		item, isItem := member.(httpsfv.Item)
		if !isItem {
			return nil
		}
		group, isString := item.Value.(string)
		if !isString {
			return nil
		}
		out = append(out, group)
	}
	return out
}

func groupTag(r *http.Request, group string) string {
	return "group:" + scheme(r) + "://" + r.Host + " " + group
}

// hopByHop are the fields that end at the next hop (RFC 9110, section 7.6.1, and RFC 9111, section 3.1).
var hopByHop = set("Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authentication-Info",
	"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade")

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

// contentRange reads "bytes 0-4/10".
func contentRange(field string) (first, last, of int64, ok bool) {
	unit, rest, found := strings.Cut(field, " ")
	span, length, found2 := strings.Cut(rest, "/")
	from, to, found3 := strings.Cut(span, "-")
	if !found || !found2 || !found3 || unit != "bytes" {
		return 0, 0, 0, false
	}
	first, err1 := strconv.ParseInt(from, 10, 63)
	last, err2 := strconv.ParseInt(to, 10, 63)
	of, err3 := strconv.ParseInt(length, 10, 63)
	return first, last, of, err1 == nil && err2 == nil && err3 == nil && first >= 0 && first <= last && last < of
}
