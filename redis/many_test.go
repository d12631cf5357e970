package redis_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// A catalogue is an origin that is asked for many at once.
type catalogue struct {
	calls, asked, single atomic.Int64
	took                 time.Duration
}

func (c *catalogue) one(context.Context, int) (string, error) {
	c.single.Add(1)
	return "one", nil
}

func (c *catalogue) many(ctx context.Context, ids []int) ([]forebay.Result[string], error) {
	c.calls.Add(1)
	c.asked.Add(int64(len(ids)))
	select {
	case <-time.After(c.took):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	out := make([]forebay.Result[string], len(ids))
	for i, id := range ids {
		out[i].Value = fmt.Sprint("item ", id)
	}
	return out, nil
}

func (c *catalogue) behind(t *testing.T, n *node, class string) *forebay.Func[int, string] {
	t.Helper()
	f, err := forebay.Wrap(n.cache, class, c.one, forebay.BatchBy(c.many))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func askMany(t *testing.T, f *forebay.Func[int, string], ids []int) {
	t.Helper()
	results, err := f.GetMany(ctx, ids)
	if err != nil {
		t.Error(err)
		return
	}
	for i, r := range results {
		if want := fmt.Sprint("item ", ids[i]); r.Value != want || r.Err != nil {
			t.Fatalf("%d: %q, %v", ids[i], r.Value, r.Err)
		}
	}
}

// Many keys are looked up, leased and loaded at once, however long the way to the server is.
func TestGetManyOverALongWay(t *testing.T) {
	for _, class := range []string{"loose/items", "strict/items"} {
		t.Run(class, func(t *testing.T) {
			s := redistest.Start(t)
			proxy := redistest.NewProxy(t, s)
			proxy.Change(func(b []byte) []byte { time.Sleep(10 * time.Millisecond); return b })
			cat := &catalogue{}
			a := start(t, proxy.URL(), &shop{}, patient(t, proxy.URL()))
			a.twoTier()
			fa := cat.behind(t, a, class)
			begun := time.Now()
			askMany(t, fa, numbers(200))
			t.Logf("200 cold ones in %s", time.Since(begun).Round(time.Millisecond))
			if cat.calls.Load() != 1 || cat.asked.Load() != 200 || cat.single.Load() != 0 {
				t.Errorf("%d calls for %d, and %d for one", cat.calls.Load(), cat.asked.Load(), cat.single.Load())
			}
			askMany(t, fa, numbers(500))
			a.settled()
			cat.asked.Store(0)
			b := start(t, s.URL(), &shop{}, patient(t, s.URL()))
			b.twoTier()
			fb := cat.behind(t, b, class)
			askMany(t, fb, numbers(500))
			if n := cat.asked.Load(); n != 0 {
				t.Errorf("%d of 500 stored ones were loaded", n)
			}
		})
	}
}

// Two nodes that ask for the same at once load each of them once.
func TestGetManyOnTwoNodes(t *testing.T) {
	s := redistest.Start(t)
	cat := &catalogue{took: 50 * time.Millisecond}
	var both sync.WaitGroup
	for range 2 {
		f := cat.behind(t, start(t, s.URL(), &shop{}, patient(t, s.URL())), "loose/items")
		both.Go(func() { askMany(t, f, numbers(300)) })
	}
	both.Wait()
	if n := cat.asked.Load(); n != 300 || cat.single.Load() != 0 {
		t.Errorf("%d loads for 300 keys, %d for one", n, cat.single.Load())
	}
}
