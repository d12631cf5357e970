package forebay_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/forebay-cache/forebay"
)

type Query struct {
	OrgID string
	Limit int
}

func Example() {
	ctx := context.Background()
	cache, err := forebay.Open(ctx, forebay.Options{})
	if err != nil {
		panic(err)
	}
	defer cache.Close()

	slow := func(_ context.Context, q Query) ([]string, error) {
		fmt.Println("loading", q.OrgID)
		return []string{"North Works", "Blue Media"}, nil
	}
	partners, err := forebay.Wrap(cache, "partner_data", slow)
	if err != nil {
		panic(err)
	}
	q := Query{OrgID: "acme", Limit: 10}
	partners.Get(ctx, q)
	list, _ := partners.Get(ctx, q)
	fmt.Println(list, partners.Key(q))

	partners.Invalidate(ctx, q)
	partners.Get(ctx, q)
	// Output:
	// loading acme
	// [North Works Blue Media] partner_data:org_id=acme,limit=10,
	// loading acme
}

func ExampleFunc_Do() {
	ctx := context.Background()
	cache, _ := forebay.Open(ctx, forebay.Options{})
	defer cache.Close()
	square, _ := forebay.Wrap(cache, "square", func(_ context.Context, n int) (int, error) { return n * n, nil })
	for range 2 {
		r := square.Do(ctx, 12)
		fmt.Println(r.Value, r.Status, r.Reason)
	}
	// Output:
	// 144 miss absent
	// 144 hit
}

func ExampleKeepBy() {
	ctx := context.Background()
	cache, _ := forebay.Open(ctx, forebay.Options{})
	defer cache.Close()
	type page struct{ Site, Text string }
	pages, _ := forebay.Wrap(cache, "pages",
		func(_ context.Context, path string) (page, error) { return page{"docs", "text of " + path}, nil },
		forebay.KeepBy(func(_ context.Context, _ string, p page) forebay.Keep {
			return forebay.Keep{TTL: time.Minute, Tags: []string{"site:" + p.Site}}
		}))
	pages.Get(ctx, "/a")
	cache.Invalidate(ctx, forebay.Tag("site:docs"))
	fmt.Println(pages.Do(ctx, "/a").Status)
	// Output: miss
}

func ExampleClass() {
	ctx := context.Background()
	cache, err := forebay.Open(ctx, forebay.Options{Classes: []forebay.Class{
		{Name: "news", TTL: time.Millisecond, StaleIfError: time.Hour, RefreshAhead: -1},
	}})
	if err != nil {
		panic(err)
	}
	defer cache.Close()
	down := false
	news, _ := forebay.Wrap(cache, "news", func(context.Context, string) (string, error) {
		if down {
			return "", errors.New("the origin is down")
		}
		return "yesterday's news", nil
	})
	news.Get(ctx, "today")
	down = true
	time.Sleep(2 * time.Millisecond)
	r := news.Do(ctx, "today")
	fmt.Println(r.Value, r.Err, r.Status, r.Reason)
	// Output: yesterday's news <nil> stale load-failed
}
