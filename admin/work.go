package admin

import (
	"math/bits"
	"sync"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/prometheus/client_golang/prometheus"
)

// work is what the cache itself does, measured for metrics: loads, the questions to the shared tier, what is stored.
type work struct {
	mu     sync.Mutex // guards the fields below
	loads  map[string]*timing
	sizes  map[string]*sizes
	shared timing
}

type timing struct {
	took histogram
	sum  time.Duration
}

func (t *timing) add(d time.Duration) {
	t.took.add(d)
	t.sum += d
}

// sizes count entries by their size, in powers of two bytes.
type sizes struct {
	counts [64]uint64
	n, sum uint64
}

func (s *sizes) add(bytes uint64) {
	s.counts[min(bits.Len64(max(bytes, 1)-1), len(s.counts)-1)]++ // up to 2 to the power of the place
	s.n++
	s.sum += bytes
}

// Observe implements [forebay.Observer].
func (w *work) Observe(e forebay.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Kind {
	case forebay.EventLoad:
		of(w.loads, e.Class).add(e.Duration)
	case forebay.EventStore:
		of(w.sizes, e.Class).add(e.Bytes)
	case forebay.EventShared:
		w.shared.add(e.Duration)
	}
}

// of is what is counted of a class. Classes are the program's, and few.
func of[T any](by map[string]*T, class string) *T {
	if by[class] == nil {
		by[class] = new(T)
	}
	return by[class]
}

var (
	loadTimeDesc   = desc("load_duration_seconds", "Time of loads.", "class")
	sharedTimeDesc = desc("shared_lookup_duration_seconds", "Time of questions to the shared tier.")
	entrySizeDesc  = desc("entry_size_bytes", "Memory of entries when they are stored.", "class")
)

// collect sends what was measured.
func (w *work) collect(out chan<- prometheus.Metric, withShared bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for class, t := range w.loads {
		out <- prometheus.MustNewConstHistogram(loadTimeDesc, t.took.n, t.sum.Seconds(), t.took.cumulative(), class)
	}
	for class, s := range w.sizes {
		out <- prometheus.MustNewConstHistogram(entrySizeDesc, s.n, float64(s.sum), s.buckets(), class)
	}
	if withShared {
		out <- prometheus.MustNewConstHistogram(sharedTimeDesc, w.shared.took.n, w.shared.sum.Seconds(), w.shared.took.cumulative())
	}
}

// buckets are cumulative counts in steps of four, from 256 B to 1 GiB.
func (s *sizes) buckets() map[float64]uint64 {
	out, seen := map[float64]uint64{}, uint64(0)
	for i, n := range s.counts {
		seen += n
		if 8 <= i && i <= 30 && i%2 == 0 {
			out[float64(uint64(1)<<i)] = seen
		}
	}
	return out
}
