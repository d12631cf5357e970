package admin

import (
	"net/http"
	"sync/atomic"
	"time"
)

// Lane is what was answered below net/http.
type Lane struct {
	Answers uint64
	Differ  uint64 // answers of net/http that would have been others there
	Bytes   uint64 // of what is remembered for it
}

// A Counter counts near hits of one route that were answered before [Admin.Measure] could see them. It is safe for
// concurrent use, at the speed of all cores.
type Counter struct {
	of counterOf

	counts [buckets]atomic.Uint32 // by duration, as a histogram has them
	sum    atomic.Int64           // of the durations, in nanoseconds
	worst  atomic.Int64
	bytes  atomic.Uint64
}

// counterOf is what a counter's requests have in common.
type counterOf struct {
	route  string
	rule   bool
	class  string
	status int
}

// Counter returns the counter of requests like one that was answered with a status: the same for the same route.
func (a *Admin) Counter(r *http.Request, status int) *Counter {
	q := a.requests
	of := counterOf{status: status}
	if q.rule != nil {
		of.route, of.class = q.rule(r)
	}
	of.route, of.rule = routeOf(of.route, r)
	q.mu.Lock()
	defer q.mu.Unlock()
	if c := q.counters[of]; c != nil {
		return c
	}
	c := &Counter{of: of}
	if len(q.counters) >= maxRoutes {
		c.of.route, c.of.rule, c.of.class = otherRoutes, false, ""
		if old := q.counters[c.of]; old != nil {
			return old
		}
	}
	if q.counters == nil {
		q.counters = map[counterOf]*Counter{}
	}
	q.counters[c.of] = c
	return c
}

// Add counts a request, by the time to its answer and the length of its body.
func (c *Counter) Add(took time.Duration, bytes int) {
	c.counts[bucket(took)].Add(1)
	c.sum.Add(int64(took))
	if bytes > 0 {
		c.bytes.Add(uint64(bytes))
	}
	for worst := c.worst.Load(); int64(took) > worst && !c.worst.CompareAndSwap(worst, int64(took)); {
		worst = c.worst.Load()
	}
}

// take returns what was counted since the last call.
func (c *Counter) take() (took histogram, sum time.Duration, bytes uint64) {
	for i := range c.counts {
		if c.counts[i].Load() > 0 {
			n := c.counts[i].Swap(0)
			took.counts[i] += n
			took.n += uint64(n)
		}
	}
	took.worst = time.Duration(c.worst.Swap(0))
	return took, time.Duration(c.sum.Swap(0)), c.bytes.Swap(0)
}

// fold adds what the counters have counted to everything that counts requests. The caller holds the lock.
func (q *requests) fold(now time.Time) {
	for of, c := range q.counters {
		took, sum, bytes := c.take()
		if took.n == 0 {
			continue
		}
		for _, w := range q.windows {
			w.sample.requests += took.n
			w.sample.took[outNear].merge(&took)
		}
		q.routes.addHits(of, now, &took, sum, bytes)
		q.exported.addHits(of, &took, sum)
		q.skipped += took.n
	}
}

// Samples reports whether the sample has room now for one more request, which [Admin.Measure] has to see then.
func (a *Admin) Samples(now time.Time) bool {
	q := a.requests
	until := q.full.Load()
	if now.UnixNano() < until {
		return false
	}
	free := q.limit.TokensAt(now) - 1
	if free >= 1 { // there is room for others that ask before this one comes
		return true
	}
	next := now.Add(time.Duration((1 - free) / samplePerSecond * float64(time.Second))).UnixNano()
	return q.full.CompareAndSwap(until, next) && free >= 0
}
