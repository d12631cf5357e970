package admin

import (
	"context"
	"sync"
	"time"

	"github.com/forebay-cache/forebay"
)

// A Point is what happened in one step of time.
type Point struct {
	Time          time.Time             `json:"time" doc:"The end of the step"`
	Seconds       float64               `json:"seconds" doc:"How long it was"`
	Classes       map[string]ClassPoint `json:"classes" doc:"Those in which something happened"`
	Latency       map[string]Quantiles  `json:"latency" doc:"To the first byte, by outcome: near, shared, stale, coalesced, miss, bypass, other"`
	Minute        Quantiles             `json:"minute" doc:"To the first byte, of all requests of the last minute together"`
	Requests      uint64                `json:"requests"`
	Failed        uint64                `json:"failed" doc:"Answered with 5xx"`
	OriginCalls   *int64                `json:"origin_calls" doc:"null: nobody counts them"`
	SharedLookups uint64                `json:"shared_lookups" doc:"Of requests"`
	SharedErrors  uint64                `json:"shared_errors"`
	SharedP50MS   *float64              `json:"shared_p50_ms" doc:"Since the start; null before the first look-up"`
	NearBytes     uint64                `json:"near_bytes"`
	NearEntries   int64                 `json:"near_entries"`
	Evictions     uint64                `json:"evictions"`
	Invalidations int                   `json:"invalidations"`
	MCPCalls      uint64                `json:"mcp_calls" doc:"Of tools of the MCP server"`
	LagMS         float64               `json:"lag_ms"`
	Mode          string                `json:"mode"`
}

// A ClassPoint is what happened in a class.
type ClassPoint struct {
	Near         uint64  `json:"near"`
	Shared       uint64  `json:"shared"`
	Stale        uint64  `json:"stale"`
	Coalesced    uint64  `json:"coalesced"`
	Misses       uint64  `json:"misses"`
	Bypasses     uint64  `json:"bypasses"`
	Loads        uint64  `json:"loads"`
	Passed       uint64  `json:"passed" doc:"Calls of the origin that are not loads"`
	LoadErrors   uint64  `json:"load_errors"`
	SavedSeconds float64 `json:"saved_seconds"`
}

