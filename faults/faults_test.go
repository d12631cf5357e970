package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/rs/zerolog"
)

// In CI each fault is short, and states and counts are what is checked. `make faults` runs them under
// load and writes the figures down.
var (
	rate     = flag.Int("rate", 300, "requests a second")
	duration = flag.Duration("for", 2*time.Second, "how long each fault lasts")
	write    = flag.String("write", "", "file to write the report to")
)

// A fault is something that breaks, and how it is mended.
type fault struct {
	name     string
	args     []string // of the server
	begin    func(w *world)
	end      func(w *world)
	degraded bool // is to be said
	slow     bool // the tier answers, within its budget: nothing need be said
}

func all(w *world, kind string, attributes map[string]any) { w.poison(kind, attributes, w.proxies...) }

func latency(d time.Duration) func(*world) {
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

func kill(w *world)    { w.server.Kill() }
func restart(w *world) { w.server.Restart() }
func cure(w *world)    { w.cure() }
func nothing(*world)   {}

// settle gives the server a moment to finish what it does behind.
func settle(*world) { time.Sleep(300 * time.Millisecond) }

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

var faults = []fault{
	{name: "Redis killed", begin: kill, end: restart, degraded: true},
	{name: "Redis frozen", begin: func(w *world) { w.server.Freeze() }, end: func(w *world) { w.server.Thaw() }, degraded: true},
	{name: "50 ms more", begin: latency(50 * time.Millisecond), end: cure, slow: true},
	{name: "200 ms more", begin: latency(200 * time.Millisecond), end: cure, degraded: true},
	{name: "2 s more", begin: latency(2 * time.Second), end: cure, degraded: true},
	{name: "10 KB/s", begin: func(w *world) { all(w, "bandwidth", map[string]any{"rate": 10}) }, end: cure, slow: true},
	{name: "connections reset", begin: func(w *world) { all(w, "reset_peer", map[string]any{"timeout": 0}) }, end: cure, degraded: true},
	{name: "half-open: nothing comes through, nothing is closed", begin: func(w *world) { all(w, "timeout", map[string]any{"timeout": 0}) }, end: cure, degraded: true},
	{name: "one node cut off", begin: func(w *world) { w.poison("timeout", map[string]any{"timeout": 0}, w.proxies[0]) }, end: cure, degraded: true},
	{name: "FLUSHALL", begin: do("FLUSHALL"), end: nothing, slow: true},
	{name: "restarted empty", begin: sequence(kill, restart), end: nothing, slow: true},
	{name: "restarted from its file", args: []string{"--appendonly", "yes", "--appendfsync", "always"}, begin: sequence(kill, restart), end: nothing, slow: true},
	{name: "password changed", begin: sequence(do("CONFIG", "SET", "requirepass", "other"), func(w *world) { w.server.DoAs("other", "CLIENT", "KILL", "TYPE", "normal") }), end: func(w *world) { w.server.DoAs("other", "CONFIG", "SET", "requirepass", "") }, degraded: true},
	{name: "SET forbidden by ACL", begin: do("ACL", "SETUSER", "default", "-set"), end: do("ACL", "SETUSER", "default", "+@all"), degraded: true},
	{name: "XRANGE forbidden by ACL", begin: do("ACL", "SETUSER", "default", "-xrange"), end: do("ACL", "SETUSER", "default", "+@all"), degraded: true},
	{name: "made a replica (READONLY)", begin: do("REPLICAOF", "127.0.0.1", "1"), end: do("REPLICAOF", "NO", "ONE"), degraded: true},
	{name: "memory full (OOM, noeviction)", begin: sequence(do("CONFIG", "SET", "maxmemory-policy", "noeviction"), do("CONFIG", "SET", "maxmemory", "1")), end: do("CONFIG", "SET", "maxmemory", "0"), degraded: true},
	{name: "its disk fails (MISCONF)", args: []string{"--save", "3600 1000000"}, begin: sequence(func(w *world) { w.server.BreakDisk() }, do("BGSAVE")), end: do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no"), degraded: true},
	{name: "restarted, and loading its data (LOADING)", args: []string{"--appendonly", "yes", "--appendfsync", "always"}, begin: sequence(do("DEBUG", "POPULATE", "4000"), do("BGREWRITEAOF"), settle, kill, func(w *world) { w.server.RestartLoading(500 * time.Microsecond) }), end: nothing, degraded: true},
	{name: "everything evicted, the log too (allkeys-lru, 2 MB)", begin: sequence(do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"), do("CONFIG", "SET", "maxmemory", "2mb"), fill), end: sequence(do("CONFIG", "SET", "maxmemory", "0"), do("EVAL", `for _, k in ipairs(redis.call('KEYS', 'junk:*')) do redis.call('UNLINK', k) end return 1`, "0")), slow: true},
	{name: "garbage in every entry", begin: garbage, end: nothing, slow: true},
	{name: "the log trimmed to nothing", begin: do("XTRIM", "forebay:log", "MAXLEN", "0"), end: nothing, slow: true},
	{name: "the log deleted", begin: do("DEL", "forebay:log"), end: nothing, slow: true},
	{name: "the log is another type", begin: sequence(do("DEL", "forebay:log"), do("SET", "forebay:log", "x")), end: do("DEL", "forebay:log"), degraded: true},
}

// A result is what one fault did.
type result struct {
	name                     string
	requests                 int
	failed                   int
	slowest, p99, afterwards time.Duration // afterwards: p99 from when it was said
	loads                    uint64
	degradedIn, healedIn     time.Duration // negative: not said, not healed
	stale                    int
}

// patience is how long a test waits for a state: CI's machines are slow.
const patience = 20 * time.Second

func TestFaults(t *testing.T) {
	zerolog.SetGlobalLevel(zerolog.Disabled)
	base := nearOnly(t)
	t.Logf("near only: p99 %s, slowest %s", base.p99, base.slowest)
	var results []result
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			r := f.run(t)
			results = append(results, r)
			t.Logf("%d requests, %d failed, p99 %s, slowest %s, %d loads, degraded said in %s, healed in %s", r.requests, r.failed, r.p99, r.slowest, r.loads, r.degradedIn, r.healedIn)
		})
	}
	if *write != "" {
		report(t, base, results)
	}
}

// nearOnly is the same load without a shared tier: what a fault's figures are compared with.
func nearOnly(t *testing.T) result {
	w := build(t, 0)
	l := w.run(*rate)
	time.Sleep(time.Second)
	from := time.Now()
	time.Sleep(max(*duration, 2*time.Second))
	n, p99, slowest := l.since(from, time.Now())
	l.end()
	return result{requests: n, p99: p99, slowest: slowest}
}

func (f fault) run(t *testing.T) result {
	w := build(t, 2, f.args...)
	until(t, "healthy", func() bool { return w.mode() == forebay.TwoTier })
	l := w.run(*rate)
	time.Sleep(time.Second)
	before, _ := w.loads()

	r := result{name: f.name, degradedIn: -1, healedIn: -1}
	begun := time.Now()
	f.begin(w)
	said := begun
	for time.Since(begun) < *duration {
		if r.degradedIn < 0 && w.mode() == forebay.Degraded {
			said = time.Now()
			r.degradedIn = said.Sub(begun)
		}
		time.Sleep(2 * time.Millisecond)
	}
	if f.degraded && r.degradedIn < 0 {
		until(t, "degraded", func() bool { return w.mode() == forebay.Degraded })
		said = time.Now()
		r.degradedIn = said.Sub(begun)
	}
	ended := time.Now()
	r.requests, r.p99, r.slowest = l.since(begun, ended)
	if r.degradedIn >= 0 {
		_, r.afterwards, _ = l.since(said.Add(50*time.Millisecond), ended)
	}
	after, _ := w.loads()
	r.loads = after - before
	f.end(w)
	mended := time.Now()
	until(t, "healed", func() bool { return w.mode() == forebay.TwoTier })
	r.healedIn = time.Since(mended)
	time.Sleep(300 * time.Millisecond) // whatever comes late is looked at too
	l.end()

	r.failed, r.stale = len(l.failed), len(l.stale)
	if r.failed > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", r.failed, len(l.taken), l.failed[0])
	}
	if r.stale > 0 {
		t.Errorf("%d answers were older than promised, the first: %s", r.stale, l.stale[0])
	}
	if l.writes == 0 {
		t.Error("nothing was written meanwhile")
	}
	if !f.degraded && !f.slow && r.degradedIn >= 0 {
		t.Error("degraded was said")
	}
	return r
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if holds() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("not within %s: %s", patience, what)
}

