package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/redis"
)

// The sentinels make a replica the master: the nodes follow, serve nothing from before, and lose no
// invalidation.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := redistest.Start(t, "--replicaof", fmt.Sprintf("127.0.0.1 %d", master.Port))
	eventually(t, 20*time.Second, "the replica is in step", func() bool {
		return strings.Contains(replica.Do("INFO", "replication"), "master_link_status:up")
	})
	sentinel := master.Sentinel("main")
	url := "redis+sentinel://127.0.0.1:1," + sentinel + "/main" // the first one is away
	o := &shop{}
	a, b := start(t, url, o), start(t, url, o)
	a.twoTier()
	b.twoTier()
	o.write("k")
	get(t, a.strict, "k")
	eventually(t, 20*time.Second, "the sentinel knows the replica", func() bool {
		return strings.Contains(replica.Do("INFO", "replication"), "master_link_status:up") && sentinelKnows(t, sentinel)
	})

	o.write("k")
	a.invalidate(forebay.Key(a.strict.Key("k")))
	master.Kill()
	if v := get(t, b.strict, "k"); v != 2 {
		t.Errorf("while there is no master: %d", v)
	}
	v := o.write("k")
	a.invalidate(forebay.Key(a.strict.Key("k"))) // deferred, or told to the new one
	if got := get(t, a.strict, "k"); got != v {
		t.Errorf("its own: %d, want %d", got, v)
	}
	a.twoTier()
	b.twoTier()
	if addr := replica.Do("INFO", "replication"); !strings.Contains(addr, "role:master") {
		t.Errorf("the replica is not a master: %s", addr)
	}
	if got := get(t, b.strict, "k"); got != v {
		t.Errorf("after the failover: %d, want %d", got, v)
	}
	v = o.write("k")
	if r := a.invalidate(forebay.Tag("tag-k")); r.Deferred {
		t.Error("the new master takes no invalidation")
	}
	if got := get(t, b.strict, "k"); got != v {
		t.Errorf("by the new master: %d, want %d", got, v)
	}
}

func sentinelKnows(t *testing.T, addr string) bool {
	t.Helper()
	return redistest.Ask(t, addr, "SENTINEL", "REPLICAS", "main") != "*0"
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"redis+sentinel://", "redis+sentinel://host", "redis+sentinel://host/", "redis+sentinel://host/main/0/1", "nonsense://host", "redis+sentinel://host/main/x"} {
		if tier, err := redis.Open(t.Context(), redis.Options{URL: url, Logger: quiet}); err == nil {
			tier.Close()
			t.Errorf("%s was taken", url)
		}
	}
	tier, err := redis.Open(t.Context(), redis.Options{URL: "redis+sentinel://user:secret@127.0.0.1:1/main", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer tier.Close()
	if p := tier.State().Problem; !strings.Contains(p, "127.0.0.1:1") || strings.Contains(p, "secret") {
		t.Errorf("%q", p)
	}
}
