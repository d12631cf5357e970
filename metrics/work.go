package metrics

import (
	"math/bits"
	"sync"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/prometheus/client_golang/prometheus"
)

// work is what happens in a cache, measured: loads, the questions to the shared tier, what is stored, invalidations.
type work struct {
	mu          sync.Mutex // guards the fields below
	loads       map[string]*spread
	sizes       map[string]*spread
	shared      spread
	invalidated uint64
}

// A spread counts values by their size, in powers of two.
type spread struct {
	counts [64]uint64 // below 2 to the power of the place, and not below that of the one before
	n      uint64
	sum    float64
}

func (s *spread) add(v uint64, exact float64) {
	s.counts[min(bits.Len64(v), len(s.counts)-1)]++
	s.n++
	s.sum += exact
}

func (s *spread) time(d time.Duration) { s.add(uint64(max(d/time.Microsecond, 1)), d.Seconds()) }

// buckets are cumulative counts from one power to another, in steps, each below its bound.
func (s *spread) buckets(first, last, step int, unit float64) map[float64]uint64 {
	out, seen := map[float64]uint64{}, uint64(0)
	for i, n := range s.counts {
		if seen += n; first <= i && i <= last && (i-first)%step == 0 {
			out[float64(uint64(1)<<i)*unit] = seen
		}
	}
	return out
}

const microsecond = 1e-6

// times are from 0.13 ms to 34 s.
func (s *spread) times() map[float64]uint64 { return s.buckets(7, 25, 1, microsecond) }

// bytes are from 256 B to 1 GiB.
func (s *spread) bytes() map[float64]uint64 { return s.buckets(8, 30, 2, 1) }

// Observe implements [forebay.Observer].
func (w *work) Observe(e forebay.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Kind {
	case forebay.EventLoad:
		of(w.loads, e.Class).time(e.Duration)
	case forebay.EventStore:
		of(w.sizes, e.Class).add(max(e.Bytes, 1)-1, float64(e.Bytes)) // up to the bound
	case forebay.EventShared:
		w.shared.time(e.Duration)
	case forebay.EventInvalidate, forebay.EventLearn:
		w.invalidated++
	}
}

// of is what is counted of a class. Classes are the program's, and few.
func of(by map[string]*spread, class string) *spread {
	if by[class] == nil {
		by[class] = new(spread)
	}
	return by[class]
}

var (
	loadTimeDesc   = desc("load_duration_seconds", "Time of loads.", "class")
	sharedTimeDesc = desc("shared_lookup_duration_seconds", "Time of questions to the shared tier.")
	entrySizeDesc  = desc("entry_size_bytes", "Memory of entries when they are stored.", "class")
	invalidDesc    = desc("invalidations_total", "Invalidations that this node has made or heard of.")
)

// collect sends what was measured.
func (w *work) collect(to figures, withShared bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for class, t := range w.loads {
		to.out <- prometheus.MustNewConstHistogram(loadTimeDesc, t.n, t.sum, t.times(), class)
	}
	for class, s := range w.sizes {
		to.out <- prometheus.MustNewConstHistogram(entrySizeDesc, s.n, s.sum, s.bytes(), class)
	}
	if withShared {
		to.out <- prometheus.MustNewConstHistogram(sharedTimeDesc, w.shared.n, w.shared.sum, w.shared.times())
	}
	to.count(invalidDesc, float64(w.invalidated))
}
