package admin

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Route is what happened to the requests of one route in the last minutes.
type Route struct {
	Route        string            `json:"route" doc:"The pattern of its rule; or method and path, with ids and hashes as {id}"`
	Rule         bool              `json:"rule" doc:"A rule of the gateway or a pattern of the program: else it was made of paths"`
	Example      string            `json:"example" doc:"The URL of one of its latest requests, without its query"`
	Fields       map[string]string `json:"fields" doc:"Of that request, those that choose between forms of an answer: none that names the caller"`
	Seconds      float64           `json:"seconds" doc:"How long it was looked at: at most ten minutes"`
	Requests     uint64            `json:"requests"`
	Outcomes     map[string]uint64 `json:"outcomes" doc:"near, shared, stale, coalesced, miss, bypass; other: no part of the cache's"`
	HitRate      *float64          `json:"hit_rate" doc:"null: nothing was looked up"`
	Status       map[string]uint64 `json:"status" doc:"2xx, 3xx, 4xx, 5xx"`
	Hits         Quantiles         `json:"hits" doc:"Time to the first byte of what was answered without a call of the origin"`
	Misses       Quantiles         `json:"misses" doc:"Of what was not"`
	NotStored    map[string]uint64 `json:"not_stored" doc:"Why responses were not stored, and why requests went past the cache"`
	Bytes        uint64            `json:"bytes" doc:"Of bodies"`
	OriginCalls  uint64            `json:"origin_calls" doc:"Requests for which the origin was called"`
	OriginSpared uint64            `json:"origin_spared" doc:"Requests for which it was not"`
	Class        string            `json:"class,omitempty" doc:"Of the rule"`
	SavedCost    *float64          `json:"saved_cost,omitempty" doc:"Of the spared requests, in the unit of the class's cost of a load, where one is set"`
	SavedSeconds float64           `json:"saved_seconds" doc:"What the spared requests would have waited, by the mean of the others; 0 where there were none"`
}

// routes count requests by route, in two spans of five minutes: the one that runs, and the one before. Rules are
// few; paths are bounded, and where there is no room for one more, all further are one.
type routes struct {
	by    map[string]*routeCounts
	begun time.Time // the span that runs
}

type routeCounts struct {
	rule     bool
	class    string
	example  string
	fields   map[string]string
	fieldsAt time.Time
	begun    time.Time
	spans    [2]routeSpan // the one that runs, the one before
}

type routeSpan struct {
	outcomes  [numOutcomes]uint64
	status    [6]uint64 // by the first digit
	hits      histogram
	misses    histogram
	waited    time.Duration // for calls of the origin
	spared    time.Duration // that hits took
	bytes     uint64
	notStored map[string]uint64
}

const (
	routeSpanLength = 5 * time.Minute
	maxRoutes       = 200
	otherRoutes     = "(all others)"
	maxReasons      = 32 // of a route: what clients can make up is not among them
)

// add counts a request. The caller holds the lock.
func (rs *routes) add(m *measured, r *http.Request) {
	name, rule := routeOf(m.route, r)
	c := rs.at(name, rule, m.class, m.start)
	if now := m.start; now.Sub(c.fieldsAt) >= time.Second { // often enough for an example
		c.fieldsAt, c.fields = now, choosing(r.Header)
		c.example = cut("http://"+r.Host+r.URL.EscapedPath(), maxPath)
	}
	c.spans[0].add(m)
}

// addHits counts near hits. The caller holds the lock.
func (rs *routes) addHits(of counterOf, now time.Time, took *histogram, sum time.Duration, bytes uint64) {
	s := &rs.at(of.route, of.rule, of.class, now).spans[0]
	s.outcomes[outNear] += took.n
	s.status[statusDigit(of.status)] += took.n
	s.bytes += bytes
	s.hits.merge(took)
	s.spared += sum
}

// routeOf names the route of a request: its rule, the program's pattern, or what its path looks like.
func routeOf(rule string, r *http.Request) (name string, isRule bool) {
	if name = cmp.Or(rule, r.Pattern); name == "" || name == "/" {
		return r.Method + " " + foldPath(r.URL.Path), false
	}
	return name, true
}

// at returns the counts of a route. Where there is no room for one more, all further ones are one.
func (rs *routes) at(name string, rule bool, class string, now time.Time) *routeCounts {
	rs.turn(now)
	c := rs.by[name]
	if c == nil && !rule && len(rs.by) >= maxRoutes {
		name = otherRoutes
		c = rs.by[name]
	}
	if c == nil {
		if rs.by == nil {
			rs.by = map[string]*routeCounts{}
		}
		c = &routeCounts{rule: rule, class: class, begun: now}
		rs.by[name] = c
	}
	return c
}

var choosingFields = []string{"Accept", "Accept-Encoding", "Accept-Language", "Content-Type", "Sec-Fetch-Mode", "User-Agent"}

// choosing are the fields of a request by which clients choose between forms of an answer. Explaining the example
// needs them where they are a part of the key.
func choosing(h http.Header) map[string]string {
	out := map[string]string{}
	for _, name := range choosingFields {
		if lines := h[name]; len(lines) == 1 {
			out[name] = cut(lines[0], maxPath)
		}
	}
	return out
}

