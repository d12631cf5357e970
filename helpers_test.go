package forebay_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
)

// open opens a cache that ends with the test.
func open(t testing.TB, o forebay.Options) *forebay.Cache {
	t.Helper()
	c, err := forebay.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wrap[P, V any](t testing.TB, c *forebay.Cache, name string, load func(context.Context, P) (V, error), opts ...forebay.Option[P, V]) *forebay.Func[P, V] {
	t.Helper()
	f, err := forebay.Wrap(c, name, load, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// bubble runs a test on its own clock, with a cache of one class named "c".
func bubble(t *testing.T, class forebay.Class, test func(t *testing.T, c *forebay.Cache)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		class.Name = "c"
		test(t, open(t, forebay.Options{Classes: []forebay.Class{class}}))
	})
}

// An origin is a counter for each key: what is loaded is the counter as it was when the load began.
type origin struct {
	took  time.Duration
	loads atomic.Int64
	now   atomic.Int64 // loads that run
	most  atomic.Int64

	mu       sync.Mutex
	versions map[string]int
	err      error
}

func (o *origin) load(ctx context.Context, key string) (int, error) {
	o.loads.Add(1)
	n := o.now.Add(1)
	defer o.now.Add(-1)
	for m := o.most.Load(); n > m && !o.most.CompareAndSwap(m, n); m = o.most.Load() {
	}
	o.mu.Lock()
	v, err := o.versions[key], o.err
	o.mu.Unlock()
	select {
	case <-time.After(o.took):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return v, err
}

// write raises the key's counter.
func (o *origin) write(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.versions == nil {
		o.versions = map[string]int{}
	}
	o.versions[key]++
	return o.versions[key]
}

func (o *origin) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

var errDown = errors.New("the origin is down")

// expect compares a result's value and status.
func expect(t *testing.T, r forebay.Result[int], value int, status forebay.Status, reason forebay.Reason) {
	t.Helper()
	if r.Err != nil || r.Value != value || r.Status != status || r.Reason != reason {
		t.Fatalf("got %d, %v, %s (%s); want %d, %s (%s)", r.Value, r.Err, r.Status, r.Reason, value, status, reason)
	}
}

type item struct {
	ID    string
	Name  string
	Score int
}

// items is a typical answer: a list of small structs.
func items(n int) []item {
	out := make([]item, n)
	for i := range out {
		out[i] = item{fmt.Sprint("i-", i), "a name", i}
	}
	return out
}
