package forebay

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Counters are kept where the answer is given, per class. Hits are striped, because they are the
// only ones that all cores add to at full speed.
type counters struct {
	hits      [numTiers]striped
	staleHits atomic.Uint64
	coalesced atomic.Uint64
	bypasses  atomic.Uint64
	misses    [numReasons]atomic.Uint64
	loads     atomic.Uint64
	loading   atomic.Int64
	waiting   atomic.Int64
	errors    atomic.Uint64
	saved     atomic.Int64 // nanoseconds, of stale hits and joined loads
	entries   atomic.Int64
	evictions atomic.Uint64
	refused   atomic.Uint64
	kept      atomic.Uint64

	mu        sync.Mutex // guards the fields below
	notStored map[string]uint64
}

// maxReasons bounds the reasons that are counted one by one.
const maxReasons = 32

func (c *counters) countNotStored(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.notStored == nil {
		c.notStored = map[string]uint64{}
	}
	if _, known := c.notStored[why]; known || len(c.notStored) < maxReasons {
		c.notStored[why]++
	}
}

func (c *counters) init() {
	for i := range c.hits {
		c.hits[i].cells = make([]cell, stripes)
	}
}

// stackShift is the size of the smallest stacks, as a power of two.
const stackShift = 11

// stripes is a power of two, so that masking picks one.
var stripes = 1 << bits.Len(uint(min(64, 4*runtime.GOMAXPROCS(0))-1))

type striped struct{ cells []cell }

// A cell counts hits and the time they saved in one word, because a hit can afford one addition:
// the hits in the lower bits, the microseconds above. What no longer fits is folded into the wide
// sums. A cell has a cache line of its own: two cores that count do not wait for each other.
type cell struct {
	packed atomic.Uint64
	mu     sync.Mutex // guards the fields below
	hits   uint64
	saved  time.Duration
	_      [96]byte
}

const (
	hitBits  = 24
	foldWhen = 1<<(hitBits-1) | 1<<63 // half of either part is used
)

func (s *striped) add(saved time.Duration) {
	// Goroutines that run at the same time have stacks in different places, so an address on the
	// stack picks a stripe as well as a random number would, for nothing.
	var here byte
	c := &s.cells[int(uintptr(unsafe.Pointer(&here))>>stackShift)&(len(s.cells)-1)]
	if c.packed.Add(1|uint64(saved/time.Microsecond)<<hitBits)&foldWhen != 0 {
		c.fold()
	}
}

// fold empties the word and returns the sums.
func (c *cell) fold() (hits uint64, saved time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.packed.Swap(0)
	c.hits += v & (1<<hitBits - 1)
	c.saved += time.Duration(v>>hitBits) * time.Microsecond
	return c.hits, c.saved
}

func (s *striped) sum() (n uint64, saved time.Duration) {
	for i := range s.cells {
		h, t := s.cells[i].fold()
		n, saved = n+h, saved+t
	}
	return n, saved
}
