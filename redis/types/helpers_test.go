package types_test

import (
	"context"
	"flag"
	"log/slog"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/redis"
)

var update = flag.Bool("update", false, "write docs/types.md again")

var ctx = context.Background()

// quiet is a logger for tests that provoke what it would say.
var quiet = slog.New(slog.DiscardHandler)

// budget is patient with a machine under load.
const budget = 5 * time.Second

// node opens a cache on a server. The options say the rest.
func node(t *testing.T, url string, o forebay.Options) *forebay.Cache {
	t.Helper()
	tier, err := redis.Open(ctx, redis.Options{URL: url, Namespace: "types-" + string(o.Codec), Logger: quiet, Budget: budget})
	if err != nil {
		t.Fatal(err)
	}
	o.Shared, o.Logger = tier, quiet
	c, err := forebay.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		tier.Close()
	})
	return c
}

// settle waits until what was stored is written.
func settle(t *testing.T, c *forebay.Cache) {
	t.Helper()
	eventually(t, "the writes are done", func() bool { return c.Stats().Shared.Queued == 0 })
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
