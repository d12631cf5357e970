package faults

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/demo"
)

func all(w *world, kind string, attributes map[string]any) { w.poison(kind, attributes, w.proxies...) }

func later(d time.Duration) func(*world) {
	// A toxic a direction: half of it on the way there, half on the way back.
	return func(w *world) { all(w, "latency", map[string]any{"latency": d.Milliseconds() / 2}) }
}

func do(words ...string) func(*world) {
	return func(w *world) { w.server.Do(words...) }
}

func sequence(steps ...func(*world)) func(*world) {
	return func(w *world) {
		for _, step := range steps {
			step(w)
		}
	}
}

// cutOff lets nothing through to one node.
func cutOff(w *world) { w.poison("timeout", map[string]any{"timeout": 0}, w.proxies[0]) }

func kill(w *world)    { w.server.Kill() }
func restart(w *world) { w.server.Restart() }
func cure(w *world)    { w.cure() }
func nothing(*world)   {}

// settle gives the server a moment to finish what it does behind.
func settle(*world) { time.Sleep(300 * time.Millisecond) }

// during has a step that takes its time go on meanwhile; then ends what goes on.
func during(step func(*world)) func(*world) {
	return func(w *world) { w.busy.Go(func() { step(w) }) }
}

func then(step func(*world)) func(*world) {
	return func(w *world) {
		w.busy.Wait()
		step(w)
	}
}

// flood invalidates many targets on one node, in ten seconds more than a ledger holds one by one.
func flood(w *world) {
	const aSecond, batch = 15_000, 500
	next := time.Now()
	for i := 0; i < int(duration.Seconds()*aSecond); i += batch {
		targets := make([]forebay.Target, batch)
		for j := range targets {
			targets[j] = forebay.Tag(fmt.Sprint("flood", i+j))
		}
		if _, err := w.nodes[0].cache.Invalidate(w.t.Context(), targets...); err != nil {
			w.t.Error(err)
			return
		}
		next = next.Add(batch * time.Second / aSecond)
		sleepUntil(next)
	}
}

// garbage writes over every entry in four ways: random bytes, half of it, another's, a later format.
func garbage(w *world) {
	keys := strings.Fields(w.server.Do("EVAL", `return table.concat(redis.call('KEYS', 'forebay:e:*'), '\n')`, "0"))
	for i, key := range keys {
		switch i % 4 {
		case 0:
			w.server.Do("SET", key, fmt.Sprint(rand.Uint64(), rand.Uint64()), "KEEPTTL")
		case 1:
			w.server.Do("EVAL", `local v = redis.call('GET', KEYS[1]) if v then redis.call('SET', KEYS[1], string.sub(v, 1, #v / 2), 'KEEPTTL') end return 1`, "1", key)
		case 2:
			w.server.Do("COPY", keys[(i+1)%len(keys)], key, "REPLACE")
		case 3:
			w.server.Do("SETRANGE", key, "0", "\x7f\x7f")
		}
	}
}

// fill pushes everything out of a server that may evict anything.
func fill(w *world) {
	for range 40 {
		w.server.Do("EVAL", `for i = 1, 200 do redis.call('SET', 'junk:' .. ARGV[1] .. i, string.rep('x', 1000)) end return 1`, "0", fmt.Sprint(rand.Uint32()))
	}
}

