package forebay_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// tagged gives every entry the tag "t", known only from the value.
func tagged() forebay.Option[string, int] {
	return forebay.KeepBy(func(context.Context, string, int) forebay.Keep { return forebay.Keep{Tags: []string{"t"}} })
}

var targets = map[string]forebay.Target{
	"key": forebay.Key("c:a,"), "tag": forebay.Tag("t"), "class": forebay.InClass("c"),
	"pattern": forebay.Pattern("c:*"), "everything": forebay.Everything(),
}

// TestLoadAgainstInvalidation tries each order of a load and an invalidation, for each kind of
// target. Whatever the order, a read that starts after the invalidation gets what was written before it.
func TestLoadAgainstInvalidation(t *testing.T) {
	class := forebay.Class{TTL: time.Minute, Stale: time.Minute, RefreshAhead: -1}
	orders := map[string]func(t *testing.T, c *forebay.Cache, f *forebay.Func[string, int], o *origin, target forebay.Target){
		"the load ended before": func(t *testing.T, c *forebay.Cache, f *forebay.Func[string, int], o *origin, target forebay.Target) {
			f.Get(ctx, "a")
			o.write("a")
			c.Invalidate(ctx, target)
		},
		"the load began before and ends after": func(t *testing.T, c *forebay.Cache, f *forebay.Func[string, int], o *origin, target forebay.Target) {
			go f.Get(ctx, "a")
			synctest.Wait()
			o.write("a")
			c.Invalidate(ctx, target)
			time.Sleep(2 * second)
		},
		"the load began before and still runs: a later reader does not take its answer": func(t *testing.T, c *forebay.Cache, f *forebay.Func[string, int], o *origin, target forebay.Target) {
			go f.Get(ctx, "a")
			synctest.Wait()
			o.write("a")
			c.Invalidate(ctx, target)
		},
		"the older load ends after the newer one": func(t *testing.T, c *forebay.Cache, f *forebay.Func[string, int], o *origin, target forebay.Target) {
			o.took = 10 * second
			go f.Get(ctx, "a")
			synctest.Wait()
			o.write("a")
			c.Invalidate(ctx, target)
			o.took = second
			f.Get(ctx, "a")
			time.Sleep(20 * second)
		},
		"a refresh began before and ends after": func(t *testing.T, c *forebay.Cache, f *forebay.Func[string, int], o *origin, target forebay.Target) {
			f.Get(ctx, "a")
			time.Sleep(70 * second)
			f.Get(ctx, "a") // stale: begins a refresh behind
			synctest.Wait()
			o.write("a")
			c.Invalidate(ctx, target)
			time.Sleep(2 * second)
		},
		"a refresh began before and still runs": func(t *testing.T, c *forebay.Cache, f *forebay.Func[string, int], o *origin, target forebay.Target) {
			f.Get(ctx, "a")
			time.Sleep(70 * second)
			f.Get(ctx, "a")
			synctest.Wait()
			o.write("a")
			c.Invalidate(ctx, target)
		},
		"twice, with a later expire that must not hide the remove": func(t *testing.T, c *forebay.Cache, f *forebay.Func[string, int], o *origin, target forebay.Target) {
			f.Get(ctx, "a")
			o.write("a")
			c.Invalidate(ctx, target)
			c.Expire(ctx, target)
			o.fail(errDown)
			if r := f.Do(ctx, "a"); r.Err == nil {
				t.Errorf("served %d (%s) though it was removed", r.Value, r.Status)
			}
			o.fail(nil)
		},
	}
	for order, run := range orders {
		for name, target := range targets {
			t.Run(order+"/"+name, func(t *testing.T) {
				bubble(t, class, func(t *testing.T, c *forebay.Cache) {
					o := &origin{took: second}
					f := wrap(t, c, "c", o.load, tagged())
					run(t, c, f, o, target)
					if r := f.Do(ctx, "a"); r.Err != nil || r.Value != 1 {
						t.Errorf("got %d, %v (%s); want 1", r.Value, r.Err, r.Status)
					}
					if r := f.Do(ctx, "a"); r.Value != 1 || r.Status != forebay.Hit {
						t.Errorf("and then %d (%s %s); want a hit", r.Value, r.Status, r.Reason)
					}
				})
			})
		}
	}
}

