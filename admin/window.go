package admin

import (
	"net/http"
	"slices"
	"time"
)

// A window counts requests from when it was opened, or last taken.
type window struct {
	of     *requests
	sample sample // guarded by of.mu
}

// A sample is what a window counted.
type sample struct {
	requests uint64
	failed   uint64 // answered with 5xx
	took     [numOutcomes]histogram
}

func (q *requests) open() *window {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := &window{of: q}
	q.windows = append(q.windows, w)
	return w
}

func (w *window) close() {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	w.of.windows = slices.DeleteFunc(w.of.windows, func(o *window) bool { return o == w })
}

func (w *window) add(m *measured) {
	w.sample.requests++
	if m.status >= http.StatusInternalServerError {
		w.sample.failed++
	}
	w.sample.took[m.outcome].add(m.first)
}

// take returns what was counted since the last call, and starts over.
func (w *window) take() sample {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	w.of.fold(time.Now())
	s := w.sample
	w.sample = sample{}
	return s
}

func (s *sample) merge(o *sample) {
	s.requests += o.requests
	s.failed += o.failed
	for i := range s.took {
		s.took[i].merge(&o.took[i])
	}
}

// all is the histogram of every request.
func (s *sample) all() (h histogram) {
	for i := range s.took {
		h.merge(&s.took[i])
	}
	return h
}

// A Sample is what happened to the requests in a while, to their first byte.
type Sample struct {
	Requests uint64        `json:"requests"`
	Failed   uint64        `json:"failed" doc:"Answered with 5xx"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
	Slowest  time.Duration `json:"slowest_ns"`
}

func (s *sample) figures() Sample {
	h := s.all()
	return Sample{Requests: s.requests, Failed: s.failed, P50: h.quantile(0.5), P99: h.quantile(0.99), Slowest: h.worst}
}