// Quantiles of durations, in milliseconds.
type Quantiles struct {
	N   uint64  `json:"n"`
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// series are the points of three steps, each in a ring of its own.
type series struct {
	mu     sync.Mutex // guards the fields below
	last   forebay.Stats
	calls  int64
	at     time.Time
	levels []level
	minute lastMinute
}

// A lastMinute is the requests of the last sixty seconds together, in spans of ten: the quantile of all is not to be had
// from those of its parts.
type lastMinute struct {
	spans [6]histogram
	now   int // the span that runs
	n     int // seconds in it
}

func (m *lastMinute) add(s *sample) Quantiles {
	if m.n == 10 {
		m.now, m.n = (m.now+1)%len(m.spans), 0
		m.spans[m.now] = histogram{}
	}
	m.n++
	one := s.all()
	m.spans[m.now].merge(&one)
	var all histogram
	for i := range m.spans {
		all.merge(&m.spans[i])
	}
	return quantilesOf(&all)
}

// A level is the points of one step of time.
type level struct {
	name   string
	every  int // seconds
	keep   int
	points []Point
	sum    Point // of the step that is not over
	sample sample
	n      int // seconds in it
}

func newSeries(s forebay.Stats) *series {
	return &series{last: s, at: time.Now(), levels: []level{
		{name: "1s", every: 1, keep: 600}, {name: "10s", every: 10, keep: 720}, {name: "1m", every: 60, keep: 2880},
	}}
}

// add takes the figures of a second, and returns its point.
func (s *series) add(now time.Time, stats forebay.Stats, q sample, calls *int64, invalidations int, mcpCalls uint64) Point {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := between(s.last, stats)
	if calls != nil {
		since := *calls - s.calls
		s.calls, p.OriginCalls = *calls, &since
	}
	p.Time, p.Seconds = now.UTC(), now.Sub(s.at).Seconds()
	p.Requests, p.Failed, p.Invalidations, p.MCPCalls = q.requests, q.failed, invalidations, mcpCalls
	s.last, s.at = stats, now
	p.Minute = s.minute.add(&q)
	for i := range s.levels {
		s.levels[i].add(p, &q)
	}
	newest := s.levels[0].points
	return newest[len(newest)-1]
}

func (l *level) add(p Point, q *sample) {
	if l.n == 0 {
		l.sum, l.sample = Point{Classes: map[string]ClassPoint{}}, sample{}
	}
	l.sum.merge(p)
	l.sample.merge(q)
	if l.n++; l.n < l.every {
		return
	}
	l.n = 0
	l.sum.Latency = l.sample.latency()
	if len(l.points) == l.keep {
		l.points = append(l.points[:0], l.points[1:]...)
	}
	l.points = append(l.points, l.sum)
}

// merge adds a later point: counts add up, states are the latest.
func (p *Point) merge(o Point) {
	classes := p.Classes
	for name, c := range o.Classes {
		classes[name] = classes[name].plus(c)
	}
	seconds, requests, failed := p.Seconds+o.Seconds, p.Requests+o.Requests, p.Failed+o.Failed
	lookups, errors, evictions := p.SharedLookups+o.SharedLookups, p.SharedErrors+o.SharedErrors, p.Evictions+o.Evictions
	invalidations, calls, mcpCalls := p.Invalidations+o.Invalidations, o.OriginCalls, p.MCPCalls+o.MCPCalls
	if calls != nil && p.OriginCalls != nil {
		sum := *p.OriginCalls + *calls
		calls = &sum
	}
	*p = o
	p.Classes, p.Seconds, p.Requests, p.Failed = classes, seconds, requests, failed
	p.SharedLookups, p.SharedErrors, p.Evictions, p.Invalidations, p.OriginCalls, p.MCPCalls = lookups, errors, evictions, invalidations, calls, mcpCalls
}

func (c ClassPoint) plus(o ClassPoint) ClassPoint {
	return ClassPoint{
		Near: c.Near + o.Near, Shared: c.Shared + o.Shared, Stale: c.Stale + o.Stale, Coalesced: c.Coalesced + o.Coalesced,
		Misses: c.Misses + o.Misses, Bypasses: c.Bypasses + o.Bypasses, Loads: c.Loads + o.Loads, Passed: c.Passed + o.Passed,
		LoadErrors: c.LoadErrors + o.LoadErrors, SavedSeconds: c.SavedSeconds + o.SavedSeconds,
	}
}

// between is what happened between two looks at the statistics.
func between(a, b forebay.Stats) Point {
	p := Point{
		Classes: map[string]ClassPoint{}, NearBytes: b.Near.Bytes, NearEntries: b.Near.Entries, Evictions: b.Near.Evictions - a.Near.Evictions,
		LagMS: inMS(b.Log.Lag), Mode: string(b.Mode),
	}
	before := map[string]forebay.ClassStats{}
	for _, c := range a.Classes {
		before[c.Class.Name] = c
	}
	for _, c := range b.Classes {
		o := before[c.Class.Name]
		one := ClassPoint{
			Near: c.NearHits - o.NearHits, Shared: c.SharedHits - o.SharedHits, Stale: c.StaleHits - o.StaleHits,
			Coalesced: c.Coalesced - o.Coalesced, Misses: c.Misses - o.Misses, Bypasses: c.Bypasses - o.Bypasses,
			Loads: c.Loads - o.Loads, Passed: c.Passed - o.Passed, LoadErrors: c.LoadErrors - o.LoadErrors, SavedSeconds: seconds(c.Saved - o.Saved),
		}
		if one != (ClassPoint{}) {
			p.Classes[c.Class.Name] = one
		}
	}
	if b.Shared != nil {
		p.SharedP50MS = milliseconds(b.Shared.P50)
		p.SharedLookups, p.SharedErrors = b.Shared.Reads, b.Shared.Errors
		if a.Shared != nil {
			p.SharedLookups, p.SharedErrors = b.Shared.Reads-a.Shared.Reads, b.Shared.Errors-a.Shared.Errors
		}
	}
	return p
}

func (s *sample) latency() map[string]Quantiles {
	out := map[string]Quantiles{}
	for i := range s.took {
		if h := &s.took[i]; h.n > 0 {
			out[outcome(i).String()] = quantilesOf(h)
		}
	}
	return out
}

func quantilesOf(h *histogram) Quantiles {
	return Quantiles{h.n, inMS(h.quantile(0.5)), inMS(h.quantile(0.95)), inMS(h.quantile(0.99))}
}

// Series is the figures of one step, the oldest first.
type Series struct {
	Step   string  `json:"step"`
	Points []Point `json:"points"`
}

type seriesRequest struct {
	Step string `query:"step" default:"1s" enum:"1s,10s,1m"`
}

func (a *Admin) readSeries(_ context.Context, in *seriesRequest) (*answer[Series], error) {
	return &answer[Series]{a.Series(in.Step)}, nil
}

// Series returns the points of a step: 1s, 10s or 1m.
func (a *Admin) Series(step string) Series {
	a.series.mu.Lock()
	defer a.series.mu.Unlock()
	for _, l := range a.series.levels {
		if l.name == step {
			return Series{step, append([]Point{}, l.points...)}
		}
	}
	return Series{step, []Point{}}
}

// recent is the mean of the last few seconds; nil before the first.
func (s *series) recent(seconds int) *Point {
	s.mu.Lock()
	defer s.mu.Unlock()
	points := s.levels[0].points
	if len(points) == 0 {
		return nil
	}
	sum := Point{Classes: map[string]ClassPoint{}}
	for _, p := range points[max(0, len(points)-seconds):] {
		sum.merge(p)
	}
	return &sum
}
