package forebay_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// One call may be the caller's alone: for support staff, or behind a header of a request.
func ExampleWithBypass() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	version := 1
	f := must(forebay.Wrap(cache, "documents", func(context.Context, string) (int, error) { return version, nil }))
	f.Get(ctx, "a")
	version = 2
	fmt.Println(f.Do(ctx, "a", forebay.WithBypass()).Value, f.Do(ctx, "a").Value)
	// Output: 2 1
}

// One call may load whatever is stored, and keep what it loads for a time of its own.
func ExampleWithRefresh() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	version := 1
	f := must(forebay.Wrap(cache, "documents", func(context.Context, string) (int, error) { return version, nil }))
	f.Get(ctx, "a")
	version = 2
	f.Do(ctx, "a", forebay.WithRefresh(), forebay.WithTTL(10*time.Second))
	r := f.Do(ctx, "a")
	fmt.Println(r.Value, r.TTL.Round(time.Second))
	// Output: 2 10s
}

// A page that can do without an answer does not wait for one.
func ExampleWithOnlyIfCached() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	advice := must(forebay.Wrap(cache, "advice", func(context.Context, string) (string, error) { return "buy two", nil }))
	r := advice.Do(ctx, "anna", forebay.WithOnlyIfCached())
	fmt.Println(errors.Is(r.Err, forebay.ErrNotCached))
	advice.Get(ctx, "anna")
	fmt.Println(advice.Do(ctx, "anna", forebay.WithOnlyIfCached()).Value)
	// Output:
	// true
	// buy two
}

// What the origin does not have is remembered too, for a short time.
func ExampleOptions_isNotFound() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{IsNotFound: func(err error) bool { return errors.Is(err, sql.ErrNoRows) }}))
	defer cache.Close()
	users := must(forebay.Wrap(cache, "users", func(context.Context, int) (string, error) {
		fmt.Println("asking the database")
		return "", sql.ErrNoRows
	}))
	for range 2 {
		_, err := users.Get(ctx, 7)
		fmt.Println(errors.Is(err, forebay.ErrNotFound))
	}
	// Output:
	// asking the database
	// true
	// true
}

// An error that is not "not found" is not kept: the next call asks again.
func ExampleErrNotFound() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	users := must(forebay.Wrap(cache, "users", func(_ context.Context, id int) (string, error) {
		if id < 0 {
			return "", fmt.Errorf("user %d: %w", id, forebay.ErrNotFound)
		}
		return "", errors.New("the database is away")
	}))
	for _, id := range []int{-1, -1, 1, 1} {
		fmt.Println(users.Do(ctx, id).Status)
	}
	// Output:
	// miss
	// hit
	// miss
	// miss
}

// At the start, what is asked for most is loaded before anybody asks.
func ExampleFunc_Warm() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	countries := must(forebay.Wrap(cache, "countries", func(_ context.Context, code string) (string, error) { return "the country " + code, nil }))
	if err := countries.Warm(ctx, slices.Values([]string{"at", "de", "it"}), nil); err != nil {
		fmt.Println(err) // some could not be loaded: the rest is there
	}
	fmt.Println(countries.Do(ctx, "it").Status)
	// Output: hit
}

// What is stored, without a load.
func ExampleFunc_Peek() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{}))
	defer cache.Close()
	f := must(forebay.Wrap(cache, "squares", func(_ context.Context, n int) (int, error) { return n * n, nil }))
	_, stored := f.Peek(ctx, 12)
	f.Get(ctx, 12)
	r, storedNow := f.Peek(ctx, 12)
	fmt.Println(stored, storedNow, r.Value)
	// Output: false true 144
}

// Sessions live for half an hour after they were last read, and at most for a day.
func ExampleClass_sliding() {
	ctx := context.Background()
	cache := must(forebay.Open(ctx, forebay.Options{Classes: []forebay.Class{{Name: "sessions", TTL: 30 * time.Minute, Sliding: 24 * time.Hour}}}))
	defer cache.Close()
	sessions := must(forebay.Wrap(cache, "sessions", func(_ context.Context, id string) (string, error) { return "anna", nil }))
	sessions.Get(ctx, "s1")
	fmt.Println(sessions.Do(ctx, "s1").Status)
	// Output: hit
}

// A struct that has changed is another value: two versions of a program on one Redis do not read each other's. Where the meaning
// changes and the fields do not, Schema says so.
func ExampleClass_schema() {
	ctx := context.Background()
	tier := shared.NewMemory() // in production: package redis
	defer tier.Close()
	price := func(schema int, cents func(string) int) forebay.Result[int] {
		cache := must(forebay.Open(ctx, forebay.Options{Shared: tier, Classes: []forebay.Class{{Name: "prices", Schema: schema}}}))
		defer cache.Close()
		f := must(forebay.Wrap(cache, "prices", func(_ context.Context, item string) (int, error) { return cents(item), nil }))
		return f.Do(ctx, "book")
	}
	fmt.Println(price(1, func(string) int { return 12 }).Value)   // blue: euros
	fmt.Println(price(2, func(string) int { return 1200 }).Value) // green: cents
	// Output:
	// 12
	// 1200
}
