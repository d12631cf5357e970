package httpcache

import (
	"strings"
	"testing"
	"time"
)

// Each row is a sentence of an RFC.
func TestDecide(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(age, lifetime int) terms {
		return terms{times: times{arrived: now.Add(-time.Duration(age) * time.Second), lifetime: time.Duration(lifetime) * time.Second}}
	}
	with := func(s terms, change func(*terms)) *terms {
		change(&s)
		return &s
	}
	fresh, stale := at(10, 60), at(70, 60)
	same := func(*terms) {}
	tests := []struct {
		section, name, request string
		stored                 *terms
		invalidated            bool
		want                   action
		why                    missReason
		stale                  bool
		onError, onStatus      bool
	}{
		{"9111 3", "nothing is stored", "", nil, false, load, uriMiss, false, false, false},
		{"9111 5.2.1.7", "only-if-cached with nothing", "only-if-cached", nil, false, unsatisfiable, uriMiss, false, false, false},
		{"9111 4.2", "fresh", "", with(fresh, same), false, serve, "", false, false, false},
		{"9111 4.2", "stale", "", with(stale, same), false, load, isStale, false, false, false},
		{"9111 4.2", "exactly at its end", "", with(at(60, 60), same), false, load, isStale, false, false, false},
		{"9111 5.2.1.4", "the client wants validation", "no-cache", with(fresh, same), false, load, byRequest, false, false, false},
		{"9111 5.2.1.1", "older than the client takes", "max-age=5", with(fresh, same), false, load, byRequest, false, false, false},
		{"9111 5.2.1.1", "as old as the client takes", "max-age=10", with(fresh, same), false, serve, "", false, false, false},
		{"9111 5.2.1.1", "a reload", "max-age=0", with(fresh, same), false, load, byRequest, false, false, false},
		{"8246 2", "a reload of what never changes", "max-age=0", with(fresh, func(s *terms) { s.immutable = true }), false, serve, "", false, false, false},
		{"8246 2", "stale, although it never changes", "", with(stale, func(s *terms) { s.immutable = true }), false, load, isStale, false, false, false},
		{"9111 5.2.1.3", "not fresh for long enough", "min-fresh=51", with(fresh, same), false, load, byRequest, false, false, false},
		{"9111 5.2.1.3", "fresh for just long enough", "min-fresh=50", with(fresh, same), false, serve, "", false, false, false},
		{"9111 5.2.1.2", "as stale as the client takes", "max-stale=10", with(stale, same), false, serve, "", true, false, false},
		{"9111 5.2.1.2", "staler than the client takes", "max-stale=9", with(stale, same), false, load, isStale, false, false, false},
		{"9111 5.2.1.2", "any staleness will do", "max-stale", with(stale, same), false, serve, "", true, false, false},
		{"9111 5.2.2.2", "must-revalidate wins over max-stale", "max-stale", with(stale, func(s *terms) { s.mustRevalidate = true }), false, load, isStale, false, false, false},
		{"9111 5.2.2.4", "no-cache, though fresh", "", with(fresh, func(s *terms) { s.noCache = true }), false, load, isStale, false, false, false},
		{"9111 5.2.1.5", "the client wants nothing stored", "no-store", with(fresh, same), false, load, byRequest, false, false, false},
		{"9111 5.2.1.7", "only-if-cached with something fresh", "only-if-cached", with(fresh, same), false, serve, "", false, false, false},
		{"9111 5.2.1.7", "only-if-cached with something stale", "only-if-cached", with(stale, same), false, unsatisfiable, isStale, false, false, false},
		{"5861 3", "within stale-while-revalidate", "", with(stale, func(s *terms) { s.staleWhileRevalidate = 11 * time.Second }), false, serveAndLoad, isStale, true, false, false},
		{"5861 3", "past stale-while-revalidate", "", with(stale, func(s *terms) { s.staleWhileRevalidate = 10 * time.Second }), false, load, isStale, false, false, false},
		{"5861 3", "must-revalidate wins over it", "", with(stale, func(s *terms) { s.staleWhileRevalidate, s.mustRevalidate = time.Hour, true }), false, load, isStale, false, false, false},
		{"5861 4", "within stale-if-error", "", with(stale, func(s *terms) { s.staleIfError = 11 * time.Second }), false, load, isStale, false, true, true},
		{"5861 4", "past stale-if-error", "", with(stale, func(s *terms) { s.staleIfError = 10 * time.Second }), false, load, isStale, false, false, false},
		{"5861 4", "the client allows it", "stale-if-error=11", with(stale, same), false, load, isStale, false, true, true},
		{"9111 4.2.4", "the origin cannot be reached", "", with(stale, func(s *terms) { s.staleIfAway = time.Hour }), false, load, isStale, false, true, false},
		{"9111 5.2.2.2", "must-revalidate, even when it is away", "", with(stale, func(s *terms) { s.staleIfAway, s.mustRevalidate = time.Hour, true }), false, load, isStale, false, false, false},
		{"forebay", "expired by an invalidation", "", with(fresh, func(s *terms) { s.staleIfAway = time.Hour }), true, load, isInvalidated, false, true, false},
		{"forebay", "expired, and stale may be served while it is loaded", "", with(fresh, func(s *terms) { s.staleWhileRevalidate = time.Minute }), true, serveAndLoad, isStale, true, false, false},
		{"forebay", "expired: the client's max-stale does not help", "max-stale", with(fresh, same), true, load, isInvalidated, false, false, false},
	}
	for _, test := range tests {
		t.Run(test.section+" "+test.name, func(t *testing.T) {
			d := decide(parseCacheControl([]string{test.request}), test.stored, test.invalidated, now)
			if d.action != test.want || d.why != test.why || d.stale != test.stale || d.onError != test.onError || d.onStatus != test.onStatus {
				t.Errorf("decide = %+v", d)
			}
		})
	}
}

