package forebay_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
)

var ctx = context.Background()

const second = time.Second

func TestSecondCallIsAHit(t *testing.T) {
	bubble(t, forebay.Class{Jitter: -1, TTL: time.Minute}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: second}
		f := wrap(t, c, "c", o.load)
		expect(t, f.Do(ctx, "a"), 0, forebay.Miss, forebay.ReasonAbsent)
		time.Sleep(10 * second)
		r := f.Do(ctx, "a")
		expect(t, r, 0, forebay.Hit, forebay.NoReason)
		if r.Tier != forebay.TierNear || r.Age != 10*second || r.TTL != 50*second || r.LoadTime != second {
			t.Errorf("got tier %s, age %s, ttl %s, took %s; want near, 10s, 50s, 1s", r.Tier, r.Age, r.TTL, r.LoadTime)
		}
		if n := o.loads.Load(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	})
}

func TestExpiry(t *testing.T) {
	bubble(t, forebay.Class{Jitter: -1, TTL: time.Minute, StaleIfError: -1, RefreshAhead: -1}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{}
		f := wrap(t, c, "c", o.load)
		f.Get(ctx, "a")
		time.Sleep(time.Minute - time.Nanosecond)
		expect(t, f.Do(ctx, "a"), 0, forebay.Hit, forebay.NoReason)
		time.Sleep(time.Nanosecond)
		r := f.Do(ctx, "a")
		if r.Status != forebay.Miss || r.Reason != forebay.ReasonExpired {
			t.Errorf("at the end of the TTL: %s (%s), want miss (expired)", r.Status, r.Reason)
		}
	})
}

func TestStaleWhileOneLoadRunsBehind(t *testing.T) {
	bubble(t, forebay.Class{Jitter: -1, TTL: time.Minute, Stale: time.Minute, RefreshAhead: -1}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: second}
		f := wrap(t, c, "c", o.load)
		f.Get(ctx, "a")
		o.write("a")
		time.Sleep(70 * second)
		for range 100 {
			r := f.Do(ctx, "a")
			expect(t, r, 0, forebay.StaleHit, forebay.ReasonReloading)
			if r.TTL != -10*second {
				t.Fatalf("ttl %s, want -10s", r.TTL)
			}
		}
		time.Sleep(2 * second)
		expect(t, f.Do(ctx, "a"), 1, forebay.Hit, forebay.NoReason)
		if n := o.loads.Load(); n != 2 {
			t.Errorf("%d loads, want 2", n)
		}
	})
}

func TestStaleIfError(t *testing.T) {
	for _, test := range []struct {
		name  string
		class forebay.Class
		after time.Duration
		stale bool
	}{
		{"within StaleIfError", forebay.Class{TTL: time.Minute, StaleIfError: time.Hour}, 30 * time.Minute, true},
		{"after StaleIfError", forebay.Class{TTL: time.Minute, StaleIfError: time.Hour}, 62 * time.Minute, false},
		{"off", forebay.Class{TTL: time.Minute, StaleIfError: -1}, 2 * time.Minute, false},
		{"strict", forebay.Class{TTL: time.Minute, Strict: true}, 2 * time.Minute, false},
		{"longer Stale counts too", forebay.Class{TTL: time.Minute, Stale: time.Hour, StaleIfError: time.Second}, 30 * time.Minute, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, test.class, func(t *testing.T, c *forebay.Cache) {
				o := &origin{}
				f := wrap(t, c, "c", o.load)
				f.Get(ctx, "a")
				time.Sleep(test.after)
				o.fail(errDown)
				r := f.Do(ctx, "a")
				if test.stale && (r.Err != nil || r.Status != forebay.StaleHit) {
					t.Errorf("got %v, %s; want a stale hit", r.Err, r.Status)
				}
				if !test.stale && !errors.Is(r.Err, errDown) {
					t.Errorf("got %v, want the origin's error", r.Err)
				}
			})
		})
	}
}

func TestErrorsAreNotStored(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{}
		f := wrap(t, c, "c", o.load)
		o.fail(errDown)
		if _, err := f.Get(ctx, "a"); !errors.Is(err, errDown) {
			t.Fatalf("got %v", err)
		}
		o.fail(nil)
		expect(t, f.Do(ctx, "a"), 0, forebay.Miss, forebay.ReasonAbsent)
	})
}

func TestNotFoundIsKeptForAShortTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, forebay.Options{
			Classes:    []forebay.Class{{Name: "c", NotFound: 10 * second}},
			IsNotFound: func(err error) bool { return errors.Is(err, sql.ErrNoRows) },
		})
		o := &origin{}
		o.fail(fmt.Errorf("select: %w", sql.ErrNoRows))
		f := wrap(t, c, "c", o.load)
		for i := range 3 {
			r := f.Do(ctx, "a")
			if !errors.Is(r.Err, forebay.ErrNotFound) || !errors.Is(r.Err, sql.ErrNoRows) {
				t.Fatalf("call %d: %v, want both not found", i, r.Err)
			}
		}
		if n := o.loads.Load(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
		time.Sleep(10 * second)
		o.fail(errDown)
		if _, err := f.Get(ctx, "a"); !errors.Is(err, errDown) {
			t.Errorf("after its time: %v, want the origin's error: not found is never served stale", err)
		}
	})
}

func TestWaitServesStaleWhenALoadIsSlow(t *testing.T) {
	for _, test := range []struct {
		name string
		wait time.Duration
		want time.Duration
	}{{"half a second", second / 2, second / 2}, {"not at all", -1, 0}} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, forebay.Class{TTL: time.Minute, Wait: test.wait, RefreshAhead: -1}, func(t *testing.T, c *forebay.Cache) {
				o := &origin{took: 5 * second}
				f := wrap(t, c, "c", o.load)
				f.Get(ctx, "a")
				o.write("a")
				time.Sleep(2 * time.Minute)
				start := time.Now()
				expect(t, f.Do(ctx, "a"), 0, forebay.StaleHit, forebay.ReasonLoadSlow)
				if took := time.Since(start); took != test.want {
					t.Errorf("waited %s, want %s", took, test.want)
				}
				time.Sleep(5*second + time.Nanosecond) // the load went on behind
				expect(t, f.Do(ctx, "a"), 1, forebay.Hit, forebay.NoReason)
			})
		})
	}
}

func TestLoadTimeoutFreesTheKey(t *testing.T) {
	bubble(t, forebay.Class{LoadTimeout: 5 * second}, func(t *testing.T, c *forebay.Cache) {
		hang := make(chan struct{})
		var calls atomic.Int64
		f := wrap(t, c, "c", func(context.Context, string) (int, error) {
			n := calls.Add(1)
			if n == 1 {
				<-hang // heeds no context
			}
			return int(n), nil
		})
		start := time.Now()
		if _, err := f.Get(ctx, "a"); !errors.Is(err, forebay.ErrLoadTimeout) {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(start); took != 5*second {
			t.Errorf("freed after %s, want 5s", took)
		}
		if v, err := f.Get(ctx, "a"); v != 2 || err != nil {
			t.Errorf("the next call: %d, %v", v, err)
		}
		close(hang)
		synctest.Wait()
		if v, _ := f.Get(ctx, "a"); v != 2 {
			t.Errorf("the late answer was stored: %d", v)
		}
	})
}

func TestMaxLoads(t *testing.T) {
	class := forebay.Class{TTL: time.Minute, MaxLoads: 2, LoadTimeout: 3 * second, RefreshAhead: -1}
	t.Run("others wait", func(t *testing.T) {
		bubble(t, class, func(t *testing.T, c *forebay.Cache) {
			o := &origin{took: second}
			f := wrap(t, c, "c", o.load)
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					if _, err := f.Get(ctx, fmt.Sprint(i)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if m := o.most.Load(); m != 2 {
				t.Errorf("%d loads at once, want 2", m)
			}
		})
	})
	t.Run("those that wait in vain get a typed error", func(t *testing.T) {
		bubble(t, class, func(t *testing.T, c *forebay.Cache) {
			hang := make(chan struct{})
			f := wrap(t, c, "c", func(context.Context, string) (int, error) { <-hang; return 0, nil })
			var busy, late atomic.Int64
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					_, err := f.Get(ctx, fmt.Sprint(i))
					var b *forebay.BusyError
					switch {
					case errors.As(err, &b) && b.MaxLoads == 2 && b.RetryAfter > 0:
						busy.Add(1)
					case errors.Is(err, forebay.ErrLoadTimeout):
						late.Add(1)
					}
				})
			}
			wg.Wait()
			close(hang)
			if busy.Load() != 4 || late.Load() != 2 {
				t.Errorf("%d refused and %d timed out, want 4 and 2", busy.Load(), late.Load())
			}
		})
	})
	t.Run("something stale is served at once", func(t *testing.T) {
		bubble(t, class, func(t *testing.T, c *forebay.Cache) {
			o := &origin{took: second}
			f := wrap(t, c, "c", o.load)
			f.Get(ctx, "a")
			time.Sleep(2 * time.Minute)
			for i := range 2 {
				go f.Get(ctx, fmt.Sprint("busy ", i))
			}
			synctest.Wait()
			start := time.Now()
			expect(t, f.Do(ctx, "a"), 0, forebay.StaleHit, forebay.ReasonLoadRefused)
			if took := time.Since(start); took != 0 {
				t.Errorf("waited %s", took)
			}
		})
	})
	t.Run("a hanging origin sees no more, also after the timeout", func(t *testing.T) {
		bubble(t, class, func(t *testing.T, c *forebay.Cache) {
			hang := make(chan struct{})
			running, most := 0, 0
			var mu sync.Mutex
			f := wrap(t, c, "c", func(context.Context, string) (int, error) {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				<-hang
				return 0, nil
			})
			for i := range 10 {
				f.Get(ctx, fmt.Sprint(i))
			}
			mu.Lock()
			defer mu.Unlock()
			if most != 2 {
				t.Errorf("%d loads hang, want 2", most)
			}
			close(hang)
		})
	})
}

