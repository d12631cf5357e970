package forebay_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
)

func space(t *testing.T, class forebay.Class) (*forebay.Cache, *forebay.Space[string]) {
	t.Helper()
	c, err := forebay.Open(t.Context(), forebay.Options{Classes: []forebay.Class{class}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := forebay.OpenSpace[string](c, class.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// A load that goes on may take longer than LoadTimeout; one that stands still may not.
func TestAGrowingLoadHasAnIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := space(t, forebay.Class{Name: "a", LoadTimeout: time.Second})
		key := s.Key("k")
		fill := s.Begin(t.Context(), key, forebay.BeginOptions{})
		if must, err := fill.Acquire(true); !must || err != nil {
			t.Fatal(must, err)
		}
		for range 5 {
			fill.Publish("growing")
			time.Sleep(900 * time.Millisecond)
		}
		if fill.Context().Err() != nil || !fill.Commit("whole", forebay.Keep{}) {
			t.Fatalf("a load that goes on was ended: %v", context.Cause(fill.Context()))
		}
		fill.Release()
		if f, ok := s.Lookup(t.Context(), key); !ok || f.Value != "whole" {
			t.Errorf("%v %v", f, ok)
		}

		still := s.Begin(t.Context(), s.Key("still"), forebay.BeginOptions{})
		still.Acquire(true)
		still.Publish("growing")
		time.Sleep(1100 * time.Millisecond)
		if !errors.Is(context.Cause(still.Context()), context.DeadlineExceeded) || still.Commit("late", forebay.Keep{}) {
			t.Error("a load that stands still was not ended")
		}
		still.Release()
		if _, _, err := s.Begin(t.Context(), s.Key("silent"), forebay.BeginOptions{}).Wait(t.Context()); !errors.Is(err, forebay.ErrLoadTimeout) {
			t.Errorf("a load that says nothing: %v", err)
		}
	})
}

// A reader of a growing value has left the fill, and still reads: an invalidation must not end its load.
func TestAPublishedLoadIsNotCancelledByWhoLeaves(t *testing.T) {
	c, s := space(t, forebay.Class{Name: "a"})
	key := s.Key("k")
	fill := s.Begin(t.Context(), key, forebay.BeginOptions{})
	fill.Acquire(true)
	defer fill.Release()
	fill.Publish("growing")
	if _, err := c.Invalidate(t.Context(), forebay.Key(key)); err != nil {
		t.Fatal(err)
	}
	if v, _, err := fill.Wait(t.Context()); v != "growing" || err != nil {
		t.Fatal(v, err)
	}
	if fill.Context().Err() != nil {
		t.Error("it was cancelled")
	}
	if fill.Commit("whole", forebay.Keep{}) {
		t.Error("what was invalidated meanwhile was stored")
	}
}

func TestNeedAnew(t *testing.T) {
	_, s := space(t, forebay.Class{Name: "a"})
	key := s.Key("k")
	first := s.Begin(t.Context(), key, forebay.BeginOptions{})
	first.Acquire(true)
	first.Commit("one", forebay.Keep{})
	first.Release()
	if stored := s.Begin(t.Context(), key, forebay.BeginOptions{}); stored.Leads() {
		t.Error("what is stored would do")
	}
	again := s.Begin(t.Context(), key, forebay.BeginOptions{IgnoreStored: true})
	if !again.Leads() {
		t.Fatal("nothing stored will do")
	}
	again.Abandon(nil)
	if _, _, err := again.Wait(t.Context()); err != nil {
		t.Errorf("no failure: %v", err)
	}
}

func TestPrivateKeys(t *testing.T) {
	_, s := space(t, forebay.Class{Name: "a"})
	a, b := s.PrivateKey("part", "alice"), s.PrivateKey("part", "bob")
	if a == b || a == s.PrivateKey("par", "talice") || a != s.PrivateKey("part", "alice") {
		t.Errorf("%q %q", a, b)
	}
}
