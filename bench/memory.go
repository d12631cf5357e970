package main

import (
	"bytes"
	"context"
	"fmt"
	"runtime"

	"github.com/forebay-cache/forebay"
)

// memory fills a near tier with a million distinct keys of each shape and looks at the live heap.
func memory(w *bytes.Buffer, _ int) error {
	const bound, keys = 128 << 20, 1_000_000
	fmt.Fprintf(w, "\n## Memory: %d distinct keys in a near tier of %d MiB\n\n| values | live heap to the bound | entries held |\n| --- | --- | --- |\n", keys, bound>>20)
	for _, shape := range []struct {
		name string
		fill func() (float64, int64, error)
	}{
		{"small structs", func() (float64, int64, error) {
			return fill(bound, keys, func(i int) item { return item{fmt.Sprint("i-", i), fmt.Sprint("name ", i), i} })
		}},
		{"slices of 20 structs", func() (float64, int64, error) { return fill(bound, keys, func(int) []item { return answer() }) }},
		{"bytes", func() (float64, int64, error) {
			return fill(bound, keys, func(i int) []byte { return make([]byte, 500+i%1500) })
		}},
		{"maps", func() (float64, int64, error) {
			return fill(bound, keys, func(i int) map[string]int {
				m := map[string]int{}
				for j := range i % 30 {
					m[fmt.Sprint("key ", j)] = j
				}
				return m
			})
		}},
	} {
		ratio, entries, err := shape.fill()
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "| %s | %.2f | %d |\n", shape.name, ratio, entries)
	}
	return nil
}

func fill[V any](bound int64, n int, value func(int) V) (float64, int64, error) {
	before := liveHeap()
	c, err := forebay.Open(ctx, forebay.Options{NearBytes: bound})
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	f, err := forebay.Wrap(c, "c", func(_ context.Context, i int) (V, error) { return value(i), nil })
	if err != nil {
		return 0, 0, err
	}
	for i := range n {
		if _, err := f.Get(ctx, i); err != nil {
			return 0, 0, err
		}
	}
	heap := int64(liveHeap()) - int64(before)
	return float64(heap) / float64(bound), c.Stats().Near.Entries, nil
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
