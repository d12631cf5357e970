package forebaytest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/forebaytest"
)

// A users is what a program has of its own: a read with a cache in front of it, and a write.
type users struct {
	stored map[int]string
	cache  *forebay.Cache
	byID   *forebay.Func[int, string]
}

func newUsers(t testing.TB, c *forebay.Cache, stored map[int]string) *users {
	t.Helper()
	u := &users{stored: stored, cache: c}
	var err error
	if u.byID, err = forebay.Wrap(c, "users", func(_ context.Context, id int) (string, error) { return u.stored[id], nil }); err != nil {
		t.Fatal(err)
	}
	return u
}

func (u *users) rename(ctx context.Context, id int, name string) error {
	u.stored[id] = name
	_, err := u.byID.Invalidate(ctx, id)
	return err
}

func TestAWriteInvalidatesARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, stored := forebaytest.Nodes(t, 2, forebay.Options{}), map[int]string{7: "Anna"}
		here, there := newUsers(t, nodes[0], stored), newUsers(t, nodes[1], stored)
		there.byID.Get(t.Context(), 7)

		here.rename(t.Context(), 7, "Annette")
		time.Sleep(time.Second) // of the bubble: the other node hears of it
		if got, _ := there.byID.Get(t.Context(), 7); got != "Annette" {
			t.Errorf("the other node says %s", got)
		}
	})
}

func TestTimePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &forebaytest.Recorder{}
		c := forebaytest.Open(t, forebay.Options{Observer: told, Classes: []forebay.Class{{Name: "users", TTL: time.Hour}}})
		u := newUsers(t, c, map[int]string{7: "Anna"})
		u.byID.Get(t.Context(), 7)
		time.Sleep(30 * time.Minute)
		u.byID.Get(t.Context(), 7)
		if n := told.Loads("users"); n != 1 {
			t.Errorf("%d loads in half an hour", n)
		}
		time.Sleep(31 * time.Minute)
		u.byID.Get(t.Context(), 7)
		if n := told.Loads("users"); n != 2 {
			t.Errorf("%d loads in an hour", n)
		}
		if stored := told.Events(forebay.EventStore); len(stored) != 2 || len(told.Events()) < 4 {
			t.Errorf("%d stored of %d events", len(stored), len(told.Events()))
		}
	})
}

// What a developer has switched off for the program is on for its tests.
func TestOffIsForPrograms(t *testing.T) {
	t.Setenv("FOREBAY_OFF", "1")
	if forebaytest.Open(t, forebay.Options{}).Off() {
		t.Error("the cache of a test is off")
	}
}
