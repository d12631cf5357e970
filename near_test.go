package forebay_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/forebay-cache/forebay"
)

// TestNearTierKeepsItsBound fills a small near tier many times over with values of each shape, and
// looks at the live heap. `make bench` does it with a million keys.
func TestNearTierKeepsItsBound(t *testing.T) {
	const bound = 8 << 20
	t.Run("small structs", func(t *testing.T) {
		fill(t, bound, 200_000, func(i int) inner { return inner{fmt.Sprint("name ", i), i} })
	})
	t.Run("slices of structs", func(t *testing.T) {
		fill(t, bound, 20_000, func(i int) []item { return items(20) })
	})
	t.Run("bytes", func(t *testing.T) {
		fill(t, bound, 20_000, func(i int) []byte { return make([]byte, 1000+i%1000) })
	})
	t.Run("maps", func(t *testing.T) {
		fill(t, bound, 20_000, func(i int) map[string]int {
			m := map[string]int{}
			for j := range i % 40 {
				m[fmt.Sprint("key ", j)] = j
			}
			return m
		})
	})
	t.Run("pointers and interfaces", func(t *testing.T) {
		type node struct {
			Next *node
			Any  any
			Text string
		}
		fill(t, bound, 20_000, func(i int) *node {
			n := &node{Any: fmt.Sprint(i), Text: fmt.Sprint("text ", i)}
			n.Next = &node{Next: n, Any: []int{i, i}} // a cycle
			return n
		})
	})
}

func fill[V any](t *testing.T, bound int64, n int, value func(int) V) {
	before := liveHeap()
	c := open(t, forebay.Options{NearBytes: bound})
	f := wrap(t, c, "c", func(_ context.Context, i int) (V, error) { return value(i), nil })
	for i := range n {
		if _, err := f.Get(ctx, i); err != nil {
			t.Fatal(err)
		}
	}
	heap := int64(liveHeap()) - int64(before)
	s := c.Stats()
	ratio := float64(heap) / float64(bound)
	t.Logf("live heap %.2f of the bound, %d entries, %d evicted", ratio, s.Near.Entries, s.Near.Evictions)
	// The cache's own tables weigh more against a bound this small than against a real one.
	if ratio > 1.1 || ratio < 0.5 {
		t.Errorf("live heap %.2f of the bound, want at most 1.1 and not much less than 1", ratio)
	}
	if s.Near.Bytes > uint64(bound) {
		t.Errorf("%d bytes accounted, bound %d", s.Near.Bytes, bound)
	}
	runtime.KeepAlive(c)
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
