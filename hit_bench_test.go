package forebay_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/forebay-cache/forebay"
)

type item struct {
	ID    string
	Name  string
	Score int
}

func items(n int) []item {
	out := make([]item, n)
	for i := range out {
		out[i] = item{fmt.Sprint("i-", i), "a name", i}
	}
	return out
}

func BenchmarkNearHit(b *testing.B) {
	ctx := context.Background()
	c, err := forebay.Open(ctx, forebay.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	f, err := forebay.Wrap(c, "list", func(context.Context, string) ([]item, error) { return items(20), nil })
	if err != nil {
		b.Fatal(err)
	}
	type query struct {
		OrgID string
		Limit int
	}
	g, err := forebay.Wrap(c, "list/query", func(context.Context, query) ([]item, error) { return items(20), nil })
	if err != nil {
		b.Fatal(err)
	}
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("organisation-", i)
		f.Get(ctx, keys[i])
		g.Get(ctx, query{keys[i], 10})
	}
	b.Run("string", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			f.Get(ctx, keys[i%1000])
		}
	})
	b.Run("struct", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			g.Get(ctx, query{keys[i%1000], 10})
		}
	})
}