func TestManyCallersAreOneLoad(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: second}
		f := wrap(t, c, "c", o.load)
		statuses := map[forebay.Status]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				r := f.Do(ctx, "a")
				mu.Lock()
				statuses[r.Status]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if o.loads.Load() != 1 || statuses[forebay.Miss] != 1 || statuses[forebay.Coalesced] != 999 {
			t.Errorf("%d loads, %v", o.loads.Load(), statuses)
		}
		s := c.Stats().Classes[0]
		if s.Misses != 1 || s.Coalesced != 999 || s.Loads != 1 || s.Saved != 999*second {
			t.Errorf("statistics: %d misses, %d coalesced, %d loads, %s saved", s.Misses, s.Coalesced, s.Loads, s.Saved)
		}
	})
}

func TestWaitersFollowTheirOwnContext(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: 10 * second}
		f := wrap(t, c, "c", o.load)
		impatient, cancel := context.WithTimeout(ctx, second)
		defer cancel()
		start := time.Now()
		if _, err := f.Get(impatient, "a"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != second {
			t.Fatalf("got %v after %s", err, time.Since(start))
		}
		// The load of the caller that left goes on, for the next one.
		expect(t, f.Do(ctx, "a"), 0, forebay.Coalesced, forebay.NoReason)
		if o.loads.Load() != 1 {
			t.Errorf("%d loads, want 1", o.loads.Load())
		}
	})
}

func TestALoadThatNobodyCouldUseIsCancelled(t *testing.T) {
	bubble(t, forebay.Class{TTL: -1}, func(t *testing.T, c *forebay.Cache) {
		var cause error
		f := wrap(t, c, "c", func(ctx context.Context, _ string) (int, error) {
			<-ctx.Done()
			cause = ctx.Err()
			return 0, cause
		})
		impatient, cancel := context.WithTimeout(ctx, second)
		defer cancel()
		f.Get(impatient, "a")
		synctest.Wait()
		if !errors.Is(cause, context.Canceled) {
			t.Errorf("the load's context ended with %v, want canceled", cause)
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		f := wrap(t, c, "c", func(context.Context, string) (int, error) { panic("oops") })
		_, err := f.Get(ctx, "a")
		var p *forebay.PanicError
		if !errors.As(err, &p) || p.Value != "oops" || !strings.Contains(string(p.Stack), "func_test.go") {
			t.Errorf("got %v", err)
		}
	})
}

type callerKey struct{}

func TestPrivateClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, forebay.Options{
			Classes: []forebay.Class{{Name: "c", Private: true}},
			Caller:  func(ctx context.Context) string { s, _ := ctx.Value(callerKey{}).(string); return s },
		})
		f := wrap(t, c, "c", func(ctx context.Context, _ string) (string, error) {
			s, _ := ctx.Value(callerKey{}).(string)
			return "secret of " + s, nil
		})
		anna, bert := context.WithValue(ctx, callerKey{}, "anna"), context.WithValue(ctx, callerKey{}, "bert")
		for range 2 {
			for who, ctx := range map[string]context.Context{"anna": anna, "bert": bert} {
				if v, _ := f.Get(ctx, "x"); v != "secret of "+who {
					t.Errorf("%s got %q", who, v)
				}
			}
		}
		if r := f.Do(ctx, "x"); r.Status != forebay.Bypass || r.Reason != forebay.ReasonNoCaller || r.Value != "secret of " {
			t.Errorf("without a caller: %s (%s), %q", r.Status, r.Reason, r.Value)
		}
		if _, err := f.Invalidate(anna, "x"); err != nil {
			t.Fatal(err)
		}
		if r := f.Do(anna, "x"); r.Status != forebay.Miss {
			t.Errorf("after anna's invalidation: %s", r.Status)
		}
		if r := f.Do(bert, "x"); r.Status != forebay.Hit {
			t.Errorf("bert's entry after it: %s", r.Status)
		}
	})
}

