package redis_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/redis"
	"github.com/forebay-cache/forebay/shared"
	"github.com/forebay-cache/forebay/shared/sharedtest"
)

func clusterURL(servers []*redistest.Server) string {
	return fmt.Sprintf("redis://%s,%s?cluster=true", servers[0].Addr(), servers[1].Addr())
}

// owner is the master that has the slot of a key.
func owner(t *testing.T, masters []*redistest.Server, key string) int {
	t.Helper()
	return redistest.SlotOf(masters[0], key) * len(masters) / redistest.Slots
}

func TestCluster(t *testing.T) {
	t.Parallel()
	const masters = 3
	servers := redistest.Cluster(t, masters)
	url := clusterURL(servers)
	t.Run("contract", func(t *testing.T) {
		n := 0
		sharedtest.Run(t, func(t *testing.T) shared.Tier {
			n++
			return open(t, redis.Options{URL: url, Budget: 10 * time.Second, Namespace: fmt.Sprintf("test-%d-%d", time.Now().UnixNano(), n)})
		})
	})
	o := &shop{}
	a, b := start(t, url, o), start(t, url, o)
	a.twoTier()
	b.twoTier()
	t.Run("values are on all servers, and shared", func(t *testing.T) {
		for i := range 30 {
			get(t, a.loose, fmt.Sprint("s", i))
		}
		a.settled()
		before := o.loads.Load()
		for i := range 30 {
			get(t, b.loose, fmt.Sprint("s", i))
		}
		if loads := o.loads.Load() - before; loads > 3 {
			t.Errorf("%d loads of what the other node has stored", loads)
		}
	})
	t.Run("strict reads see what the other has invalidated", func(t *testing.T) {
		for i := range 50 {
			v := o.write("k")
			a.invalidate(forebay.Tag("tag-k"))
			if got := get(t, b.strict, "k"); got != v {
				t.Fatalf("%d: %d, want %d", i, got, v)
			}
		}
	})
	at := owner(t, servers[:masters], "forebay:log")
	t.Run("the master of the log is killed", func(t *testing.T) {
		servers[at].Kill()
		for range 20 { // while there is none
			v := o.write("k")
			a.invalidate(forebay.Tag("tag-k"))
			if got := get(t, a.strict, "k"); got != v {
				t.Fatalf("its own: %d, want %d", got, v)
			}
		}
		a.twoTier()
		b.twoTier()
		v := o.write("k")
		if r := a.invalidate(forebay.Tag("tag-k")); r.Deferred {
			t.Error("the new master takes no invalidation")
		}
		if got := get(t, b.strict, "k"); got != v {
			t.Errorf("afterwards: %d, want %d", got, v)
		}
	})
	t.Run("a master of values is killed", func(t *testing.T) {
		servers[(at+1)%masters].Kill()
		said := false
		for i := range 60 {
			v := o.write(fmt.Sprint("s", i%30))
			a.invalidate(forebay.Tag(fmt.Sprint("tag-s", i%30)))
			if got := get(t, b.strict, fmt.Sprint("s", i%30)); got != v {
				t.Fatalf("%d, want %d", got, v)
			}
			said = said || b.cache.Stats().Mode == forebay.Degraded
		}
		if !said {
			t.Error("nothing was said of values that cannot be reached")
		}
	})
	t.Run("the log's servers are all lost, and come back empty", func(t *testing.T) {
		servers[at+masters].Kill() // the replica that had become the master
		for range 20 {
			v := o.write("k")
			a.invalidate(forebay.Tag("tag-k"))
			if got := get(t, a.strict, "k"); got != v {
				t.Fatalf("its own: %d, want %d", got, v)
			}
		}
		eventually(t, 20*time.Second, "it is said", func() bool { return a.cache.Stats().Mode == forebay.Degraded })
		servers[at].Restart()
		servers[at+masters].Restart()
		a.twoTier()
		b.twoTier()
		v := o.write("k")
		a.invalidate(forebay.Tag("tag-k"))
		eventually(t, 20*time.Second, "everybody sees what everybody invalidates", func() bool { return get(t, b.strict, "k") == v })
	})
}

// A slot moves, with the log in it, while it is written and read.
func TestClusterMovesTheLog(t *testing.T) {
	t.Parallel()
	const masters = 2
	servers := redistest.Cluster(t, masters)
	o := &shop{}
	url := clusterURL(servers)
	a, b := start(t, url, o), start(t, url, o)
	a.twoTier()
	b.twoTier()
	slot := strconv.Itoa(redistest.SlotOf(servers[0], "forebay:log"))
	from := owner(t, servers[:masters], "forebay:log")
	to := (from + 1) % masters
	move := map[int]func(){
		20: func() {
			servers[to].Do("CLUSTER", "SETSLOT", slot, "IMPORTING", servers[from].Do("CLUSTER", "MYID"))
			servers[from].Do("CLUSTER", "SETSLOT", slot, "MIGRATING", servers[to].Do("CLUSTER", "MYID"))
		},
		40: func() {
			servers[from].Do("MIGRATE", "127.0.0.1", strconv.Itoa(servers[to].Port), "forebay:log", "0", "5000")
		},
		60: func() {
			for _, s := range servers[:masters] {
				s.Do("CLUSTER", "SETSLOT", slot, "NODE", servers[to].Do("CLUSTER", "MYID"))
			}
		},
	}
	for i := range 400 {
		if move[i] != nil {
			move[i]()
		}
		v := o.write("k")
		r := a.invalidate(forebay.Tag("tag-k"))
		if got := get(t, a.strict, "k"); got != v {
			t.Fatalf("%d: its own: %d, want %d", i, got, v)
		}
		if got := get(t, b.strict, "k"); got != v && !r.Deferred {
			t.Fatalf("%d: %d, want %d", i, got, v)
		}
		pause := time.NewTimer(5 * time.Millisecond)
		<-pause.C
	}
	a.twoTier()
	b.twoTier()
	if n := servers[to].Do("EXISTS", "forebay:log"); n != ":1" {
		t.Errorf("the log did not move: %s", n)
	}
}