// A caller that joined a load before the invalidation may have its answer; one that came after may not.
func TestWhoJoinedBeforeTheInvalidationMayHaveTheAnswer(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: second}
		f := wrap(t, c, "c", o.load, tagged())
		var wg sync.WaitGroup
		got := func(want int) {
			wg.Go(func() {
				if v, err := f.Get(ctx, "a"); v != want || err != nil {
					t.Errorf("got %d, %v; want %d", v, err, want)
				}
			})
			synctest.Wait()
		}
		got(0)
		got(0)
		o.write("a")
		c.Invalidate(ctx, forebay.Tag("t"))
		got(1)
		got(1)
		wg.Wait()
		if n := o.loads.Load(); n != 2 {
			t.Errorf("%d loads, want 2", n)
		}
	})
}

func TestWhoComesAfterAnInvalidationDoesNotWaitForTheOlderLoad(t *testing.T) {
	bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{took: 10 * second}
		f := wrap(t, c, "c", o.load)
		go f.Get(ctx, "a")
		synctest.Wait()
		o.write("a")
		f.Invalidate(ctx, "a")
		o.took = second
		start := time.Now()
		expect(t, f.Do(ctx, "a"), 1, forebay.Miss, forebay.ReasonAbsent)
		if took := time.Since(start); took != second {
			t.Errorf("waited %s, want 1s", took)
		}
	})
}

func TestExpireServesStaleWhileReloading(t *testing.T) {
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			bubble(t, forebay.Class{Stale: time.Minute}, func(t *testing.T, c *forebay.Cache) {
				o := &origin{took: second}
				f := wrap(t, c, "c", o.load, tagged())
				f.Get(ctx, "a")
				o.write("a")
				if _, err := c.Expire(ctx, target); err != nil {
					t.Fatal(err)
				}
				expect(t, f.Do(ctx, "a"), 0, forebay.StaleHit, forebay.ReasonReloading)
				time.Sleep(2 * second)
				expect(t, f.Do(ctx, "a"), 1, forebay.Hit, forebay.NoReason)
			})
		})
	}
	t.Run("without Stale it loads, and serves the old one only if that fails", func(t *testing.T) {
		bubble(t, forebay.Class{}, func(t *testing.T, c *forebay.Cache) {
			o := &origin{}
			f := wrap(t, c, "c", o.load)
			f.Get(ctx, "a")
			f.Expire(ctx, "a")
			o.fail(errDown)
			expect(t, f.Do(ctx, "a"), 0, forebay.StaleHit, forebay.ReasonLoadFailed)
			o.fail(nil)
			o.write("a")
			expect(t, f.Do(ctx, "a"), 1, forebay.Miss, forebay.ReasonInvalidated)
		})
	})
	t.Run("a strict class takes it for a removal", func(t *testing.T) {
		bubble(t, forebay.Class{Strict: true}, func(t *testing.T, c *forebay.Cache) {
			o := &origin{}
			f := wrap(t, c, "c", o.load)
			f.Get(ctx, "a")
			f.Expire(ctx, "a")
			o.fail(errDown)
			if r := f.Do(ctx, "a"); !errors.Is(r.Err, errDown) {
				t.Errorf("got %d, %v", r.Value, r.Err)
			}
		})
	})
}

func TestInvalidationReachesOnlyItsTarget(t *testing.T) {
	for _, test := range []struct {
		target forebay.Target
		gone   string
	}{
		{forebay.Key("c:org_id=acme,q=,"), "acme"},
		{forebay.Tag("org:acme"), "acme"},
		{forebay.Pattern("c:org_id=acme,*"), "acme"},
		{forebay.Pattern("c:org_id=acme*"), "acme acme2"},
		{forebay.Pattern("*q=,"), "acme acme2 other elsewhere"},
		{forebay.Pattern("c:org_id=other,q=,"), "other"},
		{forebay.InClass("c"), "acme acme2 other"},
		{forebay.InClass("d"), "elsewhere"},
		{forebay.Everything(), "acme acme2 other elsewhere"},
		{forebay.Tag("nobody"), ""},
	} {
		t.Run(test.target.String(), func(t *testing.T) {
			c := open(t, forebay.Options{Classes: []forebay.Class{{Name: "c"}, {Name: "d"}}})
			type query struct{ OrgID, Q string }
			load := func(_ context.Context, q query) (string, error) { return q.OrgID, nil }
			keep := forebay.KeepBy(func(_ context.Context, q query, _ string) forebay.Keep {
				return forebay.Keep{Tags: []string{"org:" + q.OrgID}}
			})
			f, g := wrap(t, c, "c", load, keep), wrap(t, c, "d", load, keep)
			ask := func() (missed []string) {
				for _, org := range []string{"acme", "acme2", "other"} {
					if f.Do(ctx, query{OrgID: org}).Status != forebay.Hit {
						missed = append(missed, org)
					}
				}
				if g.Do(ctx, query{OrgID: "elsewhere"}).Status != forebay.Hit {
					missed = append(missed, "elsewhere")
				}
				return missed
			}
			ask()
			if _, err := c.Invalidate(ctx, test.target); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(ask(), " "); got != test.gone {
				t.Errorf("gone: %q, want %q", got, test.gone)
			}
		})
	}
}

