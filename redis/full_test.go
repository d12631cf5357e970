package redis_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// A full server is said to be full for as long as it is, also while an invalidation that it has refused keeps the
// tier from being read; and not a moment longer.
func TestAFullServerIsSaidAsLongAsItLasts(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := start(t, s.URL(), &shop{}, func(o *forebay.Options) { o.SelfTest, o.InvalidateFor = 50*time.Millisecond, -1 })
	n.twoTier()
	usable := func() (bool, string) { return n.cache.Stats().Shared.Usable() }
	s.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	s.Do("CONFIG", "SET", "maxmemory", "100000")
	eventually(t, 10*time.Second, "it is said", func() bool { ok, why := usable(); return !ok && strings.Contains(why, "OOM") })
	if r := n.invalidate(forebay.Tag("x")); !r.Deferred {
		t.Error("the full server has taken it")
	}
	tested := refusals(s)
	eventually(t, 10*time.Second, "it is tested five times more", func() bool {
		if ok, why := usable(); ok || !strings.Contains(why, "OOM") {
			t.Errorf("usable %v: %q", ok, why)
			return true
		}
		return refusals(s) >= tested+5
	})
	if why := n.cache.Stats().Log.Refused; !strings.Contains(why, "OOM") {
		t.Errorf("the log's refusal is %q", why)
	}
	s.Do("CONFIG", "SET", "maxmemory", "0")
	eventually(t, 10*time.Second, "it is well again", func() bool { ok, _ := usable(); return ok && n.cache.Stats().Shared.Deferred == 0 })
	if s := n.cache.Stats(); s.Log.Refused != "" || s.Mode != forebay.TwoTier {
		t.Errorf("%q, %s", s.Log.Refused, s.Mode)
	}
}

// refusals is how many writes the server has refused for want of memory.
func refusals(s *redistest.Server) (n int) {
	for line := range strings.Lines(s.Do("INFO", "errorstats")) {
		if _, count, ok := strings.Cut(line, "errorstat_OOM:count="); ok {
			n, _ = strconv.Atoi(strings.TrimSpace(count))
		}
	}
	return n
}
