package admin_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
)

// A class that never hits is warned of, with the likely cause.
func TestClassesThatNeverHit(t *testing.T) {
	c, err := forebay.Open(t.Context(), forebay.Options{Classes: []forebay.Class{{Name: "once"}, {Name: "off", TTL: -1, StaleIfError: -1}, {Name: "failing"}, {Name: "good"}, {Name: "rare"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	load := func(_ context.Context, n int) (int, error) { return n, nil }
	ask := func(class string, times int, key func(int) int, load func(context.Context, int) (int, error)) {
		f, err := forebay.Wrap(c, class, load)
		if err != nil {
			t.Fatal(err)
		}
		for i := range times {
			f.Get(t.Context(), key(i))
		}
	}
	each, one := func(i int) int { return i }, func(int) int { return 1 }
	ask("once", 300, each, load)
	ask("off", 300, one, load)
	ask("failing", 300, one, func(context.Context, int) (int, error) { return 0, errors.New("down") })
	ask("good", 300, one, load)
	ask("rare", 100, each, load)
	want := []string{"class failing: no hit in 300 look-ups, because nothing was stored: every load failed",
		"class off: no hit in 300 look-ups, because nothing was stored: its time to live is 0 (300 times)",
		"class once: no hit in 300 look-ups: each key was asked for once; is something in the key that is new in every request?"}
	if h := admin.New(c, admin.Options{}).Health(t.Context()); strings.Join(h.Warnings, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", strings.Join(h.Warnings, "\n"))
	}
}
