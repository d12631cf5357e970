// Package hits counts the hits of a tier and the time that they saved, at the speed of all cores.
package hits

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// A Counter is striped: cores that count at the same time use different cells. It is safe for concurrent use.
// [New] makes one.
type Counter struct{ cells []cell }

// New returns a counter at 0.
func New() Counter { return Counter{make([]cell, stripes)} }

// stripes is a power of two, so that masking picks one.
var stripes = 1 << bits.Len(uint(min(64, 4*runtime.GOMAXPROCS(0))-1))

// stackShift is the size of the smallest stacks, as a power of two.
const stackShift = 11

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

// Add counts a hit, and the time that it saved: it is counted in whole microseconds.
func (s *Counter) Add(saved time.Duration) {
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

// Sum returns the hits and the time that they saved so far.
func (s *Counter) Sum() (n uint64, saved time.Duration) {
	for i := range s.cells {
		h, t := s.cells[i].fold()
		n, saved = n+h, saved+t
	}
	return n, saved
}
