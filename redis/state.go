package redis

import (
	"math/bits"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// counts are kept where the operations are made.
type counts struct {
	lookups atomic.Uint64
	errors  atomic.Uint64
	buckets [64 * perOctave]atomic.Uint64 // of the look-ups' latency
}

// perOctave is how finely latencies are told apart: within a quarter of their size.
const perOctave = 4

func (c *counts) lookup(took time.Duration, err error) {
	c.lookups.Add(1)
	if err == nil {
		c.buckets[bucketOf(took)].Add(1)
	}
}

// bucketOf counts octaves of nanoseconds, in quarters.
func bucketOf(d time.Duration) int {
	n := uint64(max(d, perOctave))
	octave := bits.Len64(n) - 1
	quarter := n >> (octave - 2) & (perOctave - 1)
	return octave*perOctave + int(quarter)
}

// upper is the end of a bucket.
func upper(bucket int) time.Duration {
	octave, quarter := bucket/perOctave, bucket%perOctave
	return time.Duration(uint64(perOctave+quarter+1) << (octave - 2))
}

// quantiles returns the latencies that the shares of the look-ups did not exceed.
func (c *counts) quantiles(shares ...float64) []time.Duration {
	var all [len(c.buckets)]uint64
	total := uint64(0)
	for i := range all {
		all[i] = c.buckets[i].Load()
		total += all[i]
	}
	out := make([]time.Duration, len(shares))
	for i, share := range shares {
		seen := uint64(0)
		for b := range all {
			if seen += all[b]; total > 0 && float64(seen) >= share*float64(total) {
				out[i] = upper(b)
				break
			}
		}
	}
	return out
}

// A trouble is the latest failure of an operation in a cluster, where some servers may answer and others
// not: no row of failures opens the breaker.
type trouble struct {
	at  time.Time
	err error
}

// troubleFor is how long it is said.
const troubleFor = time.Second

// A sight is what the server's clock was at a time of this process's steady one.
type sight struct {
	server time.Time
	at     time.Time
}

// readClock takes what the server said of its clock between two times.
func (t *Tier) readClock(usec string, asked, answered time.Time) {
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil {
		return // a server that does not say: this process's own must do
	}
	t.clock.Store(&sight{time.UnixMicro(n), asked.Add(answered.Sub(asked) / 2)})
}

// Clock implements [shared.Tier]: the server's, as it was at the latest inspection, and the time since.
func (t *Tier) Clock() time.Time {
	r := t.clock.Load()
	if r == nil {
		return time.Now()
	}
	return r.server.Add(time.Since(r.at))
}

// State implements [shared.Tier].
func (t *Tier) State() shared.State {
	t.mu.Lock()
	s := t.state
	t.mu.Unlock()
	s.Connected = t.client.Load() != nil && t.up.Load()
	if p := t.trouble.Load(); p != nil && s.Problem == "" && time.Since(p.at) < troubleFor {
		s.Problem = "a server of the cluster cannot be used: " + remedy(p.err)
	}
	if t.drills.Load() > 0 {
		s.Connected, s.Problem = false, "a drill has taken the tier away"
	}
	s.Breaker = t.breaker.State().String()
	s.Lookups, s.Errors = t.counts.lookups.Load(), t.counts.errors.Load()
	q := t.counts.quantiles(0.5, 0.99)
	s.P50, s.P99 = q[0], q[1]
	return s
}