func TestDirectives(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		check func(directives) bool
	}{
		{"letter case", []string{"No-StOrE"}, func(d directives) bool { return d.noStore }},
		{"several lines", []string{"public", "max-age=5"}, func(d directives) bool { return d.public && d.maxAge.d == 5*time.Second }},
		{"quoted number", []string{`max-age="5"`}, func(d directives) bool { return d.maxAge.d == 5*time.Second }},
		{"inside quotes nothing counts", []string{`ext="max-age=100, no-store", max-age=1`}, func(d directives) bool { return d.maxAge.d == time.Second && !d.noStore }},
		{"escaped quote", []string{`ext="a\", no-store", public`}, func(d directives) bool { return !d.noStore && d.public }},
		{"unfinished quote", []string{`ext="a, no-store`}, func(d directives) bool { return !d.noStore }},
		{"not a number is stale", []string{"max-age=a5"}, func(d directives) bool { return d.maxAge.set && d.maxAge.d == 0 }},
		{"negative is stale", []string{"max-age=-5"}, func(d directives) bool { return d.maxAge.set && d.maxAge.d == 0 }},
		{"the shorter of two", []string{"max-age=9, max-age=5"}, func(d directives) bool { return d.maxAge.d == 5*time.Second }},
		{"overflow", []string{"max-age=99999999999999999999"}, func(d directives) bool { return d.maxAge.d == maxDelta*time.Second }},
		{"space before the equals sign", []string{"max-age =5"}, func(d directives) bool { return !d.maxAge.set }},
		{"fields", []string{`no-cache="a, set-cookie"`}, func(d directives) bool {
			return !d.noCache && strings.Join(d.noCacheFields, " ") == "A Set-Cookie"
		}},
		{"fields, and the whole", []string{`private="a", private`}, func(d directives) bool { return d.private && len(d.privateFields) == 1 }},
		{"empty members", []string{", ,max-age=5,,"}, func(d directives) bool { return d.maxAge.d == 5*time.Second }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if d := parseCacheControl(test.lines); !test.check(d) {
				t.Errorf("%q = %+v", test.lines, d)
			}
		})
	}
}

func TestTargeted(t *testing.T) {
	own, cdn := "Forebay-Cache-Control", "Cdn-Cache-Control"
	tests := []struct {
		name   string
		header map[string][]string
		check  func(directives) bool
	}{
		{"own before all", map[string][]string{own: {"max-age=1"}, cdn: {"max-age=2"}, "Cache-Control": {"max-age=3"}}, func(d directives) bool { return d.maxAge.d == time.Second && d.targeted }},
		{"cdn before Cache-Control", map[string][]string{cdn: {"max-age=2"}, "Cache-Control": {"no-store"}}, func(d directives) bool { return d.maxAge.d == 2*time.Second && !d.noStore }},
		{"invalid is not there", map[string][]string{cdn: {"max-age=2, &&"}, "Cache-Control": {"max-age=3"}}, func(d directives) bool { return d.maxAge.d == 3*time.Second && !d.targeted }},
		{"empty is not there", map[string][]string{cdn: {""}, "Cache-Control": {"max-age=3"}}, func(d directives) bool { return d.maxAge.d == 3*time.Second }},
		{"a wrong type is not a directive", map[string][]string{cdn: {`max-age="2"`}, "Cache-Control": {"max-age=3"}}, func(d directives) bool { return !d.maxAge.set && d.targeted }},
		{"fields", map[string][]string{cdn: {`no-cache="a"`}}, func(d directives) bool { return !d.noCache && len(d.noCacheFields) == 1 }},
		{"false is off", map[string][]string{cdn: {"no-store=?0, max-age=2"}}, func(d directives) bool { return !d.noStore }},
		{"surrogate for another device", map[string][]string{"Surrogate-Control": {"max-age=9;other"}, "Cache-Control": {"max-age=3"}}, func(d directives) bool { return d.maxAge.d == 3*time.Second }},
		{"surrogate for this one", map[string][]string{"Surrogate-Control": {"max-age=9;forebay"}, "Cache-Control": {"max-age=3"}}, func(d directives) bool { return d.maxAge.d == 9*time.Second }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if d := responseDirectives(test.header, []string{own, cdn}); !test.check(d) {
				t.Errorf("%v = %+v", test.header, d)
			}
		})
	}
}