func TestPut(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: second}
		f := wrap(t, c, "c", o.load)
		if _, err := f.Put(ctx, "a", 7); err != nil {
			t.Fatal(err)
		}
		expect(t, f.Do(ctx, "a"), 7, forebay.Hit, forebay.NoReason)

		go f.Refresh(ctx, "a") // began before the next Put, ends after it
		synctest.Wait()
		if _, err := f.Put(ctx, "a", 8); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * second)
		expect(t, f.Do(ctx, "a"), 8, forebay.Hit, forebay.NoReason)

		f.Invalidate(ctx, "a")
		if r := f.Do(ctx, "a"); r.Value != 0 || r.Status != forebay.Miss {
			t.Errorf("after an invalidation: %d, %s", r.Value, r.Status)
		}
	})
}

func TestPeekNeverLoads(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{}
		f := wrap(t, c, "c", o.load)
		if _, ok := f.Peek(ctx, "a"); ok {
			t.Error("found something")
		}
		f.Get(ctx, "a")
		if r, ok := f.Peek(ctx, "a"); !ok || r.Status != forebay.Hit {
			t.Errorf("got %v, %s", ok, r.Status)
		}
		if s := c.Stats().Classes[0]; s.Hits() != 0 || o.loads.Load() != 1 {
			t.Errorf("%d hits counted, %d loads", s.Hits(), o.loads.Load())
		}
	})
}

func TestRefresh(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{}
		f := wrap(t, c, "c", o.load)
		f.Get(ctx, "a")
		o.write("a")
		if v, err := f.Refresh(ctx, "a"); v != 1 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		expect(t, f.Do(ctx, "a"), 1, forebay.Hit, forebay.NoReason)
	})
}

func TestRefreshAheadOfExpiry(t *testing.T) {
	bubble(t, forebay.Class{TTL: time.Minute, StaleIfError: -1}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: 5 * second}
		f := wrap(t, c, "c", o.load)
		f.Get(ctx, "a")
		for range 3000 { // ten minutes of a reader every 200 ms
			time.Sleep(second / 5)
			if r := f.Do(ctx, "a"); r.Status != forebay.Hit {
				t.Fatalf("a reader waited: %s", r.Status)
			}
		}
		// One load a TTL at the least; with beta 1 it begins about four load times ahead.
		if n := o.loads.Load(); n < 10 || n > 30 {
			t.Errorf("%d loads in ten minutes of a TTL of one", n)
		}
	})
}

func TestKeepBy(t *testing.T) {
	bubble(t, forebay.Class{TTL: time.Hour, RefreshAhead: -1, StaleIfError: -1}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{}
		f := wrap(t, c, "c", o.load, forebay.KeepBy(func(_ context.Context, key string, v int) forebay.Keep {
			switch key {
			case "short":
				return forebay.Keep{TTL: second, Tags: []string{"t"}}
			case "never":
				return forebay.Keep{TTL: -1}
			}
			return forebay.Keep{Tags: []string{"t", "u"}}
		}))
		for _, k := range []string{"short", "never", "long"} {
			f.Get(ctx, k)
		}
		expect(t, f.Do(ctx, "never"), 0, forebay.Miss, forebay.ReasonAbsent)
		time.Sleep(second)
		expect(t, f.Do(ctx, "short"), 0, forebay.Miss, forebay.ReasonExpired)
		expect(t, f.Do(ctx, "long"), 0, forebay.Hit, forebay.NoReason)
		c.Invalidate(ctx, forebay.Tag("u"))
		expect(t, f.Do(ctx, "short"), 0, forebay.Hit, forebay.NoReason)
		r := f.Do(ctx, "long")
		if r.Status != forebay.Miss {
			t.Errorf("after its tag was invalidated: %s", r.Status)
		}
	})
}

