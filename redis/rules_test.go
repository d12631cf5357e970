package redis_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/shared"
)

// The rules of the log (docs/log.md), each with the interleaving that breaks a cache without it, on
// real servers.

func (n *node) twoTier() {
	n.t.Helper()
	eventually(n.t, 15*time.Second, "two-tier", func() bool { return n.cache.Stats().Mode == forebay.TwoTier })
}

// pair starts a master and a replica that has caught up.
func pair(t *testing.T) (master, replica *redistest.Server) {
	t.Helper()
	master = redistest.Start(t, "--repl-diskless-sync-delay", "0")
	replica = redistest.Start(t, "--replicaof", fmt.Sprintf("127.0.0.1 %d", master.Port), "--repl-diskless-sync-delay", "0")
	eventually(t, 15*time.Second, "the replica is connected", func() bool {
		return strings.Contains(replica.Do("INFO", "replication"), "master_link_status:up")
	})
	return master, replica
}

func replicated(t *testing.T, key string, replica *redistest.Server) {
	t.Helper()
	eventually(t, 10*time.Second, "the replica has "+key, func() bool { return replica.Do("EXISTS", key) == ":1" })
}

// Rules 1 and 3. A failover loses an acknowledged record together with the node that wrote it. The
// log on the new master joins on to what everybody knows; only the server's run tells that it is
// another. Without the fence the old entry, which the new master has, would be valid forever.
func TestFailoverToALaggingReplica(t *testing.T) {
	t.Parallel()
	master, replica := pair(t)
	o := &shop{}
	a := start(t, master.URL(), o)
	proxy := redistest.NewProxy(t, master)
	b := start(t, proxy.URL(), o)
	get(t, a.loose, "k")
	get(t, a.strict, "k")
	a.settled()
	replicated(t, entryKey("loose:k,"), replica)
	replicated(t, entryKey("strict:k,"), replica)
	replica.Do("REPLICAOF", "NO", "ONE") // what comes from now on it does not get

	proxy.Hold()
	v := o.write("k")
	if r := a.invalidate(forebay.Tag("tag-k")); r.Deferred {
		t.Fatal("not acknowledged")
	}
	a.cache.Close() // nobody is left who knows
	a.tier.Close()
	proxy.Switch(replica)
	proxy.Flow()
	master.Kill()

	for range 50 { // while the node comes over, and after
		if got := get(t, b.strict, "k"); got != v {
			t.Fatalf("a strict read got %d after %d was acknowledged", got, v)
		}
		pause := time.NewTimer(20 * time.Millisecond)
		<-pause.C
	}
	b.twoTier()
	eventually(t, 10*time.Second, "other reads see it too", func() bool { return get(t, b.loose, "k") == v })
}

// Rule 3. The new master's clock is behind: its IDs are below what the node has read. What it appends
// must be seen all the same.
func TestFailoverToAServerWhoseClockIsBehind(t *testing.T) {
	t.Parallel()
	master, replica := pair(t)
	o := &shop{}
	proxy := redistest.NewProxy(t, master)
	b := start(t, proxy.URL(), o)
	replica.Do("REPLICAOF", "NO", "ONE")
	ahead(t, master, time.Hour)
	eventually(t, 10*time.Second, "b has read it", func() bool {
		return b.cache.Stats().Log.Head.ID.Ms > uint64(time.Now().Add(30*time.Minute).UnixMilli())
	})
	get(t, b.loose, "k")
	proxy.Switch(replica)
	master.Kill()
	c := start(t, replica.URL(), o)
	c.twoTier()
	v := o.write("k")
	if r := c.invalidate(forebay.Tag("tag-k")); r.Deferred {
		t.Fatal("not acknowledged")
	}
	eventually(t, 15*time.Second, "b sees it", func() bool { return get(t, b.loose, "k") == v })
}

