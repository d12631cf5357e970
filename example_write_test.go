package forebay_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// The writer knows the new value: the next read finds it, on every node.
func ExampleFunc_Put() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	names := map[int]string{1: "Anna"}
	users := must(forebay.Wrap(cache, "users", func(_ context.Context, id int) (string, error) { return names[id], nil }))
	users.Get(ctx, 1)

	names[1] = "Annette" // first the origin
	users.Put(ctx, 1, "Annette")
	fmt.Println(users.Do(ctx, 1).Status, must(users.Get(ctx, 1)))
	// Output: hit Annette
}

// What a name of an invalidation reaches.
func ExampleCache_Invalidate() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	f := must(forebay.Wrap(cache, "partners", func(_ context.Context, org string) (string, error) { return "of " + org, nil },
		forebay.KeepBy(func(_ context.Context, org, _ string) forebay.Keep { return forebay.Keep{Tags: []string{"org:" + org}} })))
	for _, target := range []forebay.Target{
		forebay.Key(f.Key("acme")), forebay.Tag("org:acme"), forebay.InClass("partners"), forebay.Pattern("partners:ac*"), forebay.Everything(),
	} {
		f.Get(ctx, "acme")
		if _, err := cache.Invalidate(ctx, target); err != nil {
			fmt.Println(err)
		}
		fmt.Println(target, f.Do(ctx, "acme").Status)
	}
	// Output:
	// key partners:acme, miss
	// tag org:acme miss
	// class partners miss
	// pattern partners:ac* miss
	// all miss
}

// Expire is softer: the next caller is answered at once, with what there was, and a load runs behind.
func ExampleCache_Expire() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{Classes: []forebay.Class{{Name: "pages", Stale: 1e9}}}))
	defer cache.Close()
	pages := must(forebay.Wrap(cache, "pages", func(context.Context, string) (string, error) { return "a page", nil }))
	pages.Get(ctx, "/")
	cache.Expire(ctx, forebay.InClass("pages"))
	fmt.Println(pages.Do(ctx, "/").Status)
	// Output: stale
}

// A write that must not go on unless every node knows: the error says that some may not, yet.
func ExampleMustAcknowledge() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	_, err := cache.Invalidate(forebay.MustAcknowledge(ctx), forebay.Tag("user:7"))
	switch {
	case errors.Is(err, forebay.ErrDeferred):
		fmt.Println("it counts here, and elsewhere as soon as the log is there: tell the user to wait")
	case err != nil:
		fmt.Println("nothing was invalidated:", err)
	default:
		fmt.Println("everybody knows")
	}
	// Output: everybody knows
}

// Two nodes of a service: what one has loaded the other has, and what one invalidates both have lost.
func ExampleOptions_shared() {
	ctx := context.Background()
	tier := shared.NewMemory() // in production: redis.Open(ctx, redis.Options{URL: os.Getenv("REDIS_URL")})
	defer tier.Close()
	load := func(_ context.Context, id int) (string, error) { return fmt.Sprint("user ", id), nil }
	one := must(forebay.Open(ctx, forebay.Options{Shared: tier, Node: "one"}))
	defer one.Close()
	two := must(forebay.Open(ctx, forebay.Options{Shared: tier, Node: "two", Classes: []forebay.Class{{Name: "users", Strict: true}}}))
	defer two.Close()
	here, there := must(forebay.Wrap(one, "users", load)), must(forebay.Wrap(two, "users", load))

	there.Get(ctx, 7)
	fmt.Println(there.Do(ctx, 7).Status)
	here.Invalidate(ctx, 7)
	fmt.Println(there.Do(ctx, 7).Status) // strict: at once
	// Output:
	// hit
	// miss
}

// What happens in a cache can be told to a program.
func ExampleCache_Observe() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	stop := cache.Observe(forebay.ObserverFunc(func(e forebay.Event) {
		if e.Kind == forebay.EventLoad {
			fmt.Println(e.Kind, e.Key)
		}
	}))
	defer stop()
	f := must(forebay.Wrap(cache, "squares", func(_ context.Context, n int) (int, error) { return n * n, nil }))
	f.Get(ctx, 12)
	// Output: load squares:12,
}

// What a cache has done, by class.
func ExampleCache_Stats() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	f := must(forebay.Wrap(cache, "squares", func(_ context.Context, n int) (int, error) { return n * n, nil }))
	for _, n := range []int{1, 1, 1, 2} {
		f.Get(ctx, n)
	}
	for _, class := range cache.Stats().Classes {
		rate, _ := class.HitRate()
		fmt.Printf("%s: %.0f %% of %d hits and %d misses\n", class.Class.Name, 100*rate, class.Hits(), class.Misses)
	}
	// Output: squares: 50 % of 2 hits and 2 misses
}

// The way of one request.
func ExampleWithTrace() {
	cache := must(forebay.Open(context.Background(), forebay.Options{}))
	defer cache.Close()
	f := must(forebay.Wrap(cache, "squares", func(_ context.Context, n int) (int, error) { return n * n, nil }))
	ctx := forebay.WithTrace(context.Background(), &forebay.Trace{Step: func(_ context.Context, s forebay.Step) { fmt.Println(s.Stage, s.Found) }})
	f.Get(ctx, 12)
	// Output:
	// near absent
	// origin loaded
}
