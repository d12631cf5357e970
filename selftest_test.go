package forebay_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A faulty tier answers, and does not do what it is asked.
type faulty struct {
	shared.Tier
	fault atomic.Value // string
}

func (f *faulty) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	switch f.fault.Load() {
	case "swallows":
		return nil
	case "full":
		return errFull
	case "mangles":
		value = append([]byte(nil), value...)
		value[len(value)-1] ^= 1
	}
	return f.Tier.Set(ctx, key, value, ttl)
}

type full struct{}

func (full) Error() string { return "OOM command not allowed" }

var errFull = full{}

func TestSelfTest(t *testing.T) {
	for fault, want := range map[string]string{
		"":         "",
		"swallows": "a value that was just stored is gone",
		"full":     "a value cannot be stored: OOM",
		"mangles":  "a value comes back changed",
	} {
		t.Run("tier "+fault, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tier := &faulty{Tier: shared.NewMemory()}
				events := 0
				c, err := forebay.Open(t.Context(), forebay.Options{Shared: tier, Observer: forebay.ObserverFunc(func(forebay.Event) { events++ })})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				time.Sleep(4 * time.Second)
				if s := c.Stats(); s.Shared.SelfTest != "" || s.Mode != forebay.TwoTier {
					t.Fatalf("healthy: %q, %s", s.Shared.SelfTest, s.Mode)
				}
				tier.fault.Store(fault)
				time.Sleep(10 * time.Second)
				s := c.Stats()
				if !strings.HasPrefix(s.Shared.SelfTest, want) || (want == "") != (s.Shared.SelfTest == "") || (s.Mode == forebay.Degraded) != (want != "") {
					t.Errorf("%q, %s", s.Shared.SelfTest, s.Mode)
				}
				tier.fault.Store("")
				time.Sleep(4 * time.Second)
				if s := c.Stats(); s.Shared.SelfTest != "" || s.Mode != forebay.TwoTier {
					t.Errorf("mended: %q, %s", s.Shared.SelfTest, s.Mode)
				}
				if events > 0 {
					t.Errorf("observers heard of %d of its invalidations", events)
				}
			})
		})
	}
}

// TestARefusedWriteIsSaidSoon: the tier answers, so nothing else would notice before the next self-test.
func TestARefusedWriteIsSaidSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := &faulty{Tier: shared.NewMemory()}
		c, err := forebay.Open(t.Context(), forebay.Options{Shared: tier, Classes: []forebay.Class{{Name: "k"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f, err := forebay.Wrap(c, "k", func(context.Context, int) (int, error) { return 1, nil })
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second) // the self-test has just run
		tier.fault.Store("full")
		if _, err := f.Get(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s := c.Stats(); s.Mode != forebay.Degraded {
			t.Errorf("%s, a second after a write was refused", s.Mode)
		}
		tier.fault.Store("")
		time.Sleep(time.Second)
		if s := c.Stats(); s.Mode != forebay.TwoTier {
			t.Errorf("%s, a second after it was mended: %s", s.Mode, s.Shared.SelfTest)
		}
	})
}

func TestWhyNothingIsStored(t *testing.T) {
	c, err := forebay.Open(t.Context(), forebay.Options{Classes: []forebay.Class{{Name: "off", TTL: -1, StaleIfError: -1}, {Name: "on"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, name := range []string{"off", "on"} {
		f, err := forebay.Wrap(c, name, func(_ context.Context, n int) (int, error) { return n, nil })
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			f.Get(t.Context(), i)
		}
	}
	s := c.Stats()
	if off, on := s.Classes[0], s.Classes[1]; off.Stored != 0 || off.NotStored["its time to live is 0"] != 3 || on.Stored != 3 || len(on.NotStored) != 0 {
		t.Errorf("off: %d %v, on: %d %v", off.Stored, off.NotStored, on.Stored, on.NotStored)
	}
}