// turn begins a new span when the one that runs is over, and forgets what nobody asked for in two.
func (rs *routes) turn(now time.Time) {
	passed := now.Sub(rs.begun)
	if passed < routeSpanLength {
		return
	}
	for name, c := range rs.by {
		c.spans[1] = c.spans[0]
		if passed >= 2*routeSpanLength {
			c.spans[1] = routeSpan{}
		}
		if c.spans[0] = (routeSpan{}); c.spans[1].requests() == 0 {
			delete(rs.by, name)
		}
	}
	rs.begun = now
}

func (s *routeSpan) requests() (n uint64) {
	for _, o := range s.outcomes {
		n += o
	}
	return n
}

func (s *routeSpan) add(m *measured) {
	s.outcomes[m.outcome]++
	s.status[statusDigit(m.status)]++
	s.bytes += m.bytes
	if spares(m.outcome) {
		s.hits.add(m.first)
		s.spared += m.first
		return
	}
	s.misses.add(m.first)
	if m.outcome == outOther {
		return
	}
	s.waited += m.first
	if strings.Contains(m.cacheStatus, "; stored") {
		return
	}
	_, why, _ := strings.Cut(m.cacheStatus, "; detail=")
	if why == "" || s.notStored[why] == 0 && len(s.notStored) >= maxReasons {
		return
	}
	if s.notStored == nil {
		s.notStored = map[string]uint64{}
	}
	s.notStored[why]++
}

// spares reports whether a request with this outcome did not call the origin itself.
func spares(o outcome) bool {
	return o == outNear || o == outShared || o == outStale || o == outCoalesced
}

func (s *routeSpan) merge(o *routeSpan) {
	for i := range s.outcomes {
		s.outcomes[i] += o.outcomes[i]
	}
	for i := range s.status {
		s.status[i] += o.status[i]
	}
	s.hits.merge(&o.hits)
	s.misses.merge(&o.misses)
	s.waited, s.spared, s.bytes = s.waited+o.waited, s.spared+o.spared, s.bytes+o.bytes
	for why, n := range o.notStored {
		if s.notStored == nil {
			s.notStored = map[string]uint64{}
		}
		s.notStored[why] += n
	}
}

// Routes returns what happened to the requests of each route in the last five to ten minutes, those with the most
// requests first.
func (a *Admin) Routes() []Route {
	out := a.requests.byRoute(time.Now())
	costs := map[string]float64{}
	for _, c := range a.cache.Stats().Classes {
		costs[c.Class.Name] = c.Class.Cost
	}
	for i, r := range out {
		if cost := costs[r.Class]; cost > 0 {
			saved := cost * float64(r.OriginSpared)
			out[i].SavedCost = &saved
		}
	}
	return out
}

func (q *requests) byRoute(now time.Time) []Route {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fold(now)
	q.routes.turn(now)
	out := make([]Route, 0, len(q.routes.by))
	for name, c := range q.routes.by {
		out = append(out, c.route(name, now, q.routes.begun))
	}
	slices.SortFunc(out, func(a, b Route) int {
		return cmp.Or(-cmp.Compare(a.Requests, b.Requests), cmp.Compare(a.Route, b.Route))
	})
	return out
}

func (c *routeCounts) route(name string, now, begun time.Time) Route {
	var s routeSpan
	s.merge(&c.spans[0])
	s.merge(&c.spans[1])
	from := begun.Add(-routeSpanLength)
	if c.begun.After(from) {
		from = c.begun
	}
	r := Route{
		Route: name, Rule: c.rule, Class: c.class, Example: c.example, Fields: c.fields, Seconds: now.Sub(from).Seconds(), Requests: s.requests(), Outcomes: map[string]uint64{}, Status: map[string]uint64{},
		NotStored: s.notStored, Bytes: s.bytes, Hits: quantilesOf(&s.hits), Misses: quantilesOf(&s.misses),
	}
	for i, n := range s.outcomes {
		if n > 0 {
			r.Outcomes[outcome(i).String()] = n
		}
		if spares(outcome(i)) {
			r.OriginSpared += n
		}
	}
	r.OriginCalls = s.outcomes[outMiss] + s.outcomes[outBypass]
	if lookups := r.OriginSpared + s.outcomes[outMiss]; lookups > 0 {
		rate := float64(r.OriginSpared) / float64(lookups)
		r.HitRate = &rate
	}
	for i, n := range s.status {
		if n > 0 {
			r.Status[statusNames[i]] = n
		}
	}
	if r.OriginCalls > 0 && r.OriginSpared > 0 {
		mean := s.waited.Seconds() / float64(r.OriginCalls)
		r.SavedSeconds = max(0, mean*float64(r.OriginSpared)-s.spared.Seconds())
	}
	if r.NotStored == nil {
		r.NotStored = map[string]uint64{}
	}
	return r
}

// foldPath makes one path of those that differ in an id: a segment that is a number, or long and with a digit in it.
func foldPath(path string) string {
	path = cut(path, maxPath)
	if !strings.ContainsAny(path, "0123456789") {
		return path
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if isID(s) {
			segments[i] = "{id}"
		}
	}
	return strings.Join(segments, "/")
}

func isID(s string) bool {
	digits := 0
	for i := range len(s) {
		if '0' <= s[i] && s[i] <= '9' {
			digits++
		}
	}
	return digits > 0 && (digits == len(s) || len(s) >= 16 || digits >= 4 || len(s) >= 8 && strings.Trim(s, "0123456789abcdefABCDEF-") == "")
}
