package forebay_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A tricky value has methods that panic, as a nil pointer's do.
type tricky struct {
	At *tricked
	N  int
}

type tricked struct{ t time.Time }

func (t *tricked) MarshalBinary() ([]byte, error) { return t.t.MarshalBinary() } // panics on nil
func (t *tricked) UnmarshalBinary(b []byte) error { return t.t.UnmarshalBinary(b) }

type ring struct {
	Next *ring
	N    int
}

// Users' types and functions may panic: the process goes on, and the values stay near.
func TestUserCodePanics(t *testing.T) {
	shared := func(t *testing.T) *forebay.Cache {
		return open(t, forebay.Options{Shared: shared.NewMemory(), Logger: slog.New(slog.DiscardHandler), Classes: []forebay.Class{{Name: "c", TTL: time.Hour}}})
	}
	t.Run("a marshaler", func(t *testing.T) {
		c := shared(t)
		f := wrap(t, c, "c", func(_ context.Context, n int) (tricky, error) { return tricky{N: n}, nil })
		for n := range 5 {
			if v, err := f.Get(ctx, n); err != nil || v.N != n {
				t.Errorf("%v, %v", v, err)
			}
		}
		waitFor(t, func() bool { return c.Stats().Shared.Queued == 0 })
	})
	t.Run("a value that contains itself", func(t *testing.T) {
		c := shared(t)
		f := wrap(t, c, "c", func(_ context.Context, n int) (*ring, error) {
			r := &ring{N: n}
			r.Next = r
			return r, nil
		})
		if v, err := f.Get(ctx, 1); err != nil || v.N != 1 {
			t.Errorf("%v, %v", v, err)
		}
		waitFor(t, func() bool { return c.Stats().Shared.Queued == 0 })
	})
	t.Run("an observer", func(t *testing.T) {
		c := shared(t)
		c.Observe(forebay.ObserverFunc(func(forebay.Event) { panic("observer") }))
		f := wrap(t, c, "c", func(_ context.Context, n int) (int, error) { return n, nil })
		if v, err := f.Get(ctx, 1); v != 1 || err != nil {
			t.Errorf("%v, %v", v, err)
		}
		if _, err := c.Invalidate(ctx, forebay.Everything()); err != nil {
			t.Error(err)
		}
	})
	boom := func(context.Context, int) (int, error) { panic("boom") }
	for name, opts := range map[string][]forebay.Option[int, int]{
		"a loader": nil,
		"KeepBy":   {forebay.KeepBy(func(context.Context, int, int) forebay.Keep { panic("boom") })},
		"SizeBy":   {forebay.SizeBy[int](func(int) int { panic("boom") })},
		"LoadMany": {forebay.BatchBy(func(context.Context, []int) ([]forebay.Result[int], error) { panic("boom") })},
	} {
		t.Run(name, func(t *testing.T) {
			load := boom
			if len(opts) > 0 && name != "LoadMany" {
				load = func(_ context.Context, n int) (int, error) { return n, nil }
			}
			f := wrap(t, shared(t), "c", load, opts...)
			var p *forebay.PanicError
			if _, err := f.Get(ctx, 1); !errors.As(err, &p) {
				t.Errorf("Get: %v", err)
			}
			if _, err := f.GetMany(ctx, []int{2, 3}); !errors.As(err, &p) {
				t.Errorf("GetMany: %v", err)
			}
			if err := f.Warm(ctx, func(yield func(int) bool) { yield(4) }, nil); !errors.As(err, &p) {
				t.Errorf("Warm: %v", err)
			}
		})
	}
	t.Run("Caller, many at once", func(t *testing.T) {
		c := open(t, forebay.Options{Caller: func(context.Context) string { panic("boom") }, Classes: []forebay.Class{{Name: "c", Private: true}}})
		f := wrap(t, c, "c", func(_ context.Context, n int) (int, error) { return n, nil })
		var p *forebay.PanicError
		if _, err := f.GetMany(ctx, []int{1, 2}); !errors.As(err, &p) {
			t.Errorf("%v", err)
		}
	})
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if holds() {
			time.Sleep(20 * time.Millisecond) // the last one may be on its way
			return
		}
	}
	t.Fatal("it never came to that")
}

type embedsTime struct {
	time.Time
	Org string
}

// A method that a struct has only because it embeds a type speaks of that part alone.
func TestPromotedMethods(t *testing.T) {
	m := shared.NewMemory()
	options := forebay.Options{Shared: m, Logger: slog.New(slog.DiscardHandler), Classes: []forebay.Class{{Name: "c", TTL: time.Hour}}}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	load := func(_ context.Context, p embedsTime) (embedsTime, error) { return p, nil }
	a, b := open(t, options), open(t, options)
	f, g := wrap(t, a, "c", load), wrap(t, b, "c", load)
	for _, org := range []string{"acme", "globex"} {
		if v, err := f.Get(ctx, embedsTime{at, org}); err != nil || v.Org != org {
			t.Errorf("%s: %+v, %v", org, v, err)
		}
	}
	waitFor(t, func() bool { return a.Stats().Shared.Queued == 0 })
	if v, err := g.Get(ctx, embedsTime{at, "acme"}); err != nil || v.Org != "acme" || !v.Equal(at) {
		t.Errorf("on another node: %+v, %v", v, err)
	}
}

