package certstore_test

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/certstore"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/redis"
	"github.com/forebay-cache/forebay/shared"
)

// each runs a test on a tier in memory and on a server.
func each(t *testing.T, run func(t *testing.T, tier shared.Tier)) {
	t.Run("memory", func(t *testing.T) { run(t, shared.NewMemory()) })
	t.Run("redis", func(t *testing.T) {
		tier, err := redis.Open(t.Context(), redis.Options{URL: redistest.Start(t).URL()})
		if err != nil {
			t.Fatal(err)
		}
		defer tier.Close()
		run(t, tier)
	})
}

func open(t *testing.T, tier shared.Tier, secret string) *certstore.Store {
	t.Helper()
	s, err := certstore.New(tier, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	each(t, func(t *testing.T, tier shared.Tier) {
		ctx := t.Context()
		a, b := open(t, tier, "secret"), open(t, tier, "secret")
		for key, value := range map[string]string{"sites/a/a.key": "private", "sites/a/a.crt": "public", "sites/b/b.crt": "other", "account": "x"} {
			ok(t, a.Store(ctx, key, []byte(value)))
		}
		if v, err := b.Load(ctx, "sites/a/a.key"); err != nil || string(v) != "private" {
			t.Errorf("another process loads %q, %v", v, err)
		}
		if raw, _ := tier.Get(ctx, "~certificates:sites/a/a.key"); bytes.Contains(raw, []byte("private")) || len(raw) == 0 {
			t.Errorf("the tier holds the key in plain text: %q", raw)
		}
		if names, err := b.List(ctx, "sites", true); err != nil || !slices.Equal(names, []string{"sites/a/a.crt", "sites/a/a.key", "sites/b/b.crt"}) {
			t.Errorf("all: %v, %v", names, err)
		}
		if names, err := b.List(ctx, "sites", false); err != nil || !slices.Equal(names, []string{"sites/a", "sites/b"}) {
			t.Errorf("below one folder: %v, %v", names, err)
		}
		if info, err := b.Stat(ctx, "sites/a/a.crt"); err != nil || info.Size != 6 || !info.IsTerminal || time.Since(info.Modified) > time.Minute {
			t.Errorf("%+v, %v", info, err)
		}
		if !b.Exists(ctx, "sites/a") || b.Exists(ctx, "sites/c") {
			t.Error("a folder is there where something is in it, and only then")
		}
		ok(t, b.Delete(ctx, "sites/a"))
		ok(t, b.Delete(ctx, "nothing"))
		for _, gone := range []string{"sites/a/a.key", "sites/a/a.crt", "never"} {
			if _, err := a.Load(ctx, gone); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", gone, err)
			}
		}
		if _, err := open(t, tier, "another").Load(ctx, "account"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("with another secret: %v", err)
		}
		if raw, _ := tier.Get(ctx, "~certificates:account"); tier.Set(ctx, "~certificates:sites/b/b.crt", raw, 0) == nil {
			if _, err := a.Load(ctx, "sites/b/b.crt"); err == nil {
				t.Error("a value stands in another's place")
			}
		}
	})
}

func TestSecretIsNeeded(t *testing.T) {
	if _, err := certstore.New(shared.NewMemory(), nil); err == nil {
		t.Error("keys are stored without encryption")
	}
}

func TestLocks(t *testing.T) {
	each(t, func(t *testing.T, tier shared.Tier) {
		var inside, sum atomic.Int64
		var all sync.WaitGroup
		for range 6 {
			s := open(t, tier, "secret")
			all.Go(func() {
				for range 3 {
					if err := s.Lock(t.Context(), "issue"); err != nil {
						t.Error(err)
						return
					}
					if inside.Add(1) != 1 {
						t.Error("two hold the lock")
					}
					sum.Add(1)
					inside.Add(-1)
					if err := s.Unlock(t.Context(), "issue"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if sum.Load() != 18 {
			t.Error(sum.Load())
		}
		if open(t, tier, "secret").Unlock(t.Context(), "issue") == nil {
			t.Error("a lock that nobody holds is given back")
		}
	})
}