// Ages are told by the server's clock, whatever this process's says, and go on being when it is set.
func TestTheServersClock(t *testing.T) {
	t.Parallel()
	s, o := redistest.StartTimed(t), &shop{}
	a, b := start(t, s.URL(), o), start(t, s.URL(), o)
	for _, off := range []time.Duration{0, time.Hour, -time.Hour} {
		s.SetClock(off)
		for _, n := range []*node{a, b} {
			eventually(t, 20*time.Second, "the node knows it", func() bool {
				return (time.Until(n.tier.Clock()) - off).Abs() < time.Minute
			})
		}
		key := off.String()
		get(t, a.loose, key)
		a.settled()
		if r := b.loose.Do(ctx, key); r.Tier != forebay.TierShared || r.Age.Abs() > time.Minute {
			t.Errorf("%s: from %s, %s old", key, r.Tier, r.Age)
		}
		v := o.write(key)
		a.invalidate(forebay.Tag("tag-" + key))
		eventually(t, 10*time.Second, "the other node sees the invalidation", func() bool { return get(t, b.loose, key) == v })
	}
}

// Rule 2. Stamps of a lost log count for nothing: its IDs may be ahead of the new one's, when clocks
// differ, and a slow writer may store an entry of it after the loss.
func TestAnEntryOfALostLogIsStoredLate(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	a := start(t, s.URL(), o)
	ahead(t, s, time.Hour)
	a.invalidate(forebay.Tag("another")) // so that a has read up to there
	get(t, a.loose, "k")
	a.settled()
	entry := s.Do("GET", entryKey("loose:k,"))
	s.Do("FLUSHALL")
	a.twoTier()
	a.invalidate(forebay.Tag("another")) // the new log's IDs are lower
	v := o.write("k")
	a.invalidate(forebay.Tag("tag-k"))
	ahead(t, s, 2*time.Hour)                 // and higher again, behind it
	s.Do("SET", entryKey("loose:k,"), entry) // the slow writer
	b := start(t, s.URL(), o)
	if got := get(t, b.loose, "k"); got != v {
		t.Errorf("read %d after %d was acknowledged", got, v)
	}
}

// ahead appends a record as if the server's clock were ahead.
func ahead(t *testing.T, s *redistest.Server, by time.Duration) {
	t.Helper()
	var epoch, run string
	last := s.Do("EVAL", `local l = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][2] local e, r for i = 1, #l, 2 do if l[i] == 'e' then e = l[i+1] elseif l[i] == 'r' then r = l[i+1] end end return e .. ' ' .. r`, "1", "forebay:log")
	if _, err := fmt.Sscan(last, &epoch, &run); err != nil {
		t.Fatal(last, err)
	}
	id := fmt.Sprintf("%d-0", time.Now().Add(by).UnixMilli())
	if got := s.Do("XADD", "forebay:log", id, "t", "1:nobody", "m", "0", "e", epoch, "r", run); got != id {
		t.Fatal(got)
	}
}

// Rule 3. After a flush the log begins again below the reader's head; a reader that only asks for
// what is later waits forever.
func TestAReaderWhoseHeadIsLost(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	a, b := start(t, s.URL(), o), start(t, s.URL(), o)
	ahead(t, s, time.Hour)
	a.invalidate(forebay.Tag("another"))
	get(t, b.loose, "k")
	for range 2 { // also a second time, when nobody has an old head any more
		s.Do("FLUSHALL")
		v := o.write("k")
		eventually(t, 10*time.Second, "acknowledged", func() bool { return !a.invalidate(forebay.Tag("tag-k")).Deferred })
		eventually(t, 10*time.Second, "the other node sees it", func() bool { return get(t, b.loose, "k") == v })
	}
}

// Rule 3. The server starts over, with an old log or with none.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"empty": nil, "from its append-only file": {"--appendonly", "yes", "--appendfsync", "always"}} {
		t.Run(name, func(t *testing.T) {
			s, o := redistest.Start(t, args...), &shop{}
			a, b := start(t, s.URL(), o), start(t, s.URL(), o)
			get(t, a.strict, "k")
			get(t, b.strict, "k")
			for range 2 {
				s.Kill()
				s.Restart()
				a.twoTier()
				b.twoTier()
				v := o.write("k")
				eventually(t, 10*time.Second, "acknowledged", func() bool { return !a.invalidate(forebay.Tag("tag-k")).Deferred })
				for _, n := range []*node{a, b} {
					if got := get(t, n.strict, "k"); got != v {
						t.Errorf("read %d after %d was acknowledged", got, v)
					}
				}
			}
		})
	}
}

