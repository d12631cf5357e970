package admin

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay"
	"golang.org/x/time/rate"
)

// Measure follows the requests to next: how long each takes to its first byte, by what Cache-Status
// says of it, and of a sample of them the way through the parts. The operations of the admin itself
// are left out.
func (a *Admin) Measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.requests.serve(w, r, next) })
}

// requests is what is known of the requests of the cache's clients.
type requests struct {
	keys  *keys
	limit *rate.Limiter // of the sample
	full  atomic.Int64  // until when the sample has no room, in Unix nanoseconds
	rule  func(*http.Request) (rule, class string)

	mu       sync.Mutex // guards the fields below
	counters map[counterOf]*Counter
	routes   routes
	exported exported
	windows  []*window
	recent   []Request // a ring
	next     int
	seq      uint64
	skipped  uint64 // requests since the last one of the sample
}

const (
	// samplePerSecond bounds how many requests have their way kept; below it, all have.
	samplePerSecond = 50
	maxRecent       = 200
	maxSteps        = 32
	maxPath         = 300
)

func newRequests(o Options) *requests {
	return &requests{keys: newKeys(), rule: o.Rule, exported: exported{trace: o.TraceID}, limit: rate.NewLimiter(samplePerSecond, samplePerSecond)}
}

// A Request is one of the sample.
type Request struct {
	ID          uint64    `json:"id"`
	Time        time.Time `json:"time"`
	Method      string    `json:"method"`
	Path        string    `json:"path"`
	Status      int       `json:"status"`
	Outcome     string    `json:"outcome" doc:"near, shared, stale, coalesced, miss, bypass; other: no part of the cache's"`
	CacheStatus string    `json:"cache_status,omitempty"`
	FirstByteMS float64   `json:"first_byte_ms"`
	TookMS      float64   `json:"took_ms"`
	Steps       []Step    `json:"steps"`

	host   string
	fields map[string]string // that choose between forms of an answer
}

// A Step is a part of a request's way.
type Step struct {
	Part   string  `json:"part" enum:"near,log,shared,lease,wait,origin"`
	Found  string  `json:"found"`
	Class  string  `json:"class"`
	Key    string  `json:"key,omitempty"`
	AtMS   float64 `json:"at_ms" doc:"Since the request came"`
	TookMS float64 `json:"took_ms"`
	Error  string  `json:"error,omitempty"`
}

// Requests returns the recent ones, the newest first.
func (a *Admin) Requests() []Request { return a.requests.list() }

func (q *requests) list() []Request {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := slices.Clone(q.recent)
	slices.SortFunc(out, func(a, b Request) int { return int(int64(b.ID) - int64(a.ID)) })
	if out == nil {
		out = []Request{}
	}
	return out
}

func (q *requests) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	m := &measured{ResponseWriter: w, start: time.Now(), status: http.StatusOK}
	if q.rule != nil {
		m.route, m.class = q.rule(r)
	}
	if q.limit.AllowN(m.start, 1) {
		m.way = &way{begun: m.start}
		r = r.WithContext(forebay.WithTrace(r.Context(), &forebay.Trace{Step: m.way.step}))
	}
	defer func() { q.note(m, r) }() // also of a request that panics
	next.ServeHTTP(m, r)
}

func (q *requests) note(m *measured, r *http.Request) {
	if m.leftOut {
		return
	}
	m.begins()
	took := time.Since(m.start)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range q.windows {
		w.add(m)
	}
	q.routes.add(m, r)
	q.exported.add(m, r)
	if m.way == nil {
		q.skipped++
		return
	}
	q.fold(m.start)
	weight := q.skipped + 1
	q.skipped = 0
	q.seq++
	steps := m.way.end()
	q.keys.note(steps, weight)
	q.keepLocked(Request{
		ID: q.seq, Time: m.start.UTC(), Method: r.Method, Path: cut(r.URL.RequestURI(), maxPath), Status: m.status, Outcome: m.outcome.String(),
		CacheStatus: m.cacheStatus, FirstByteMS: inMS(m.first), TookMS: inMS(took), Steps: steps,
		host: r.Host, fields: choosing(r.Header),
	})
}