func TestRefusedInvalidations(t *testing.T) {
	c := open(t, forebay.Options{Classes: []forebay.Class{{Name: "c"}, {Name: "p", Private: true}}})
	f := wrap(t, c, "c", (&origin{}).load)
	f.Get(ctx, "a")
	for _, target := range []forebay.Target{
		forebay.Key(""), forebay.Tag(""), forebay.InClass("nobody"), forebay.Pattern(""), forebay.Pattern("p:user=anna,*"),
		forebay.Pattern("p:*anna"), forebay.Pattern("c:#abc*"), forebay.Tag(strings.Repeat("x", 5000)), {Kind: 99}, {Kind: 99, Name: "a"},
	} {
		if _, err := c.Invalidate(ctx, forebay.Key(f.Key("a")), target); !errors.Is(err, forebay.ErrTarget) {
			t.Errorf("%s: got %v", target, err)
		}
	}
	expect(t, f.Do(ctx, "a"), 0, forebay.Hit, forebay.NoReason) // all or nothing
	if _, err := c.Invalidate(ctx, forebay.Pattern("p:*")); err != nil {
		t.Error(err)
	}
}

func TestReceiptsGrow(t *testing.T) {
	c := open(t, forebay.Options{})
	var last shared.ID
	for i := range 100 {
		r, err := c.Invalidate(ctx, forebay.Key(fmt.Sprint(i)), forebay.Tag("t"))
		if err != nil || r.Deferred || r.ID.Compare(last) <= 0 {
			t.Fatalf("receipt %d: %+v, %v after %s", i, r, err, last)
		}
		last = r.ID
	}
	if head := c.Stats().Log.Head.ID; head != last {
		t.Errorf("head %s, want %s", head, last)
	}
}

// What leaves the ledger must not make an old entry valid again.
func TestLedgerBounds(t *testing.T) {
	t.Run("for room", func(t *testing.T) {
		c := open(t, forebay.Options{LedgerSize: 50, Classes: []forebay.Class{{Name: "c"}, {Name: "d"}}})
		o := &origin{}
		f, g := wrap(t, c, "c", o.load, tagged()), wrap(t, c, "d", o.load)
		for _, f := range []*forebay.Func[string, int]{f, g} {
			f.Get(ctx, "a")
		}
		o.write("a")
		keys := []string{"a"} // all at once: nothing but the ledger gets to see the oldest
		for i := range 1000 {
			keys = append(keys, fmt.Sprint("other ", i))
		}
		f.Invalidate(ctx, keys...)
		if r := f.Do(ctx, "a"); r.Value != 1 {
			t.Errorf("a pruned mark made an old entry valid again: %d (%s)", r.Value, r.Status)
		}
		if r := g.Do(ctx, "a"); r.Status != forebay.Hit {
			t.Errorf("keys of one class cost another its entries: %s (%s)", r.Status, r.Reason)
		}
		if n := c.Stats().Log.Targets; n > 52 {
			t.Errorf("%d targets held, want at most 50 and the classes", n)
		}
		for i := range 1000 {
			c.Invalidate(ctx, forebay.Tag(fmt.Sprint("tag ", i)))
		}
		if r := g.Do(ctx, "a"); r.Value != 1 {
			t.Errorf("after the floor rose: %d (%s)", r.Value, r.Status)
		}
	})
	t.Run("patterns", func(t *testing.T) {
		c := open(t, forebay.Options{Classes: []forebay.Class{{Name: "c"}}})
		o := &origin{}
		f := wrap(t, c, "c", o.load)
		f.Get(ctx, "a")
		o.write("a")
		c.Invalidate(ctx, forebay.Pattern("c:a*"))
		for i := range 1000 {
			c.Invalidate(ctx, forebay.Pattern(fmt.Sprintf("c:%d*", i)))
		}
		if r := f.Do(ctx, "a"); r.Value != 1 {
			t.Errorf("got %d (%s)", r.Value, r.Status)
		}
		if n := c.Stats().Log.Targets; n > 300 {
			t.Errorf("%d targets held", n)
		}
	})
	t.Run("by age", func(t *testing.T) {
		bubble(t, forebay.Class{TTL: 72 * time.Hour, RefreshAhead: -1}, func(t *testing.T, c *forebay.Cache) {
			o := &origin{}
			f := wrap(t, c, "c", o.load)
			f.Get(ctx, "a")
			o.write("a")
			f.Invalidate(ctx, "a")
			time.Sleep(71 * time.Hour) // the entry's own time is not up
			for i := range 100 {
				time.Sleep(time.Minute)
				f.Invalidate(ctx, fmt.Sprint(i))
			}
			if r := f.Do(ctx, "a"); r.Value != 1 {
				t.Errorf("got %d (%s)", r.Value, r.Status)
			}
			time.Sleep(100 * time.Hour)
			f.Invalidate(ctx, "one more")
			if n := c.Stats().Log.Targets; n > 1 {
				t.Errorf("%d targets held after their time", n)
			}
		})
	})
}

