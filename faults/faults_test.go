package faults

import (
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/demo"
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
	on       place        // default: one server
	options  demo.Options // of the nodes
	begin    func(w *world)
	end      func(w *world)      // or …
	mends    func(w *world) bool // … it mends itself: reports whether it has
	degraded bool                // is to be said
	slow     bool                // the tier answers, within its budget: nothing need be said
}

// A result is what one fault did.
type result struct {
	name string
	latency
	away                 latency // of those that came while no node asked the server
	failed, refused      int     // reads, and writes
	ended                int     // with the node that had them
	loads                uint64
	atOnce               int           // loads of one key on one node
	degradedIn, healedIn time.Duration // negative: not said, not healed
	stale                int
}

// patience is how long a test waits for a state: CI's machines are slow.
const patience = 20 * time.Second

func TestFaults(t *testing.T) {
	zerolog.SetGlobalLevel(zerolog.Disabled)
	near := nearOnly(t)
	t.Logf("near only: p99 %s, slowest %s", near.p99, near.slowest)
	faults := slices.Concat(ofOneServer, ofSeveralServers, ofNodes)
	results, ofOrigins := make([]result, len(faults)), make([]result, len(ofOrigin))
	run := func(name string, do func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			if *write == "" {
				t.Parallel() // no figures are wanted
			}
			do(t)
		})
	}
	for i, f := range faults {
		run(f.name, func(t *testing.T) {
			r := f.run(t)
			results[i] = r
			t.Logf("%d requests, %d and %d failed, %d ended with their node, p99 %s, slowest %s, %d loads, %d at once, degraded said in %s, without the server p99 %s, healed in %s",
				r.requests, r.failed, r.refused, r.ended, r.p99, r.slowest, r.loads, r.atOnce, r.degradedIn, r.away.steady, r.healedIn)
		})
	}
	for i, f := range ofOrigin {
		run(f.name, func(t *testing.T) {
			r := f.run(t)
			ofOrigins[i] = r
			t.Logf("%d reads, %d failed, %d writes refused, p99 %s, slowest %s, %d loads, %d at once, healed in %s",
				r.requests, r.failed, r.refused, r.p99, r.slowest, r.loads, r.atOnce, r.healedIn)
		})
	}
	if *write != "" {
		left := func(r result) bool { return r.name == "" } // by -run
		results, ofOrigins = slices.DeleteFunc(results, left), slices.DeleteFunc(ofOrigins, left)
		if err := os.WriteFile(*write, []byte(report(near, results, ofOrigins)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// nearOnly is the same load without a shared tier: what a fault's figures are compared with.
func nearOnly(t *testing.T) latency {
	w := build(t, none, demo.Options{})
	l := w.run(*rate)
	time.Sleep(time.Second)
	from := time.Now()
	time.Sleep(max(*duration, 2*time.Second))
	defer l.end()
	return l.since(from, time.Now(), true)
}

func (f fault) run(t *testing.T) result {
	where := f.on
	if where == nil {
		where = one()
	}
	w := build(t, where, f.options)
	until(t, "healthy", func() bool { return w.mode() == forebay.TwoTier })
	l := w.run(*rate)
	time.Sleep(time.Second)
	before := w.loads()

	r := result{name: f.name, degradedIn: -1, healedIn: -1}
	begun := time.Now()
	f.begin(w)
	away := f.watch(t, w, begun, &r)
	r.latency = l.since(begun, time.Now(), true)
	if away.ended.Sub(away.begun) > awayFor {
		r.away = l.since(away.begun.Add(budget), away.ended, true)
	}
	r.loads = w.loads() - before
	if f.end != nil {
		f.end(w)
		mended := time.Now()
		until(t, "healed", func() bool { return w.mode() == forebay.TwoTier })
		r.healedIn = time.Since(mended)
	}
	time.Sleep(300 * time.Millisecond) // whatever comes late is looked at too
	l.end()
	until(t, "nothing waits for the log", func() bool { return w.deferred() == 0 })
	for org := range w.orgs {
		if !l.shown(org) {
			t.Errorf("%s: a node does not show version %d, which was acknowledged", organisations[org], w.orgs[org].answered)
		}
	}

	for _, n := range w.nodes {
		r.atOnce = max(r.atOnce, n.origin.atOnce())
	}
	r.failed, r.refused, r.ended, r.stale = len(l.failed), len(l.refused), l.ended, len(l.stale)
	f.check(t, l, r)
	return r
}

// awayFor is how long the nodes must have been without the server for what that costs to be told.
const awayFor = 500 * time.Millisecond

// watch waits until the fault's time is over, and longer for what is to be said or mends itself. It returns
// the longest time without the server.
func (f fault) watch(t *testing.T, w *world, begun time.Time, r *result) (away span) {
	t.Helper()
	var mended time.Time
	asked, since := begun, begun
	over := func() bool {
		now := time.Now()
		if r.degradedIn < 0 && w.mode() == forebay.Degraded {
			r.degradedIn = now.Sub(begun)
		}
		if !w.away() {
			since = now
		} else if now.Sub(since) > away.ended.Sub(away.begun) {
			away = span{since, now}
		}
		if f.mends != nil && mended.IsZero() && now.Sub(asked) > 20*time.Millisecond {
			if asked = now; f.mends(w) {
				mended = now
			}
		}
		if !mended.IsZero() && r.healedIn < 0 && w.mode() == forebay.TwoTier {
			r.healedIn = now.Sub(mended)
		}
		return now.Sub(begun) >= *duration && (r.degradedIn >= 0 || !f.degraded) && (r.healedIn >= 0 || f.mends == nil)
	}
	for end := begun.Add(*duration + patience); !over(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: degraded said after %s, mended %v, healed after %s", *duration+patience, r.degradedIn, !mended.IsZero(), r.healedIn)
		}
	}
	return away
}

func (f fault) check(t *testing.T, l *load, r result) {
	t.Helper()
	if failed := slices.Concat(l.failed, l.refused); len(failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(failed), len(l.taken), failed[0])
	}
	if r.stale > 0 {
		t.Errorf("%d answers were older than promised, the first: %s", r.stale, l.stale[0])
	}
	if r.atOnce > mostAtOnce {
		t.Errorf("%d loads of one key at once on one node", r.atOnce)
	}
	if l.writes == 0 {
		t.Error("nothing was written meanwhile")
	}
	if !f.degraded && !f.slow && r.degradedIn >= 0 {
		t.Error("degraded was said")
	}
}

// mostAtOnce is one load of a key on a node, and another beside it that began after an invalidation had
// made the first obsolete.
const mostAtOnce = 2

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
