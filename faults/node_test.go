package faults

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/redis"
)

// A checkNode is a cache with a strict and another function on the same counters.
type checkNode struct {
	cache  *forebay.Cache
	tier   *redis.Tier
	strict *forebay.Func[int, int64]
	loose  *forebay.Func[int, int64]
	busy   *forebay.Func[int, int]
}

func openChecked(ctx context.Context, url, journal string, load func(context.Context, int) (int64, error), loadBusy func(context.Context, int) (int, error)) (n checkNode, end func(), err error) {
	quiet := slog.New(slog.DiscardHandler)
	tier, err := redis.Open(ctx, redis.Options{URL: url, Logger: quiet})
	if err != nil {
		return n, nil, err
	}
	n.tier = tier
	n.cache, err = forebay.Open(ctx, forebay.Options{Shared: tier, Logger: quiet, LedgerSize: *ledger, Journal: journal,
		Classes: []forebay.Class{{Name: "strict", Strict: true, TTL: time.Hour}, {Name: "loose", TTL: time.Hour, Stale: time.Hour},
			{Name: "busy", TTL: busyTTL, StaleIfError: -1, RefreshAhead: -1}}})
	if err != nil {
		return n, nil, err
	}
	end = func() {
		n.cache.Close()
		tier.Close()
	}
	tagged := forebay.KeepBy(func(_ context.Context, i int, _ int64) forebay.Keep {
		return forebay.Keep{Tags: []string{fmt.Sprint("t", i)}}
	})
	if n.strict, err = forebay.Wrap(n.cache, "strict", load, tagged); err != nil {
		return n, end, err
	}
	if n.loose, err = forebay.Wrap(n.cache, "loose", load, tagged); err != nil {
		return n, end, err
	}
	n.busy, err = forebay.Wrap(n.cache, "busy", loadBusy)
	return n, end, err
}

// targets are four ways to reach what is stored of a key.
func (n checkNode) targets(i int, random *rand.Rand) []forebay.Target {
	switch p := random.IntN(100); {
	case *byTag:
		return []forebay.Target{forebay.Tag(fmt.Sprint("t", i))}
	case p < 1: // these two reach everything: more of them, and nothing is ever stored for long
		return []forebay.Target{forebay.InClass("strict"), forebay.InClass("loose")}
	case p < 2:
		return []forebay.Target{forebay.Pattern("strict:*"), forebay.Pattern("loose:*")}
	case p < 40:
		return []forebay.Target{forebay.Key(n.strict.Key(i)), forebay.Key(n.loose.Key(i))}
	}
	return []forebay.Target{forebay.Tag(fmt.Sprint("t", i))}
}

// write raises the counter and invalidates. One that waits for the log promises something to its own
// node alone; one that a dying master acknowledged, to the others once it is gone.
func (n checkNode) write(client, at, i int, k *checkedKey, random *rand.Rand, b *breaker) {
	v := k.raise(client)
	begun := time.Now()
	r, err := n.cache.Invalidate(context.Background(), n.targets(i, random)...)
	if err != nil {
		return
	}
	ended := time.Now()
	k.own[at].note(client, ack{v}, nil, begun, ended)
	if r.Deferred {
		return
	}
	if b != nil && b.astray.during(at, begun, ended) {
		ended = ended.Add(afterDeath)
	}
	k.strict.note(client, ack{v}, nil, begun, ended)
	k.others.acked(v, ended)
}

// readStrict reads. While a node is astray, what it reads promises nothing.
func (n checkNode) readStrict(client, at, i int, k *checkedKey, b *breaker) {
	least := k.strict.floor.Load()
	begun := time.Now()
	if v, err := n.strict.Get(context.Background(), i); err == nil && !b.astray.during(at, begun, time.Now()) {
		k.strict.note(client, read{}, int(v), begun, time.Now())
		b.see(v < least)
	}
}

func (n checkNode) readOwn(client, at, i int, k *checkedKey, b *breaker) {
	least := k.own[at].floor.Load()
	begun := time.Now()
	if r := n.loose.Do(context.Background(), i); r.Err == nil {
		k.own[at].note(client, read{}, int(r.Value), begun, time.Now())
		b.see(r.Value < least)
		k.others.read(int(r.Value), begun, r.Unconfirmed)
	}
}
