package httpcache

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// times are the numbers that freshness is computed from (RFC 9111, section 4.2). They are wall-clock
// times, because other nodes read them.
type times struct {
	arrived    time.Time     // when the head of the response was there
	initialAge time.Duration // its age then
	lifetime   time.Duration // its freshness lifetime
}

// age is the response's current age (section 4.2.3).
func (t times) age(now time.Time) time.Duration {
	return t.initialAge + max(now.Sub(t.arrived), 0)
}

// left is how long the response is still fresh; negative when it is stale.
func (t times) left(now time.Time) time.Duration { return t.lifetime - t.age(now) }

// initialAge computes the age that a response arrived with (section 4.2.3).
func initialAge(h http.Header, asked, arrived time.Time) time.Duration {
	apparent := time.Duration(0)
	if date, ok := httpTime(h.Get("Date")); ok {
		apparent = max(arrived.Sub(date), 0)
	}
	return max(apparent, ageField(h["Age"])+arrived.Sub(asked))
}

// ageField reads Age: the first of several. What is not a number of seconds is not there (section 5.1).
func ageField(lines []string) time.Duration {
	if len(lines) == 0 {
		return 0
	}
	first, _, _ := strings.Cut(lines[0], ",")
	first = strings.Trim(first, " \t")
	if first == "" || strings.Trim(first, "0123456789") != "" {
		return 0
	}
	return deltaSeconds(first).d
}

// freshFor is a response's freshness lifetime by what it says itself; explicit is false where it says
// nothing (section 4.2.1).
func freshFor(h http.Header, d directives, arrived time.Time) (lifetime time.Duration, explicit bool) {
	switch {
	case d.sMaxAge.set:
		return d.sMaxAge.d, true
	case d.maxAge.set:
		return d.maxAge.d, true
	case d.targeted:
		return 0, false
	}
	lines, ok := h["Expires"]
	if !ok {
		return 0, false
	}
	expires, ok := httpTime(lines[0])
	if !ok || len(lines) > 1 {
		return 0, true
	}
	date, ok := httpTime(h.Get("Date"))
	if !ok {
		date = arrived
	}
	return max(expires.Sub(date), 0), true
}

// heuristic lifetimes: a tenth of the time since the last change (section 4.2.2), but no more than a day.
const (
	heuristicFraction = 10
	maxHeuristic      = 24 * time.Hour
)

func heuristicallyFreshFor(h http.Header, arrived time.Time) time.Duration {
	modified, ok := httpTime(h.Get("Last-Modified"))
	if !ok {
		return 0
	}
	date, ok := httpTime(h.Get("Date"))
	if !ok {
		date = arrived
	}
	return min(max(date.Sub(modified)/heuristicFraction, 0), maxHeuristic)
}

// heuristicallyCacheable are the statuses that may be kept without explicit freshness (RFC 9110,
// section 15.1).
func heuristicallyCacheable(status int) bool {
	switch status {
	case 200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// understood are the statuses whose requirements on caches this cache meets (must-understand).
func understood(status int) bool {
	return http.StatusText(status) != ""
}

// httpTime reads the three forms of a date, each as its grammar has it (RFC 9110, section 5.6.7).
func httpTime(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, false
	}
	if last := lastTime.Load(); last != nil && last.text == s {
		return last.time, true
	}
	for _, form := range dateForms {
		// time.Parse takes more than the grammar has: further spaces, an hour of one digit.
		if t, err := time.Parse(form, s); err == nil && t.Format(form) == s {
			lastTime.Store(&parsedTime{s, t})
			return t, true
		}
	}
	return time.Time{}, false
}

var dateForms = [...]string{http.TimeFormat, time.RFC850, time.ANSIC}

// lastTime is the date read last: within a second, responses carry the same.
var lastTime atomic.Pointer[parsedTime]

type parsedTime struct {
	text string
	time time.Time
}
