package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
)

// arrivesWithin bounds the end of a run, generously.
const arrivesWithin = 40 * time.Second

// arrive ends a run: one node invalidates everything while it cannot reach the log, and when all is well
// again nobody may hold anything older.
func arrive(t *testing.T, server *pair, nodes [checkNodes]checkNode, keys []*checkedKey) {
	t.Helper()
	late := time.AfterFunc(arrivesWithin, func() { panic(fmt.Sprintf("not linearizable at the end: not all has arrived after %s", arrivesWithin)) })
	defer late.Stop()
	well := func() bool {
		for _, n := range nodes {
			if s := n.cache.Stats(); s.Mode != forebay.TwoTier || s.Shared.Deferred > 0 {
				return false
			}
		}
		return true
	}
	wait := func(what string) {
		for deadline := time.Now().Add(20 * time.Second); !well(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not linearizable at the end: %s not all nodes are well again", what)
			}
		}
	}
	wait("after the faults")
	reader := nodes[checkNodes-1]
	for i := range keys {
		reader.strict.Get(context.Background(), i)
		reader.loose.Get(context.Background(), i)
	}
	server.proxies[0].Hold()
	random := rand.New(rand.NewPCG(*seed, 3))
	for i, k := range keys {
		nodes[0].write(0, 0, i, k, random, nil)
	}
	server.proxies[0].Flow()
	wait("after the last invalidations")
	time.Sleep(100 * time.Millisecond)
	for i, k := range keys {
		want := k.version.Load()
		for at, n := range nodes {
			for what, f := range map[string]*forebay.Func[int, int64]{"strict": n.strict, "loose": n.loose} {
				if v, err := f.Get(context.Background(), i); err != nil || v != want {
					t.Errorf("%s: not linearizable at the end: node %d reads %d, %v (%s); the last is %d", k.name, at, v, err, what, want)
				}
			}
		}
	}
}

// idle lets a log be idle for longer than it is kept, and trims it when one record has come. A node that
// begins then must still find what was stored before that record (rule 11).
func idle(t *testing.T, old checkNode, open func() (checkNode, func(), error), loads *atomic.Int64) {
	t.Helper()
	const kept, tries = 20 * time.Millisecond, 10
	ctx := context.Background()
	for range tries {
		first, err := old.cache.Invalidate(ctx, forebay.Everything())
		if err != nil || first.Deferred {
			continue
		}
		for i := range checkKeys {
			old.loose.Get(ctx, i)
		}
		time.Sleep(5 * kept) // all is written behind the requests
		if old.cache.Stats().Log.Head.ID != first.ID {
			continue // the log was not idle
		}
		last, err := old.cache.Invalidate(ctx, forebay.Tag("nobody's"))
		if err != nil || last.Deferred {
			continue
		}
		if err := old.tier.Trim(ctx, kept); err != nil {
			continue
		}
		begins, end, err := open()
		if err != nil {
			t.Fatal(err)
		}
		before := loads.Load()
		for i := range checkKeys {
			begins.loose.Get(ctx, i)
		}
		after, head := loads.Load(), begins.cache.Stats().Log.Head.ID
		end()
		if head != last.ID {
			continue
		}
		if after > before {
			t.Errorf("not linearizable at the end: %d loads of %d keys after an idle log was trimmed", after-before, checkKeys)
		}
		return
	}
	t.Errorf("the log was not idle in any of %d tries", tries)
}