// A load that asks for what it loads itself would wait for itself: it is told so.
func TestCircles(t *testing.T) {
	c := open(t, forebay.Options{Classes: []forebay.Class{{Name: "c", MaxLoads: 2}}})
	var f, g *forebay.Func[int, int]
	f = wrap(t, c, "c/f", func(ctx context.Context, n int) (int, error) { return f.Get(ctx, n) })
	if _, err := f.Get(ctx, 1); !errors.Is(err, forebay.ErrCircle) || !strings.Contains(err.Error(), "c/f") {
		t.Errorf("of itself: %v", err)
	}
	g = wrap(t, c, "c/g", func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return g.Get(ctx, 1)
		}
		return g.Get(ctx, 0)
	})
	if _, err := g.Get(ctx, 0); !errors.Is(err, forebay.ErrCircle) {
		t.Errorf("through another: %v", err)
	}
}

// A load within a load of its class has one of the class's loads already.
func TestNestedLoads(t *testing.T) {
	bubble(t, forebay.Class{MaxLoads: 4, LoadTimeout: time.Minute}, func(t *testing.T, c *forebay.Cache) {
		var now, most atomic.Int64
		child := wrap(t, c, "c/child", func(_ context.Context, n int) (int, error) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return n, nil
		})
		parent := wrap(t, c, "c/parent", func(ctx context.Context, n int) (int, error) {
			time.Sleep(time.Second) // so that all parents run
			return child.Get(ctx, n)
		})
		results := make(chan error, 8)
		for n := range 8 {
			go func() {
				_, err := parent.Get(ctx, n)
				results <- err
			}()
		}
		for range 8 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if most.Load() > 4 {
			t.Errorf("%d loads at once", most.Load())
		}
	})
}

// What is not to be stored is not there to stand in either.
func TestNotStoredAtAll(t *testing.T) {
	for name, test := range map[string]struct {
		class forebay.Class
		keep  forebay.Keep
	}{
		"TTL off":            {forebay.Class{TTL: -1}, forebay.Keep{}},
		"Keep: do not store": {forebay.Class{TTL: time.Hour}, forebay.Keep{TTL: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, test.class, func(t *testing.T, c *forebay.Cache) {
				failing := atomic.Bool{}
				f := wrap(t, c, "c", func(_ context.Context, n int) (int, error) {
					if failing.Load() {
						return 0, errors.New("the origin is down")
					}
					return n, nil
				}, forebay.KeepBy(func(context.Context, int, int) forebay.Keep { return test.keep }))
				f.Get(ctx, 1)
				failing.Store(true)
				if v, err := f.Get(ctx, 1); err == nil {
					t.Errorf("%d was stored", v)
				}
				if _, ok := f.Peek(ctx, 1); ok {
					t.Error("there is something to peek at")
				}
			})
		})
	}
}

// A load that was cancelled because nobody waited for it has no answer for a newcomer.
func TestACancelledLoadIsNotJoined(t *testing.T) {
	bubble(t, forebay.Class{TTL: -1}, func(t *testing.T, c *forebay.Cache) {
		f := wrap(t, c, "c", func(ctx context.Context, n int) (int, error) {
			select {
			case <-time.After(time.Second):
				return n, nil
			case <-ctx.Done():
				time.Sleep(time.Second) // it takes its time to end
				return 0, ctx.Err()
			}
		})
		first, leave := context.WithCancel(ctx)
		go f.Get(first, 1)
		synctest.Wait()
		leave()
		synctest.Wait()
		if v, err := f.Get(ctx, 1); v != 1 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
	})
}

func TestClearErrors(t *testing.T) {
	load := func(_ context.Context, n int) (int, error) { return n, nil }
	if _, err := forebay.Wrap(nil, "c", load); err == nil || !strings.Contains(err.Error(), "the cache is nil") {
		t.Errorf("Wrap(nil): %v", err)
	}
	c := open(t, forebay.Options{Classes: []forebay.Class{{Name: "c"}, {Name: "p", Private: true}}})
	if _, err := forebay.Wrap(c, "c", load, nil); err == nil || !strings.Contains(err.Error(), "option 1 is nil") {
		t.Errorf("a nil option: %v", err)
	}
	if _, err := wrap(t, c, "p", load).Put(ctx, 1, 1); !errors.Is(err, forebay.ErrTarget) {
		t.Errorf("Put without a caller: %v", err)
	}
}
