package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"
)

// benchTime is how long each contender runs in a round.
const benchTime = "300ms"

func init() {
	testing.Init()
	flag.Set("test.benchtime", benchTime)
}

// A contender is one way to do the same work.
type contender struct {
	name string
	run  func(b *testing.B)
}

type figure struct {
	ns     float64 // median of the rounds
	ratio  float64 // median of the rounds' ratios to the first contender
	allocs int64
}

// compare runs all contenders in turn, round after round.
func compare(rounds int, all []contender) []figure {
	ns := make([][]float64, len(all))
	ratios := make([][]float64, len(all))
	out := make([]figure, len(all))
	for range rounds {
		for i, c := range all {
			r := testing.Benchmark(c.run)
			t := float64(r.T.Nanoseconds()) / float64(r.N)
			ns[i] = append(ns[i], t)
			ratios[i] = append(ratios[i], t/ns[0][len(ns[0])-1])
			out[i].allocs = r.AllocsPerOp()
		}
	}
	for i := range all {
		out[i].ns, out[i].ratio = median(ns[i]), median(ratios[i])
	}
	return out
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func table(w io.Writer, all []contender, figures []figure) {
	fmt.Fprintln(w, "\n| call | ns | to the first | allocations |\n| --- | --- | --- | --- |")
	for i, f := range figures {
		fmt.Fprintf(w, "| %s | %.0f | %.2f | %d |\n", all[i].name, f.ns, f.ratio, f.allocs)
	}
}

func quantile(v []time.Duration, q float64) time.Duration {
	s := slices.Sorted(slices.Values(v))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}
