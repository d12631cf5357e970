package admin

import (
	"net/http"
	"sync"
	"time"
)

// Requests measures what the public listener does: how many requests, how many failed, how long they
// took to their first byte. It is safe for concurrent use.
type Requests struct {
	mu     sync.Mutex // guards what follows
	count  uint64
	failed uint64
	took   histogram
	worst  time.Duration
}

// perOctave is how finely durations are told apart: within a tenth.
const perOctave = 8

// A histogram counts durations from a microsecond on, in eighths of octaves.
type histogram [40 * perOctave]uint64

// Handler measures the requests to next.
func (q *Requests) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := &measured{ResponseWriter: w, start: time.Now(), status: http.StatusOK}
		defer func() { q.note(m) }() // also of a request that panics
		next.ServeHTTP(m, r)
	})
}

func (q *Requests) note(m *measured) {
	if m.first == 0 {
		m.first = time.Since(m.start)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count++
	if m.status >= http.StatusInternalServerError {
		q.failed++
	}
	q.worst = max(q.worst, m.first)
	q.took[bucket(m.first)]++
}

// bucket finds the place of a duration without a logarithm.
func bucket(d time.Duration) int {
	us, octave := uint64(max(d/time.Microsecond, 1)), 0
	for us>>octave > 1 {
		octave++
	}
	part := (us<<perOctaveBits>>octave - perOctave) % perOctave
	return min(octave*perOctave+int(part), len(histogram{})-1)
}

const perOctaveBits = 3

// upper is the end of a bucket.
func upper(i int) time.Duration {
	octave, part := i/perOctave, i%perOctave
	return time.Duration(uint64(perOctave+part+1)<<octave>>perOctaveBits+1) * time.Microsecond
}

// A Sample is what Requests measured since it was last taken.
type Sample struct {
	Requests uint64        `json:"requests"`
	Failed   uint64        `json:"failed"` // answered with 5xx
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	Slowest  time.Duration `json:"slowest_ns"`
}

// take returns what was measured since the last call, and begins anew.
func (q *Requests) take() Sample {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Sample{Requests: q.count, Failed: q.failed, Slowest: q.worst, P50: min(q.took.quantile(q.count, 0.5), q.worst), P99: min(q.took.quantile(q.count, 0.99), q.worst)}
	q.count, q.failed, q.worst, q.took = 0, 0, 0, histogram{}
	return s
}

func (h *histogram) quantile(n uint64, share float64) time.Duration {
	seen := uint64(0)
	for i, c := range h {
		if seen += c; n > 0 && float64(seen) >= share*float64(n) {
			return upper(i)
		}
	}
	return 0
}

// measured notes when the first byte went out.
type measured struct {
	http.ResponseWriter
	start  time.Time
	first  time.Duration
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (m *measured) WriteHeader(status int) {
	if m.first == 0 && status >= 200 {
		m.first, m.status = time.Since(m.start), status
	}
	m.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (m *measured) Write(p []byte) (int, error) {
	if m.first == 0 {
		m.first = time.Since(m.start)
	}
	return m.ResponseWriter.Write(p)
}

// Unwrap lets [http.ResponseController] reach the writer below.
func (m *measured) Unwrap() http.ResponseWriter { return m.ResponseWriter }