// TestReadersNeverSeeWhatWasInvalidated lets writers and readers run for real. The writer raises
// the counter, then invalidates; a reader who starts afterwards must not get less.
func TestReadersNeverSeeWhatWasInvalidated(t *testing.T) {
	const keys, rounds = 4, 3000
	c := open(t, forebay.Options{LedgerSize: 8, Classes: []forebay.Class{{Name: "c", TTL: time.Millisecond, Stale: time.Hour}}})
	var counter, promised [keys]atomic.Int64
	f := wrap(t, c, "c", func(_ context.Context, k int) (int64, error) {
		v := counter[k].Load()
		if rand.IntN(4) == 0 {
			time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
		}
		return v, nil
	}, forebay.KeepBy(func(_ context.Context, k int, _ int64) forebay.Keep {
		return forebay.Keep{Tags: []string{fmt.Sprint("k", k)}}
	}))
	var wg sync.WaitGroup
	for k := range keys {
		wg.Go(func() {
			for range rounds {
				v := counter[k].Add(1)
				target := []forebay.Target{forebay.Key(f.Key(k)), forebay.Tag(fmt.Sprint("k", k)), forebay.InClass("c"), forebay.Pattern("c:*"), forebay.Everything()}[rand.IntN(5)]
				if _, err := c.Invalidate(ctx, target); err != nil {
					t.Error(err)
				}
				promised[k].Store(v)
			}
		})
		for range 2 {
			wg.Go(func() {
				for range rounds {
					want := promised[k].Load()
					if got, err := f.Get(ctx, k); err != nil || got < want {
						t.Errorf("key %d: read %d, %v after %d was promised", k, got, err, want)
						return
					}
				}
			})
		}
	}
	wg.Wait()
}

func TestObserverIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var events []string
		c := open(t, forebay.Options{
			Classes: []forebay.Class{{Name: "c", MaxLoads: 1}},
			Observer: forebay.ObserverFunc(func(e forebay.Event) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, fmt.Sprint(e.Kind, " ", e.Key, e.Targets, e.Err))
			}),
		})
		o := &origin{}
		f := wrap(t, c, "c", o.load)
		f.Get(ctx, "a")
		synctest.Wait() // who waits for a load may go on before the observer is told
		f.Get(ctx, "a")
		f.Invalidate(ctx, "a")
		o.fail(errDown)
		f.Get(ctx, "b")
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		want := []string{"store c:a,[] <nil>", "load c:a,[] <nil>", "invalidate [key c:a,] <nil>", "load c:b,[] the origin is down"}
		if strings.Join(events, "\n") != strings.Join(want, "\n") {
			t.Errorf("events %q, want %q", events, want)
		}
	})
}