// Rule 3. One answer brings records that the node has not read and tells of a new run of the server.
func TestNewRecordsAndANewRunAtOnce(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always"), &shop{}
	a := start(t, s.URL(), o)
	proxy := redistest.NewProxy(t, s)
	b := start(t, proxy.URL(), o)
	get(t, b.strict, "k")
	proxy.Hold()
	v := o.write("k")
	a.invalidate(forebay.Tag("tag-k"))
	a.cache.Close() // nobody else appends under the new run
	a.tier.Close()
	s.Kill()
	s.Restart()
	proxy.Switch(s)
	proxy.Flow()
	b.twoTier()
	if got := get(t, b.strict, "k"); got != v {
		t.Errorf("read %d after %d was acknowledged", got, v)
	}
}

// Rule 6. What has left the ledger for room makes old entries of the shared tier no valid ones again.
func TestAFullLedgerAndAnOldEntry(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	a := start(t, s.URL(), o)
	get(t, a.loose, "k")
	a.settled()
	entry := s.Do("GET", entryKey("loose:k,"))
	v := o.write("k")
	a.invalidate(forebay.Tag("tag-k"))
	for i := range 500 {
		a.invalidate(forebay.Tag(fmt.Sprint("other ", i)))
	}
	a.settled()
	s.Do("SET", entryKey("loose:k,"), entry) // by a slow writer
	b := start(t, s.URL(), o, func(opts *forebay.Options) { opts.LedgerSize = 50 })
	if got := get(t, b.loose, "k"); got != v {
		t.Errorf("read %d after %d was acknowledged", got, v)
	}
}

// Rule 7. A node whose checks are not answered says so, and its strict reads load.
func TestAHeldConnectionIsUnconfirmed(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	a := start(t, s.URL(), o)
	proxy := redistest.NewProxy(t, s)
	b := start(t, proxy.URL(), o)
	get(t, b.loose, "k")
	get(t, b.strict, "k")
	proxy.Hold()
	said := eventually(t, 10*time.Second, "degraded", func() bool { return b.cache.Stats().Mode == forebay.Degraded })
	v := o.write("k")
	a.invalidate(forebay.Tag("tag-k"))
	if got := get(t, b.strict, "k"); got != v {
		t.Errorf("a strict read got %d after %d was acknowledged", got, v)
	}
	unconfirmed := eventually(t, 10*time.Second, "unconfirmed", func() bool { return b.loose.Do(ctx, "k").Unconfirmed })
	proxy.Flow()
	b.twoTier()
	eventually(t, 10*time.Second, "it sees the change", func() bool { return get(t, b.loose, "k") == v })
	t.Logf("degraded said after %s, unconfirmed %s later", said, unconfirmed)
}

// Rule 8. A strict caller that could not confirm joins only a load begun after it.
func TestAStrictCallerDoesNotJoinWhatBeganBefore(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{took: 400 * time.Millisecond}
	b := start(t, s.URL(), o)
	s.Kill()
	eventually(t, 10*time.Second, "degraded", func() bool { return b.cache.Stats().Mode == forebay.Degraded })
	first := make(chan int)
	go func() { v, _ := b.strict.Get(ctx, "k"); first <- v }()
	eventually(t, 5*time.Second, "the first load runs", func() bool { return o.loads.Load() == 1 })
	v := o.write("k") // and its writer has told every node that it could reach
	if got := get(t, b.strict, "k"); got != v {
		t.Errorf("read %d after %d was written", got, v)
	}
	if got := <-first; got != 0 {
		t.Errorf("the first caller got %d", got)
	}
}