func TestGetMany(t *testing.T) {
	class := forebay.Class{}
	t.Run("one by one", func(t *testing.T) {
		bubble(t, class, func(t *testing.T, c *forebay.Cache) {
			o := &origin{took: second}
			f := wrap(t, c, "c", o.load)
			start := time.Now()
			rs, err := f.GetMany(ctx, []string{"a", "b", "a"})
			if err != nil || len(rs) != 3 || time.Since(start) != second || o.loads.Load() != 2 {
				t.Errorf("%d results, %v, %s, %d loads", len(rs), err, time.Since(start), o.loads.Load())
			}
		})
	})
	t.Run("one call for all", func(t *testing.T) {
		bubble(t, class, func(t *testing.T, c *forebay.Cache) {
			var calls [][]string
			f := wrap(t, c, "c", (&origin{}).load, forebay.BatchBy(func(_ context.Context, ps []string) ([]forebay.Result[int], error) {
				calls = append(calls, ps)
				out := make([]forebay.Result[int], len(ps))
				for i, p := range ps {
					out[i].Value = len(p)
					if p == "none" {
						out[i].Err = forebay.ErrNotFound
					}
					if p == "bad" {
						out[i].Err = errDown
					}
				}
				return out, nil
			}))
			f.Get(ctx, "held")
			rs, err := f.GetMany(ctx, []string{"held", "one", "none", "bad", "one"})
			if !errors.Is(err, errDown) || errors.Is(err, forebay.ErrNotFound) {
				t.Errorf("error %v, want the one failure", err)
			}
			if len(calls) != 1 || !slices.Equal(calls[0], []string{"one", "none", "bad"}) {
				t.Errorf("calls %v", calls)
			}
			if rs[0].Status != forebay.Hit || rs[1].Value != 3 || !errors.Is(rs[2].Err, forebay.ErrNotFound) || rs[3].Err == nil || rs[4].Value != 3 {
				t.Errorf("results %+v", rs)
			}
			if s := c.Stats().Classes[0]; s.Loads != 2 {
				t.Errorf("%d loads, want 2: a batch is one call of the origin", s.Loads)
			}
			f.GetMany(ctx, []string{"one", "held"})
			if len(calls) != 1 {
				t.Error("stored answers were loaded again")
			}
		})
	})
	t.Run("too few results", func(t *testing.T) {
		bubble(t, class, func(t *testing.T, c *forebay.Cache) {
			f := wrap(t, c, "c", (&origin{}).load, forebay.BatchBy(func(context.Context, []string) ([]forebay.Result[int], error) { return nil, nil }))
			if _, err := f.GetMany(ctx, []string{"a"}); err == nil || !strings.Contains(err.Error(), "0 results for 1") {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("a panic fails them all", func(t *testing.T) {
		bubble(t, class, func(t *testing.T, c *forebay.Cache) {
			f := wrap(t, c, "c", (&origin{}).load, forebay.BatchBy(func(context.Context, []string) ([]forebay.Result[int], error) { panic("oops") }))
			rs, _ := f.GetMany(ctx, []string{"a", "b"})
			for _, r := range rs {
				var p *forebay.PanicError
				if !errors.As(r.Err, &p) {
					t.Errorf("got %v", r.Err)
				}
			}
		})
	})
}

func TestWarm(t *testing.T) {
	bubble(t, forebay.Class{MaxLoads: 4}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: second}
		f := wrap(t, c, "c", func(ctx context.Context, n int) (int, error) {
			if n == 13 {
				return 0, errDown
			}
			return o.load(ctx, fmt.Sprint(n))
		})
		params := func(yield func(int) bool) {
			for n := range 20 {
				if !yield(n) {
					return
				}
			}
		}
		var last [2]int
		err := f.Warm(ctx, params, func(done, failed int) { last = [2]int{done, failed} })
		if last != [2]int{19, 1} || !errors.Is(err, errDown) || !strings.Contains(err.Error(), "1 of 20") {
			t.Errorf("progress %v, error %v", last, err)
		}
		if s := c.Stats().Classes[0]; s.Misses != 0 || s.Entries != 19 || o.most.Load() > 4 {
			t.Errorf("%d misses counted, %d entries, %d loads at once", s.Misses, s.Entries, o.most.Load())
		}
	})
}

func TestCloneBy(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		f := wrap(t, c, "c", func(context.Context, string) ([]int, error) { return []int{1, 2}, nil }, forebay.CloneBy[string](slices.Clone[[]int]))
		for range 3 {
			v, _ := f.Get(ctx, "a")
			if v[0] != 1 {
				t.Fatal("a caller's change is seen by another")
			}
			v[0] = 99
		}
	})
}

func TestAfterCloseCallsLoadWithoutACache(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{}
		f := wrap(t, c, "c", o.load)
		f.Get(ctx, "a")
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if r := f.Do(ctx, "a"); r.Err != nil || r.Status != forebay.Bypass || r.Reason != forebay.ReasonClosed {
				t.Errorf("got %v, %s (%s)", r.Err, r.Status, r.Reason)
			}
			if _, err := f.Get(ctx, "a"); err != nil {
				t.Error(err)
			}
		}
		if o.loads.Load() != 5 {
			t.Errorf("%d loads, want 5", o.loads.Load())
		}
	})
}

