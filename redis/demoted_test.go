package redis_test

import (
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// A master is made a replica, and the nodes' connections stay. What it has is old; a strict read does not take
// it for the latest.
func TestADemotedMaster(t *testing.T) {
	old, promoted := pair(t)
	proxy := redistest.NewProxy(t, old)
	o := &shop{}
	a, b := start(t, old.URL(), o), start(t, proxy.URL(), o)
	o.write("k")
	a.invalidate(forebay.Tag("tag-k"))
	get(t, a.strict, "k")
	get(t, a.loose, "k")
	a.settled()
	replicated(t, entryKey("strict:k,"), promoted)
	old.Do("REPLICAOF", "127.0.0.1", "1") // nobody listens there: its link is down
	promoted.Do("REPLICAOF", "NO", "ONE")
	proxy.Switch(promoted)
	b.twoTier()
	v := o.write("k")
	eventually(t, 10*time.Second, "the new master acknowledges", func() bool { return !b.invalidate(forebay.Tag("tag-k")).Deferred })
	if got := get(t, a.strict, "k"); got != v {
		t.Errorf("a node of the old master reads %d, want %d", got, v)
	}
	eventually(t, 10*time.Second, "it says that the server is a replica", func() bool { return a.cache.Stats().Mode == forebay.Degraded })
}
