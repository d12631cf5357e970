package httpcache

import (
	"net/http"
	"testing"

	"github.com/forebay-cache/forebay/internal/canon"
)

// Whatever stands in a field, its parser ends, and what it makes of it is in bounds.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{`max-age=5, no-cache="a, b"`, `"a, W/"b", *`, "bytes=0-4", "bytes 0-4/10", "de;q=0.5, *;q=0", `max-age=9;forebay`, "a, b, *", "data: [DONE]\n\n"} {
		f.Add(seed, uint16(20))
	}
	f.Fuzz(func(t *testing.T, s string, of uint16) {
		d := parseCacheControl([]string{s})
		for _, delta := range []delta{d.maxAge, d.sMaxAge, d.maxStale, d.minFresh, d.staleIfError, d.staleWhileRevalidate} {
			if delta.d < 0 || delta.d > maxDelta*1e9 {
				t.Errorf("%q: %v", s, delta)
			}
		}
		parseTargeted([]string{s})
		parseSurrogate([]string{s})
		groups([]string{s})
		if age := ageField([]string{s}); age < 0 || age > maxDelta*1e9 {
			t.Errorf("Age %q: %v", s, age)
		}
		if first, end, ok := parseRange(s, int64(of)); ok && (first < 0 || end > int64(of) || first > int64(of) && end > first) {
			t.Errorf("Range %q of %d: %d to %d", s, of, first, end)
		}
		if first, last, whole, ok := contentRange(s); ok && (first < 0 || last < first || whole <= last) {
			t.Errorf("Content-Range %q: %d-%d/%d", s, first, last, whole)
		}
		matchesAny([]string{s}, `"a"`)
		for _, name := range []string{"Accept", "X-A", "Cookie"} {
			if once := sent(name, []string{s}); sent(name, []string{once}) != once {
				t.Errorf("%s %q: sent twice is something else", name, s)
			}
		}
		if host, ok := normalHost(s, false); ok {
			if again, ok := normalHost(host, false); !ok || again != host {
				t.Errorf("host %q is %q, and that %q", s, host, again)
			}
		}
		if date, ok := httpTime(s); ok && date.IsZero() {
			t.Errorf("date %q", s)
		}
		canon.ParsePath(s)
		varyNames([]string{s})
		for rest := []byte(s); len(rest) > 0; {
			_, rest = nextEvent(rest)
		}
		c := newEventCheck(EndOpenAI)
		c.write([]byte(s))
		c.whole()
	})
}

// No two different lists of parts give one key.
func FuzzParts(f *testing.F) {
	f.Add("x-y", "", "x", "y-")
	f.Add("a", "b", "ab", "")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		x, y := appendPart(appendPart(nil, a), b), appendPart(appendPart(nil, c), d)
		if (string(x) == string(y)) != (a == c && b == d) {
			t.Errorf("%q, %q and %q, %q", a, b, c, d)
		}
		h := &Cache{options: Options{Profile: RFC}}
		selected := func(a, b string) string {
			r := &http.Request{Header: http.Header{"A": {a}, "B": {b}}}
			return h.selectedBy([]string{"A", "B"}, &ask{r: r, route: &route{unknown: byVary}})
		}
		same := selected(a, b) == selected(c, d)
		norm := func(s string) string { return sent("A", []string{s}) }
		if same != (norm(a) == norm(c) && norm(b) == norm(d)) {
			t.Errorf("%q, %q and %q, %q are selected alike", a, b, c, d)
		}
	})
}