func (q *requests) keepLocked(r Request) {
	if len(q.recent) < maxRecent {
		q.recent = append(q.recent, r)
		return
	}
	q.recent[q.next] = r
	q.next = (q.next + 1) % maxRecent
}

func cut(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// A way is the steps of one request so far. What loads behind the answer may come too late for it.
type way struct {
	begun time.Time
	mu    sync.Mutex // guards the fields below
	steps []Step
	ended bool
}

func (w *way) step(_ context.Context, s forebay.Step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || len(w.steps) == maxSteps {
		return
	}
	one := Step{Part: s.Stage.String(), Found: s.Found, Class: s.Class, Key: s.Key, AtMS: inMS(s.Start.Sub(w.begun)), TookMS: inMS(s.Duration)}
	if s.Err != nil {
		one.Error = cut(s.Err.Error(), maxPath)
	}
	w.steps = append(w.steps, one)
}

func (w *way) end() []Step {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.steps == nil {
		return []Step{}
	}
	return w.steps
}

// An outcome is what Cache-Status says of a request.
type outcome uint8

const (
	outNear outcome = iota
	outShared
	outStale
	outCoalesced
	outMiss
	outBypass
	outOther
	numOutcomes
)

var outcomeNames = [numOutcomes]string{"near", "shared", "stale", "coalesced", "miss", "bypass", "other"}

func (o outcome) String() string { return outcomeNames[o] }

// outcomeOf reads what this cache said: its member is the last one.
func outcomeOf(lines []string) (outcome, string) {
	if len(lines) == 0 {
		return outOther, ""
	}
	status := lines[len(lines)-1]
	has := func(part string) bool { return strings.Contains(status, part) }
	switch {
	case !strings.HasPrefix(status, "forebay;"):
		return outOther, status
	case has("; hit;") && has("detail=near"):
		return outNear, status
	case has("; hit;") && has("detail=shared"):
		return outShared, status
	case has("; hit;"):
		return outStale, status
	case has("; collapsed"):
		return outCoalesced, status
	case has("fwd=bypass"):
		return outBypass, status
	}
	return outMiss, status
}

// measured notes when the first byte of an answer went out, and what it says of itself.
type measured struct {
	http.ResponseWriter
	start       time.Time
	first       time.Duration
	status      int
	outcome     outcome
	cacheStatus string
	route       string // its rule; empty: none
	class       string // of the rule
	bytes       uint64 // of the body
	way         *way   // nil: not of the sample
	leftOut     bool
}

// excludeFromMetrics says that the request that is answered by w is not client traffic.
func excludeFromMetrics(w http.ResponseWriter) {
	for {
		switch one := w.(type) {
		case *measured:
			one.leftOut = true
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = one.Unwrap()
		default:
			return
		}
	}
}

func (m *measured) begins() {
	if m.first == 0 {
		m.first = time.Since(m.start)
		m.outcome, m.cacheStatus = outcomeOf(m.Header()["Cache-Status"])
	}
}

// WriteHeader implements [http.ResponseWriter].
func (m *measured) WriteHeader(status int) {
	if m.first == 0 && status >= 200 {
		m.status = status
		m.begins()
	}
	m.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (m *measured) Write(p []byte) (int, error) {
	m.begins()
	n, err := m.ResponseWriter.Write(p)
	m.bytes += uint64(n)
	return n, err
}

// FlushError implements what [http.ResponseController] looks for.
func (m *measured) FlushError() error {
	m.begins()
	return http.NewResponseController(m.ResponseWriter).Flush()
}

// Flush implements [http.Flusher]: what compresses in between looks for nothing else.
func (m *measured) Flush() { m.FlushError() }

// Hijack implements [http.Hijacker]: libraries look for it without unwrapping.
func (m *measured) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	m.begins()
	return http.NewResponseController(m.ResponseWriter).Hijack()
}

// Unwrap lets [http.ResponseController] reach the writer below.
func (m *measured) Unwrap() http.ResponseWriter { return m.ResponseWriter }
