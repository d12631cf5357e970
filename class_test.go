package forebay_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
)

// Classes change while the cache is open, and what is stored stays.
func TestSetClasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := forebay.Open(t.Context(), forebay.Options{Classes: []forebay.Class{{Name: "a", TTL: time.Minute}, {Name: "b"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		calls := 0
		f, err := forebay.Wrap(c, "a", func(_ context.Context, p string) (int, error) { calls++; return calls, nil })
		if err != nil {
			t.Fatal(err)
		}
		f.Get(t.Context(), "x")
		if err := c.SetClasses([]forebay.Class{{Name: "a", TTL: time.Hour}, {Name: "c", TTL: 48 * time.Hour}}); err != nil {
			t.Fatal(err)
		}
		if v, _ := f.Get(t.Context(), "x"); v != 1 {
			t.Errorf("what was stored is gone: %d", v)
		}
		time.Sleep(2 * time.Minute)
		if v, _ := f.Get(t.Context(), "x"); v != 2 {
			t.Errorf("what was stored has a new life: %d", v)
		}
		time.Sleep(30 * time.Minute)
		if v, _ := f.Get(t.Context(), "x"); v != 2 {
			t.Errorf("the new TTL does not count: %d", v)
		}
		if _, err := forebay.Wrap(c, "b", func(context.Context, string) (int, error) { return 0, nil }); err == nil || !strings.Contains(err.Error(), "declared: a, c") {
			t.Errorf("a class that is gone: %v", err)
		}
		g, err := forebay.Wrap(c, "c", func(context.Context, string) (int, error) { return 7, nil })
		if err != nil {
			t.Fatal(err)
		}
		if v, err := g.Get(t.Context(), "y"); v != 7 || err != nil {
			t.Error(v, err)
		}
		if names := classNames(c); names != "a c" {
			t.Error(names)
		}
		// a is declared no more: what was wrapped in it serves, and comes back with its figures.
		if err := c.SetClasses([]forebay.Class{{Name: "c"}}); err != nil {
			t.Fatal(err)
		}
		if v, err := f.Get(t.Context(), "x"); v != 2 || err != nil || classNames(c) != "c" {
			t.Error(v, err, classNames(c))
		}
		if err := c.SetClasses([]forebay.Class{{Name: "a"}, {Name: "c"}}); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats().Classes[0]; s.Class.Name != "a" || s.Hits() != 3 || s.Loads != 2 || s.Class.TTL != 5*time.Minute {
			t.Errorf("%+v", s)
		}
		for _, wrong := range [][]forebay.Class{{{Name: "a", Schema: 1}}, {{Name: "a", Private: true}}, {{Name: "a", Strict: true}}, {{Name: "A"}}, {{Name: "a"}, {Name: "a"}}} {
			if err := c.SetClasses(wrong); !errors.Is(err, forebay.ErrConfig) || classNames(c) != "a c" {
				t.Errorf("%+v: %v, %s", wrong, err, classNames(c))
			}
		}
	})
}

func classNames(c *forebay.Cache) string {
	var names []string
	for _, s := range c.Stats().Classes {
		names = append(names, s.Class.Name)
	}
	return strings.Join(names, " ")
}

// Loads that run give back the slot that they have, whatever the bound is now.
func TestSetClassesWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := forebay.Open(t.Context(), forebay.Options{Classes: []forebay.Class{{Name: "a", MaxLoads: 2, LoadTimeout: time.Hour}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		end := make(chan bool)
		f, err := forebay.Wrap(c, "a", func(context.Context, string) (int, error) { <-end; return 1, nil })
		if err != nil {
			t.Fatal(err)
		}
		ask := func(key string) { go f.Get(context.WithoutCancel(t.Context()), key) }
		ask("1")
		ask("2")
		synctest.Wait()
		for _, n := range []int{1, -1, 3, 1} {
			if err := c.SetClasses([]forebay.Class{{Name: "a", MaxLoads: n, LoadTimeout: -1}}); err != nil {
				t.Fatal(err)
			}
		}
		ask("3")
		synctest.Wait()
		if n := c.Stats().Classes[0].Loading; n != 3 {
			t.Errorf("%d loads run", n)
		}
		ask("4")
		synctest.Wait()
		if n := c.Stats().Classes[0].Loading; n != 3 {
			t.Errorf("%d loads run: the new bound is 1", n)
		}
		for range 4 {
			end <- true
		}
		synctest.Wait()
		if n := c.Stats().Classes[0].Loading; n != 0 {
			t.Errorf("%d loads run", n)
		}
	})
}

// A load that waits for its turn through a change gets it, and gives back what it got.
func TestSetClassesWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		class := forebay.Class{Name: "a", MaxLoads: 1, LoadTimeout: time.Hour}
		c, err := forebay.Open(t.Context(), forebay.Options{Classes: []forebay.Class{class}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		end := make(chan bool)
		f, err := forebay.Wrap(c, "a", func(context.Context, string) (int, error) { <-end; return 1, nil })
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"1", "2"} {
			go f.Get(context.WithoutCancel(t.Context()), key)
			synctest.Wait()
		}
		class.MaxLoads = 5
		if err := c.SetClasses([]forebay.Class{class}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			end <- true
			synctest.Wait()
		}
		if s := c.Stats().Classes[0]; s.Loading != 0 || s.LoadsEnded != 2 {
			t.Errorf("%d loads run, %d have ended", s.Loading, s.LoadsEnded)
		}
	})
}