func report(t *testing.T, base result, results []result) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Reliability\n\n> What the platform's callers notice when something breaks. Written by `make faults` on %d cores, %s: two nodes in one process on one Redis, %d requests a second of the platform's mix, each fault for %s. [Operations](operations.md) says what to do.\n\n", runtime.NumCPU(), runtime.Version(), *rate, *duration)
	fmt.Fprintf(&b, "The same load on one node with its near tier alone: p99 %s, slowest %s. All figures are of requests through the handlers, without a network; a load of the origin takes about a millisecond, so what a fault adds is seen.\n\n", ms(base.p99), ms(base.slowest))
	b.WriteString("| fault | requests | failed | older than promised | p99 | p99 once said | slowest | loads | degraded said after | healed after |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		once, said := "", "not: it goes on"
		if r.degradedIn >= 0 {
			once, said = ms(r.afterwards), ms(r.degradedIn)
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s | %s | %s | %d | %s | %s |\n", r.name, r.requests, r.failed, r.stale, ms(r.p99), once, ms(r.slowest), r.loads, said, ms(r.healedIn))
	}
	b.WriteString("\nTargets: nothing fails, nothing is older than promised, no request waits longer than the budget (50 ms) and 10 ms more, the p99 once degraded is said is under 1 ms over that of the near tier alone, degraded is said within 2 s, healed within 3 s.\n")
	var missed []string
	for _, r := range results {
		miss := func(what string, is, limit time.Duration) {
			if is > limit {
				missed = append(missed, fmt.Sprintf("%s: %s %s, target %s", r.name, what, ms(is), ms(limit)))
			}
		}
		miss("slowest", r.slowest-base.slowest, 60*time.Millisecond)
		if r.degradedIn >= 0 {
			miss("p99 once said, over near only,", r.afterwards-base.p99, time.Millisecond)
			miss("degraded said after", r.degradedIn, 2*time.Second)
		}
		miss("healed after", r.healedIn, 3*time.Second)
	}
	if len(missed) > 0 {
		b.WriteString("\nMissed in this run:\n\n")
		for _, m := range missed {
			b.WriteString("- " + m + "\n")
		}
	}
	if err := os.WriteFile(*write, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
