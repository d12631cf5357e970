package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// exported counts requests for metrics, since the start: by the rule of their route, so that clients cannot make up
// labels.
type exported struct {
	by    map[exportedLabels]*exportedCounts
	trace func(context.Context) string // nil: there are no traces
}

type exportedLabels struct {
	route   string
	outcome outcome
}

type exportedCounts struct {
	took   histogram
	sum    time.Duration
	status [6]uint64 // by the first digit
	sample exemplar
}

// An exemplar is the trace of one request: the slowest of a minute, so that a slow bucket leads to a trace.
type exemplar struct {
	trace string
	took  time.Duration
	at    time.Time
}

const exemplarFor = time.Minute

func (x *exemplar) offer(m *measured, trace string) {
	if trace != "" && (m.first >= x.took || m.start.Sub(x.at) > exemplarFor) {
		*x = exemplar{trace, m.first, m.start}
	}
}

// noRule stands for the routes that no rule names.
const noRule = "(no rule)"

// add counts a request. The caller holds the lock.
func (e *exported) add(m *measured, r *http.Request) {
	labels := exportedLabels{m.route, m.outcome}
	if labels.route == "" {
		labels.route = r.Pattern
	}
	if labels.route == "" || labels.route == "/" {
		labels.route = noRule
	}
	c := e.at(labels)
	c.took.add(m.first)
	c.sum += m.first
	c.status[statusDigit(m.status)]++
	if e.trace != nil {
		c.sample.offer(m, e.trace(r.Context()))
	}
}

// addHits counts near hits. The caller holds the lock.
func (e *exported) addHits(of counterOf, took *histogram, sum time.Duration) {
	labels := exportedLabels{of.route, outNear}
	if !of.rule {
		labels.route = noRule
	}
	c := e.at(labels)
	c.took.merge(took)
	c.sum += sum
	c.status[statusDigit(of.status)] += took.n
}

func (e *exported) at(labels exportedLabels) *exportedCounts {
	c := e.by[labels]
	if c == nil {
		if e.by == nil {
			e.by = map[exportedLabels]*exportedCounts{}
		}
		c = &exportedCounts{}
		e.by[labels] = c
	}
	return c
}

func statusDigit(status int) int { return min(max(status/100, 0), 5) }

var statusNames = [6]string{"0xx", "1xx", "2xx", "3xx", "4xx", "5xx"}

var (
	durationDesc = desc("request_duration_seconds", "Time of requests to the first byte.", "route", "outcome")
	statusDesc   = desc("http_requests_total", "Requests by route, by what happened to them, and by status.", "route", "outcome", "status")
)

// collect sends what was counted.
func (q *requests) collect(out chan<- prometheus.Metric) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fold(time.Now())
	for labels, c := range q.exported.by {
		route, name := labels.route, labels.outcome.String()
		took := prometheus.MustNewConstHistogram(durationDesc, c.took.n, c.sum.Seconds(), c.took.cumulative(), route, name)
		if x := c.sample; x.trace != "" {
			took = prometheus.MustNewMetricWithExemplars(took, prometheus.Exemplar{Value: x.took.Seconds(), Labels: prometheus.Labels{"trace_id": x.trace}, Timestamp: x.at})
		}
		out <- took
		for i, n := range c.status {
			if n > 0 {
				out <- prometheus.MustNewConstMetric(statusDesc, prometheus.CounterValue, float64(n), route, name, statusNames[i])
			}
		}
	}
}

// cumulative are counts by seconds, in octaves from 0.13 ms to 34 s.
func (h *histogram) cumulative() map[float64]uint64 {
	const first, last = 7, 25 // octaves of microseconds
	out, seen := make(map[float64]uint64, last-first+1), uint64(0)
	for i, n := range h.counts {
		seen += uint64(n)
		if octave := i/perOctave + 1; (i+1)%perOctave == 0 && first <= octave && octave <= last {
			out[float64(uint64(1)<<octave)/1e6] = seen
		}
	}
	return out
}
