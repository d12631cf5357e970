package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/forebay-cache/forebay"
	"github.com/maypok86/otter/v2"
	"github.com/viccon/sturdyc"
)

type item struct {
	ID    string
	Name  string
	Score int
}

func answer() []item {
	out := make([]item, 20)
	for i := range out {
		out[i] = item{fmt.Sprint("i-", i), "a name", i}
	}
	return out
}

type query struct {
	OrgID string
	Limit int
}

var ctx = context.Background()

// lookups returns, for each contender, a hit by the i-th key.
func lookups(keys []string) (names []string, hits []func(i int), done func(), err error) {
	one := answer() // one value for all: the look-up is what is measured
	ours, err := forebay.Open(ctx, forebay.Options{NearBytes: 4 << 30})
	if err != nil {
		return nil, nil, nil, err
	}
	byString, err := forebay.Wrap(ours, "list", func(context.Context, string) ([]item, error) { return one, nil }, forebay.SizeBy[string](func([]item) int { return 100 }))
	if err != nil {
		return nil, nil, nil, err
	}
	byStruct, err := forebay.Wrap(ours, "list/query", func(context.Context, query) ([]item, error) { return one, nil }, forebay.SizeBy[query](func([]item) int { return 100 }))
	if err != nil {
		return nil, nil, nil, err
	}
	ot := otter.Must(&otter.Options[string, []item]{MaximumSize: 2 * len(keys), ExpiryCalculator: otter.ExpiryWriting[string, []item](time.Hour)})
	st := sturdyc.New[[]item](2*len(keys), 64, time.Hour, 10)
	ri, err := ristretto.NewCache(&ristretto.Config[string, []item]{NumCounters: int64(10 * len(keys)), MaxCost: int64(4 * len(keys)), BufferItems: 64, IgnoreInternalCost: true})
	if err != nil {
		return nil, nil, nil, err
	}
	for _, k := range keys {
		ot.Set(k, one)
		st.Set(k, one)
		ri.SetWithTTL(k, one, 1, time.Hour)
		ri.Wait()
		if _, err := byString.Get(ctx, k); err != nil {
			return nil, nil, nil, err
		}
		if _, err := byStruct.Get(ctx, query{k, 10}); err != nil {
			return nil, nil, nil, err
		}
	}
	fetch := func(context.Context) ([]item, error) { return one, nil }
	names = []string{"otter `GetIfPresent`, with expiry", "Forebay `Get`, string", "Forebay `Get`, struct of two fields", "ristretto `Get`", "sturdyc `GetOrFetch`"}
	hits = []func(int){
		func(i int) { ot.GetIfPresent(keys[i]) },
		func(i int) { byString.Get(ctx, keys[i]) },
		func(i int) { byStruct.Get(ctx, query{keys[i], 10}) },
		func(i int) { ri.Get(keys[i]) },
		func(i int) { st.GetOrFetch(ctx, keys[i], fetch) },
	}
	return names, hits, func() { ours.Close(); ri.Close(); ot.StopAllGoroutines() }, nil
}

func nearHits(w *bytes.Buffer, rounds int) error {
	for _, n := range []int{1000, 500_000} {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprint("organisation-", i)
		}
		order := rand.Perm(n)
		names, hits, done, err := lookups(keys)
		if err != nil {
			return err
		}
		var serial, parallel []contender
		for i, hit := range hits {
			serial = append(serial, contender{names[i], func(b *testing.B) {
				b.ReportAllocs()
				for j := 0; j < b.N; j++ {
					hit(order[j%n])
				}
			}})
			parallel = append(parallel, contender{names[i], func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for j := rand.IntN(n); pb.Next(); j++ {
						hit(order[j%n])
					}
				})
			}})
		}
		fmt.Fprintf(w, "\n## Near hit, %d keys in random order\n\nOne goroutine:\n", n)
		table(w, serial, compare(rounds, serial))
		fmt.Fprintf(w, "\nOne goroutine a core:\n")
		table(w, parallel, compare(rounds, parallel))
		done()
	}
	return nil
}