// ofOneServer are the faults of a server and of the way to it.
var ofOneServer = []fault{
	{name: "nothing, for comparison", begin: nothing, end: nothing},
	{name: "Redis killed", begin: kill, end: restart, degraded: true},
	{name: "Redis frozen", begin: func(w *world) { w.server.Freeze() }, end: func(w *world) { w.server.Thaw() }, degraded: true},
	{name: "50 ms more", begin: later(50 * time.Millisecond), end: cure, slow: true},
	{name: "200 ms more", begin: later(200 * time.Millisecond), end: cure, degraded: true},
	{name: "2 s more", begin: later(2 * time.Second), end: cure, degraded: true},
	{name: "10 KB/s", begin: func(w *world) { all(w, "bandwidth", map[string]any{"rate": 10}) }, end: cure, slow: true},
	{name: "connections reset", begin: func(w *world) { all(w, "reset_peer", map[string]any{"timeout": 0}) }, end: cure, degraded: true},
	{name: "half-open: nothing comes through, nothing is closed", begin: func(w *world) { all(w, "timeout", map[string]any{"timeout": 0}) }, end: cure, degraded: true},
	{name: "one node cut off", begin: cutOff, end: cure, degraded: true},
	{name: "FLUSHALL", begin: do("FLUSHALL"), end: nothing, slow: true},
	{name: "restarted empty", begin: sequence(kill, restart), end: nothing, slow: true},
	{name: "restarted from its file", on: one("--appendonly", "yes", "--appendfsync", "always"), begin: sequence(kill, restart), end: nothing, slow: true},
	{name: "password changed", begin: sequence(do("CONFIG", "SET", "requirepass", "other"), func(w *world) { w.server.DoAs("other", "CLIENT", "KILL", "TYPE", "normal") }), end: func(w *world) { w.server.DoAs("other", "CONFIG", "SET", "requirepass", "") }, degraded: true},
	{name: "SET forbidden by ACL", begin: do("ACL", "SETUSER", "default", "-set"), end: do("ACL", "SETUSER", "default", "+@all"), degraded: true},
	{name: "XRANGE forbidden by ACL", begin: do("ACL", "SETUSER", "default", "-xrange"), end: do("ACL", "SETUSER", "default", "+@all"), degraded: true},
	{name: "made a replica (READONLY)", begin: do("REPLICAOF", "127.0.0.1", "1"), end: do("REPLICAOF", "NO", "ONE"), degraded: true},
	{name: "memory full (OOM, noeviction)", begin: sequence(do("CONFIG", "SET", "maxmemory-policy", "noeviction"), do("CONFIG", "SET", "maxmemory", "1")), end: do("CONFIG", "SET", "maxmemory", "0"), degraded: true},
	{name: "its disk fails (MISCONF)", on: one("--save", "3600 1000000"), begin: sequence(func(w *world) { w.server.BreakDisk() }, do("BGSAVE")), end: do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no"), degraded: true},
	{name: "restarted, and loading its data (LOADING)", on: one("--appendonly", "yes", "--appendfsync", "always"), begin: sequence(do("DEBUG", "POPULATE", "4000"), do("BGREWRITEAOF"), settle, kill, func(w *world) { w.server.RestartLoading(500 * time.Microsecond) }), end: nothing, degraded: true},
	{name: "everything evicted, the log too (allkeys-lru, 2 MB)", begin: sequence(do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"), do("CONFIG", "SET", "maxmemory", "2mb"), fill), end: sequence(do("CONFIG", "SET", "maxmemory", "0"), do("EVAL", `for _, k in ipairs(redis.call('KEYS', 'junk:*')) do redis.call('UNLINK', k) end return 1`, "0")), slow: true},
	{name: "the near tiers full (64 KB)", options: demo.Options{NearBytes: 64 << 10}, begin: nothing, end: nothing, slow: true},
	{name: "garbage in every entry", begin: garbage, end: nothing, slow: true},
	{name: "the log trimmed to nothing", begin: do("XTRIM", "forebay:log", "MAXLEN", "0"), end: nothing, slow: true},
	{name: "the log deleted", begin: do("DEL", "forebay:log"), end: nothing, slow: true},
	{name: "its clock set forward an hour, and back", on: timed, begin: func(w *world) { w.server.SetClock(time.Hour) }, end: func(w *world) { w.server.SetClock(-time.Hour) }, slow: true},
	{name: "the log is another type", begin: sequence(do("DEL", "forebay:log"), do("SET", "forebay:log", "x")), end: do("DEL", "forebay:log"), degraded: true},
	{name: "one node cut off, and the log trimmed meanwhile", begin: sequence(cutOff, settle, do("XTRIM", "forebay:log", "MAXLEN", "0")), end: cure, degraded: true},
	{name: "15,000 invalidations a second, in the end more than a ledger holds", begin: during(flood), end: then(nothing), slow: true},
}

// ofNodes are the faults of ourselves.
var ofNodes = []fault{
	{name: "nothing, for comparison: nodes in processes of their own", on: programs, begin: nothing, end: nothing},
	{name: "a node frozen, and thawed", on: programs, begin: freezeNode, end: thawNode},
	{name: "a node killed, and started again", on: programs, begin: killNode, end: startNode},
	{name: "Redis silent, meanwhile a node killed that had acknowledged changes, and started again", on: programs, begin: during(sequence(func(w *world) { w.server.Freeze() }, settle, killNode, func(w *world) { w.server.Thaw() })), end: then(startNode), degraded: true},
}
