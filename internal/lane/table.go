package lane

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/maypok86/otter/v2"
)

// A table holds the answers by the keys of their requests, bounded in bytes. What was seen once has four bytes alone: a
// client whose requests are all different takes no room.
type table struct {
	answers *otter.Cache[string, *answer]
	seed    maphash.Seed
	seen    []atomic.Uint32 // of an answer, by its key
}

// bytesPerSeen is how many bytes of answers there are to a place of what was seen once.
const bytesPerSeen = 256

func newTable(size uint64) (*table, error) {
	t := &table{seed: maphash.MakeSeed(), seen: make([]atomic.Uint32, 1<<bits.Len64(max(size, 1<<20)/bytesPerSeen-1))}
	var err error
	t.answers, err = otter.New(&otter.Options[string, *answer]{
		MaximumWeight: size,
		Weigher:       func(_ string, a *answer) uint32 { return a.weight() },
	})
	return t, err
}

// get returns the answer to a request; nil: none is known.
func (t *table) get(h head) *answer {
	a := t.under(h.key)
	if h.passed == 0 || a != nil && h.passed&a.reads == 0 {
		return a
	}
	return t.under(h.whole)
}

// under returns the answer to a key, which may be the caller's scratch memory.
func (t *table) under(key []byte) *answer {
	a, _ := t.answers.GetIfPresent(unsafe.String(unsafe.SliceData(key), len(key)))
	return a
}

func (t *table) forget(a *answer) { t.answers.Invalidate(a.key) }

// learn stores an answer that was seen before, or remembers that it was seen.
func (t *table) learn(a *answer) {
	place := &t.seen[maphash.String(t.seed, a.key)&uint64(len(t.seen)-1)]
	mark := uint32(maphash.Bytes(t.seed, a.head)) | 1
	if place.Swap(mark) == mark {
		t.answers.Set(a.key, a)
	}
}

func (t *table) close() {
	t.answers.InvalidateAll()
	t.answers.StopAllGoroutines()
}
