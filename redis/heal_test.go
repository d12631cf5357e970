package redis_test

import (
	"flag"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

var deferrals = flag.Int("deferrals", 5_000, "how many invalidations TestHealing defers")

// Very many invalidations were deferred, with a file. When the server is back they reach everybody soon.
func TestHealing(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	a := start(t, s.URL(), o, func(opt *forebay.Options) {
		opt.Journal, opt.InvalidateFor = filepath.Join(t.TempDir(), "journal"), -1
	})
	b := start(t, s.URL(), o)
	for i := range 10 {
		get(t, b.loose, fmt.Sprint("k", i)) // is in b's near tier
	}
	s.Kill()
	begun := time.Now()
	var writers sync.WaitGroup
	for w := range 100 {
		writers.Go(func() {
			for i := w; i < *deferrals; i += 100 {
				if r, err := a.cache.Invalidate(ctx, forebay.Key(a.loose.Key(fmt.Sprint("k", i)))); err != nil || !r.Deferred {
					t.Error(r, err)
				}
			}
		})
	}
	writers.Wait()
	if n := a.cache.Stats().Shared.Deferred; n != int64(*deferrals) {
		t.Fatalf("%d are waiting", n)
	}
	t.Logf("%d deferred in %s", *deferrals, time.Since(begun).Round(time.Millisecond))
	versions := map[string]int{}
	for i := range 10 {
		key := fmt.Sprint("k", i)
		versions[key] = o.write(key)
	}
	s.Restart()
	begun = time.Now()
	eventually(t, time.Minute, "the journal is empty", func() bool { return a.cache.Stats().Shared.Deferred == 0 })
	t.Logf("healed in %s", time.Since(begun).Round(time.Millisecond))
	for key, v := range versions {
		eventually(t, 10*time.Second, "the other node knows "+key, func() bool { return get(t, b.loose, key) == v })
	}
}
