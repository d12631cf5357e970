package forebay_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A flakyTier is a tier in memory whose answers get lost.
type flakyTier struct {
	*shared.Memory
	lateLeases atomic.Int64 // as many leases are taken, and their answers lost
	lostRenews atomic.Int64
}

func (f *flakyTier) Lease(ctx context.Context, key, token string, life time.Duration) (bool, []byte, error) {
	held, value, err := f.Memory.Lease(ctx, key, token, life)
	if f.lateLeases.Add(-1) >= 0 {
		return false, nil, shared.ErrAway
	}
	return held, value, err
}

func (f *flakyTier) Renew(ctx context.Context, key, token string, life time.Duration) (bool, error) {
	if f.lostRenews.Add(-1) >= 0 {
		return false, shared.ErrAway
	}
	return f.Memory.Renew(ctx, key, token, life)
}

func twoNodes(t *testing.T, s shared.Tier, class forebay.Class, load func(context.Context, string) (int, error)) (a, b *forebay.Func[string, int]) {
	class.Name = "c"
	options := forebay.Options{Shared: s, Logger: slog.New(slog.DiscardHandler), Classes: []forebay.Class{class}}
	return wrap(t, open(t, options), "c", load), wrap(t, open(t, options), "c", load)
}

// A lease whose answer was lost is given back: nobody waits for a load that nobody runs.
func TestALateLeaseIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int64
		s := &flakyTier{Memory: shared.NewMemory()}
		a, b := twoNodes(t, s, forebay.Class{TTL: time.Hour}, func(context.Context, string) (int, error) {
			if loads.Add(1) == 1 {
				return 0, errors.New("the origin failed")
			}
			return 1, nil
		})
		s.lateLeases.Store(1)
		if _, err := a.Get(ctx, "k"); err == nil {
			t.Fatal("it was loaded")
		}
		begun := time.Now()
		if _, err := b.Get(ctx, "k"); err != nil || time.Since(begun) > second {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}

// A renewal that is lost is tried again: the lease lasts as long as the load.
func TestALostRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, s := &origin{took: 8 * second}, &flakyTier{Memory: shared.NewMemory()}
		a, b := twoNodes(t, s, forebay.Class{TTL: time.Hour, LoadTimeout: time.Minute}, o.load)
		s.lostRenews.Store(1)
		go a.Get(ctx, "k")
		time.Sleep(4 * second)
		if _, err := b.Get(ctx, "k"); err != nil || o.loads.Load() != 1 {
			t.Errorf("%d loads, %v", o.loads.Load(), err)
		}
	})
}

// However callers arrive at two nodes, a cold key is loaded once.
func TestOneLoadHoweverCallersArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{took: second}
		a, b := twoNodes(t, shared.NewMemory(), forebay.Class{TTL: time.Hour}, o.load)
		for range 20 {
			key := time.Now().String()
			before := o.loads.Load()
			go a.Get(ctx, key)
			synctest.Wait()
			for i := range 200 { // some come while a flight waits, some the moment the answer is there
				go func() {
					time.Sleep(time.Duration(i) * 6 * time.Millisecond)
					b.Get(ctx, key)
				}()
			}
			time.Sleep(5 * second)
			if n := o.loads.Load() - before; n != 1 {
				t.Errorf("%d loads", n)
			}
		}
	})
}

// A load that was given up for a caller with something stale is not an answer for one that has nothing.
func TestGivenUpLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{took: second}
		class := forebay.Class{TTL: second, StaleIfError: time.Hour, LoadTimeout: time.Minute}
		a, b := twoNodes(t, shared.NewMemory(), class, o.load)
		b.Get(ctx, "k")
		time.Sleep(3 * second) // stale on b
		go a.Get(ctx, "k")     // holds the lease
		time.Sleep(100 * time.Millisecond)
		b.Invalidate(ctx, "k")
		for range 20 {
			go func() {
				if _, err := b.Get(ctx, "k"); err != nil {
					t.Errorf("Get: %v", err)
				}
				if _, err := b.GetMany(ctx, []string{"k", "l"}); err != nil {
					t.Errorf("GetMany: %v", err)
				}
			}()
		}
		time.Sleep(20 * second)
	})
}

// A node that has waited for another's load, which came to nothing, has its whole time for its own.
func TestALoadHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := shared.NewMemory()
		node := func(o *origin) *forebay.Func[string, int] {
			c := open(t, forebay.Options{Shared: m, Logger: slog.New(slog.DiscardHandler), Classes: []forebay.Class{{Name: "c", LoadTimeout: 30 * time.Second}}})
			return wrap(t, c, "c", o.load)
		}
		hangs, slow := node(&origin{took: time.Hour}), node(&origin{took: 20 * time.Second})
		failed := make(chan error)
		go func() {
			_, err := hangs.Get(ctx, "a")
			failed <- err
		}()
		time.Sleep(5 * time.Second)
		if _, err := slow.Get(ctx, "a"); err != nil {
			t.Error(err)
		}
		if err := <-failed; !errors.Is(err, forebay.ErrLoadTimeout) {
			t.Errorf("the load that hangs: %v", err)
		}
	})
}

// A countedTier is a tier in memory that counts the visits in which it is asked.
type countedTier struct {
	*shared.Memory
	visits, asked atomic.Int64
}

type visitKey struct{}

func (c *countedTier) Visit(ctx context.Context) context.Context {
	if ctx.Value(visitKey{}) != nil {
		return ctx
	}
	c.visits.Add(1)
	return context.WithValue(ctx, visitKey{}, true)
}

func (c *countedTier) Get(ctx context.Context, key string) ([]byte, error) {
	if ctx.Value(visitKey{}) != nil {
		c.asked.Add(1)
	}
	return c.Memory.Get(ctx, key)
}

func (c *countedTier) Lease(ctx context.Context, key, token string, life time.Duration) (bool, []byte, error) {
	if ctx.Value(visitKey{}) != nil {
		c.asked.Add(1)
	}
	return c.Memory.Lease(ctx, key, token, life)
}

// The look-up and the lease of a request are one visit to the shared tier.
func TestARequestIsOneVisit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &countedTier{Memory: shared.NewMemory()}
		_, f := joined(t, s, &origin{})
		synctest.Wait()
		s.visits.Store(0)
		s.asked.Store(0)
		f.Get(ctx, "a")
		if visits, asked := s.visits.Load(), s.asked.Load(); visits != 1 || asked != 2 {
			t.Errorf("%d visits, asked %d times in them", visits, asked)
		}
	})
}
