package redis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// The server's data goes back in time within one run (rule 12): what was acknowledged counts all the same.
func TestTimeTravel(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		backup func(t *testing.T, s *redistest.Server)
		travel func(t *testing.T, s *redistest.Server)
	}{
		{"a snapshot is loaded again", func(t *testing.T, s *redistest.Server) { s.Do("SAVE") }, func(t *testing.T, s *redistest.Server) {
			s.Do("DEBUG", "RELOAD", "NOSAVE")
		}},
		{"the newest record is deleted", func(*testing.T, *redistest.Server) {}, func(t *testing.T, s *redistest.Server) {
			const script = `local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1) return redis.call('XDEL', KEYS[1], last[1][1])`
			if n := s.Do("EVAL", script, "1", "forebay:log"); n != ":1" {
				t.Fatalf("%q records were deleted", n)
			}
		}},
		{"a replica's data is put back", func(t *testing.T, s *redistest.Server) {
			backup = redistest.Start(t)
			backup.Do("REPLICAOF", "127.0.0.1", port(s))
			eventually(t, 10*time.Second, "the backup is there", func() bool {
				return strings.Contains(backup.Do("INFO", "replication"), "master_link_status:up")
			})
			backup.Do("REPLICAOF", "NO", "ONE")
		}, func(t *testing.T, s *redistest.Server) {
			s.Do("REPLICAOF", "127.0.0.1", port(backup))
			eventually(t, 10*time.Second, "the backup is put back", func() bool {
				return strings.Contains(s.Do("INFO", "replication"), "master_link_status:up")
			})
			s.Do("REPLICAOF", "NO", "ONE")
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, o := redistest.Start(t, "--enable-debug-command", "yes", "--dbfilename", "dump.rdb"), &shop{}
			a, b := start(t, s.URL(), o), start(t, s.URL(), o)
			get(t, a.strict, "k")
			get(t, b.strict, "k")
			get(t, a.loose, "k")
			get(t, b.loose, "k")
			a.settled()
			test.backup(t, s)
			want := o.write("k")
			if r := a.invalidate(forebay.Tag("tag-k")); r.Deferred {
				t.Fatal("deferred")
			}
			test.travel(t, s)
			for _, n := range []*node{a, b} {
				eventually(t, 15*time.Second, "the node is joined again", func() bool { return n.cache.Stats().Mode == forebay.TwoTier })
				if v := get(t, n.strict, "k"); v != want {
					t.Errorf("a strict read: %d, want %d", v, want)
				}
			}
			eventually(t, 5*time.Second, "other reads follow", func() bool { return get(t, a.loose, "k") == want && get(t, b.loose, "k") == want })
		})
	}
}

var backup *redistest.Server

func port(s *redistest.Server) string {
	_, port, _ := strings.Cut(s.Addr(), ":")
	return port
}

// A database is swapped away and back: the log that comes back is one that the nodes have left.
func TestSwappedThereAndBack(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	a, b := start(t, s.URL(), o), start(t, s.URL(), o)
	get(t, a.loose, "k")
	a.settled()
	get(t, b.loose, "k")
	s.Do("SWAPDB", "0", "1")
	want := o.write("k")
	eventually(t, 10*time.Second, "it is acknowledged in the other database", func() bool { return !a.invalidate(forebay.Tag("tag-k")).Deferred })
	get(t, b.strict, "other") // it has read the other log
	a.cache.Close()           // who had it acknowledged is gone: nobody appends it again
	s.Do("SWAPDB", "0", "1")
	eventually(t, 10*time.Second, "the other node is joined", func() bool {
		return get(t, b.strict, "another") >= 0 && b.cache.Stats().Mode == forebay.TwoTier && b.cache.Stats().Log.Confirmed
	})
	if v := get(t, b.loose, "k"); v != want {
		t.Errorf("%d, want %d", v, want)
	}
	if v := get(t, b.strict, "k"); v != want {
		t.Errorf("strict: %d, want %d", v, want)
	}
}

// Records that nobody can read count as everything, and the log goes on.
func TestForeignRecords(t *testing.T) {
	t.Parallel()
	for name, add := range map[string][]string{
		"an invalid target":    {"XADD", "forebay:log", "*", "t", "x", "m", "0"},
		"a foreign field":      {"XADD", "forebay:log", "*", "hello", "world"},
		"the last possible ID": {"XADD", "forebay:log", "18446744073709551615-18446744073709551615", "t", "x", "m", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			s, o := redistest.Start(t), &shop{}
			a, b := start(t, s.URL(), o), start(t, s.URL(), o)
			get(t, a.loose, "k")
			get(t, b.strict, "k")
			s.Do(add...)
			want := o.write("k")
			eventually(t, 10*time.Second, "invalidations are acknowledged", func() bool { return !a.invalidate(forebay.Tag("tag-k")).Deferred })
			eventually(t, 10*time.Second, "nodes are joined", func() bool {
				return a.cache.Stats().Mode == forebay.TwoTier && b.cache.Stats().Mode == forebay.TwoTier
			})
			if v := get(t, b.strict, "k"); v != want {
				t.Errorf("%d, want %d", v, want)
			}
		})
	}
}