// Rule 8 and promise 3. However many strict callers come while the log cannot be read, the origin sees
// one load at a time for their key: a caller that came too late for one shares the next.
func TestStrictCallersWithoutTheLogShareLoads(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{took: 200 * time.Millisecond}
	b := start(t, s.URL(), o)
	s.Kill()
	eventually(t, 10*time.Second, "degraded", func() bool { return b.cache.Stats().Mode == forebay.Degraded })
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if _, err := b.strict.Get(ctx, "k"); err != nil {
				t.Error(err)
			}
		})
		wait(t, time.Millisecond)
	}
	wg.Wait()
	if n := o.most.Load(); n != 1 {
		t.Errorf("%d loads at once for one key, want 1", n)
	}
	if n := o.loads.Load(); n > 4 {
		t.Errorf("%d loads for callers that came within half a second of loads that take 200 ms", n)
	}
}

// Rule 9. While an invalidation of this node's own waits for the log, the shared tier still has what
// it removed.
func TestTheSharedTierIsNotReadBeforeTheJournalIsEmpty(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	a := start(t, s.URL(), o)
	get(t, a.loose, "k")
	a.settled()
	s.Do("CONFIG", "SET", "maxmemory", "1mb") // noeviction: writes are refused, reads are not
	v := o.write("k")
	if r := a.invalidate(forebay.Tag("tag-k")); !r.Deferred {
		t.Fatal("the append was not refused")
	}
	for range 3 {
		if got := get(t, a.loose, "k"); got != v {
			t.Errorf("read %d after %d was accepted", got, v)
		}
	}
	if s.Do("EXISTS", entryKey("loose:k,")) != ":1" {
		t.Error("the old entry is gone: nothing is proved")
	}
	s.Do("CONFIG", "SET", "maxmemory", "0")
	a.twoTier()
	b := start(t, s.URL(), o)
	if got := get(t, b.loose, "k"); got != v {
		t.Errorf("another node read %d after the journal was appended", got)
	}
}

// Rule 10. While two masters answer, the old one acknowledges what the new one never hears of. When
// its node comes over, it appends again what it had acknowledged.
func TestWhatADyingMasterAcknowledgedIsAppendedAgain(t *testing.T) {
	t.Parallel()
	old, replica := pair(t)
	o := &shop{}
	proxyA := redistest.NewProxy(t, old)
	a := start(t, proxyA.URL(), o)
	a.invalidate(forebay.Tag("another"))
	replica.Do("REPLICAOF", "NO", "ONE")
	b := start(t, replica.URL(), o)
	b.twoTier()
	get(t, b.loose, "k") // under the new master's epoch
	v := o.write("k")
	if r := a.invalidate(forebay.Tag("tag-k")); r.Deferred { // by the old master
		t.Fatal("not acknowledged")
	}
	proxyA.Switch(replica)
	old.Kill()
	eventually(t, 15*time.Second, "b sees what the old master had acknowledged", func() bool { return get(t, b.loose, "k") == v })
}

// Rule 11. A node that was away while the log was trimmed does not trust what it has.
func TestTrimmedWhileAway(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	a := start(t, s.URL(), o)
	proxy := redistest.NewProxy(t, s)
	b := start(t, proxy.URL(), o)
	get(t, b.loose, "k")
	proxy.Hold()
	v := o.write("k")
	a.invalidate(forebay.Tag("tag-k"))
	for i := range 10 {
		a.invalidate(forebay.Tag(fmt.Sprint(i)))
	}
	s.Do("XTRIM", "forebay:log", "MAXLEN", "2")
	proxy.Flow()
	eventually(t, 15*time.Second, "it sees the change", func() bool { return get(t, b.loose, "k") == v })
}

// A strict read sees everything that was acknowledged, also when one answer of the log does not hold it.
func TestAStrictReadFarBehind(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	a := start(t, s.URL(), o)
	proxy := redistest.NewProxy(t, s)
	b := start(t, proxy.URL(), o)
	get(t, b.strict, "k")
	b.settled()
	proxy.Hold()
	var many []shared.Target
	for i := range 2500 {
		many = append(many, forebay.Tag(fmt.Sprint(i)))
	}
	a.invalidate(many...)
	v := o.write("k")
	a.invalidate(forebay.Tag("tag-k"))
	proxy.Flow()
	for range 20 {
		if got := get(t, b.strict, "k"); got != v {
			t.Fatalf("read %d after %d was acknowledged", got, v)
		}
	}
}