func TestCloseWaitsForLoadsAndCancelsThoseBehind(t *testing.T) {
	bubble(t, forebay.Class{TTL: time.Minute, Stale: time.Hour, RefreshAhead: -1}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: 5 * second}
		f := wrap(t, c, "c", o.load)
		f.Get(ctx, "stale")
		time.Sleep(2 * time.Minute)
		f.Get(ctx, "stale") // begins a load behind
		var err error
		done := make(chan struct{})
		go func() {
			_, err = f.Get(ctx, "waited for")
			close(done)
		}()
		synctest.Wait()
		start := time.Now()
		c.Close()
		<-done
		if err != nil || time.Since(start) != 5*second {
			t.Errorf("the caller got %v, Close took %s", err, time.Since(start))
		}
		synctest.Wait()
		if o.now.Load() != 0 {
			t.Error("a load is still running")
		}
	})
}

func TestConfigurationErrorsNameEveryPlace(t *testing.T) {
	_, err := forebay.Open(ctx, forebay.Options{NearBytes: 1, Classes: []forebay.Class{
		{Name: "ok"}, {Name: "Bad Name"}, {Name: "ok"}, {Name: "s", Strict: true, Stale: second}, {Name: "l", TTL: 1 << 62},
	}})
	for _, want := range []string{"Classes[1].Name", "Classes[2].Name", "Classes[3].Strict", "Classes[4].TTL", "NearBytes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
	if !errors.Is(err, forebay.ErrConfig) {
		t.Error("is not an ErrConfig")
	}
}

func TestWrapRefuses(t *testing.T) {
	c := open(t, forebay.Options{Classes: []forebay.Class{{Name: "c"}}})
	load := func(context.Context, string) (int, error) { return 0, nil }
	wrap(t, c, "c", load)
	type hidden struct{ Shown, hidden string }
	type holdsAny struct{ V any }
	_ = hidden{hidden: ""}.hidden
	for name, err := range map[string]error{
		"a taken name":          second2(forebay.Wrap(c, "c", load)),
		"an undeclared class":   second2(forebay.Wrap(c, "d", load)),
		"a bad name":            second2(forebay.Wrap(c, "c/A b", load)),
		"no function":           second2(forebay.Wrap[string, int](c, "c/x", nil)),
		"an unexported field":   second2(forebay.Wrap(c, "c/x", func(context.Context, hidden) (int, error) { return 0, nil })),
		"an interface":          second2(forebay.Wrap(c, "c/x", func(context.Context, holdsAny) (int, error) { return 0, nil })),
		"a channel":             second2(forebay.Wrap(c, "c/x", func(context.Context, chan int) (int, error) { return 0, nil })),
		"a function as a field": second2(forebay.Wrap(c, "c/x", func(context.Context, struct{ F func() }) (int, error) { return 0, nil })),
	} {
		if !errors.Is(err, forebay.ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	open(t, forebay.Options{}) // declares nothing, so every name is a class
	if _, err := forebay.Wrap(open(t, forebay.Options{}), "anything", load); err != nil {
		t.Error(err)
	}
}

func second2[A any](_ A, err error) error { return err }
