package forebay_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A slowTier is a tier in memory that answers late: what it was asked to do is done, and others see it.
type slowTier struct {
	*shared.Memory
	append, unlink time.Duration
}

func (s *slowTier) Append(ctx context.Context, head shared.ID, records []shared.Record) (shared.Reading, error) {
	r, err := s.Memory.Append(ctx, head, records)
	if len(records) > 0 {
		time.Sleep(s.append)
	}
	return r, err
}

func (s *slowTier) Unlink(ctx context.Context, keys ...string) error {
	time.Sleep(s.unlink)
	return s.Memory.Unlink(ctx, keys...)
}

// After an acknowledged Put the value is there, near and shared, whatever comes late.
func TestWhatWasPutIsThere(t *testing.T) {
	for name, s := range map[string]*slowTier{
		"its own record is read before the append is answered": {append: 20 * time.Millisecond},
		"the key is unlinked late":                             {unlink: 50 * time.Millisecond},
		"both":                                                 {append: 20 * time.Millisecond, unlink: 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s.Memory = shared.NewMemory()
				o := &origin{}
				_, f := joined(t, s, o)
				_, g := joined(t, s.Memory, o)
				for i := range 30 {
					key := fmt.Sprint("k", i)
					f.Get(ctx, key)
					if _, err := f.Put(ctx, key, 7); err != nil {
						t.Fatal(err)
					}
					expect(t, f.Do(ctx, key), 7, forebay.Hit, forebay.NoReason)
					time.Sleep(second)
					if r := g.Do(ctx, key); r.Value != 7 || r.Tier != forebay.TierShared {
						t.Fatalf("%s: the other node reads %d (%s %s)", key, r.Value, r.Status, r.Tier)
					}
				}
			})
		})
	}
}

// A load that began before a Put and ends after it does not take its place.
func TestAnOlderLoadDoesNotReplaceWhatWasPut(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: second}
		f := wrap(t, c, "c", o.load)
		go f.Get(ctx, "a")
		synctest.Wait()
		f.Put(ctx, "a", 7)
		time.Sleep(2 * second)
		expect(t, f.Do(ctx, "a"), 7, forebay.Hit, forebay.NoReason)
	})
}

// Many callers have joined a load whose tag is invalidated, while other keys are invalidated all the time: the
// next load is for all of them.
func TestThoseWhoJoinedAnObsoleteLoadShareTheNext(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: second}
		f := wrap(t, c, "c", o.load, tagged())
		done, stop := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					c.Invalidate(ctx, forebay.Key(fmt.Sprint("c:other", i)))
				}
			}
		}()
		var callers sync.WaitGroup
		callers.Go(func() { f.Get(ctx, "a") })
		time.Sleep(second / 4)
		v := o.write("a")
		c.Invalidate(ctx, forebay.Tag("t"))
		for range 50 {
			callers.Go(func() {
				if r := f.Do(ctx, "a"); r.Value != v {
					t.Errorf("got %d (%v), want %d", r.Value, r.Err, v)
				}
			})
			time.Sleep(5 * time.Millisecond)
		}
		callers.Wait()
		close(stop)
		<-done
		if n := o.loads.Load(); n != 2 {
			t.Errorf("%d loads, want 2", n)
		}
	})
}

// What is stale is loaded, and waited for.
func TestWarmLoadsWhatIsStale(t *testing.T) {
	bubble(t, forebay.Class{TTL: time.Minute, Stale: time.Hour, MaxLoads: 2}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: second}
		f := wrap(t, c, "c", o.load)
		keys := []string{"a", "b", "c", "d", "e", "f"}
		f.Warm(ctx, slices.Values(keys), nil)
		time.Sleep(2 * time.Minute)
		before := o.loads.Load()
		if err := f.Warm(ctx, slices.Values(keys), nil); err != nil {
			t.Fatal(err)
		}
		if n := o.loads.Load() - before; n != int64(len(keys)) {
			t.Errorf("%d loads, want %d", n, len(keys))
		}
		if err := f.Warm(ctx, slices.Values(keys), nil); err != nil || o.loads.Load() != before+int64(len(keys)) {
			t.Errorf("what is fresh was loaded: %v", err)
		}
	})
}

// A pointer to a time of this machine's zone survives: it is the same moment.
func TestAPointerToATimeSurvives(t *testing.T) {
	type value struct{ At *time.Time }
	synctest.Test(t, func(t *testing.T) {
		m := shared.NewMemory()
		node := func() *forebay.Func[string, value] {
			return wrap(t, open(t, forebay.Options{Shared: m}), "c", func(context.Context, string) (value, error) {
				now := time.Now()
				return value{&now}, nil
			})
		}
		a, b := node(), node()
		a.Get(ctx, "a")
		synctest.Wait()
		if r := b.Do(ctx, "a"); r.Tier != forebay.TierShared {
			t.Errorf("the other node: %s %s", r.Status, r.Tier)
		}
	})
}
