package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
)

type finder func(Cause) *finding

// findShared finds what is wrong with the shared tier and the log.
func (v *verdict) findShared(s forebay.Stats, find finder) {
	if s.Off {
		find(Cause{Check: "near", Warning: true, Reason: "the cache is off: every request goes to the origin, and nothing is stored", Do: "take FOREBAY_OFF out of the environment, or Options.Off out of the program, and restart it"})
	}
	if s.Shared == nil {
		return
	}
	waiting := ""
	if n := s.Shared.Deferred; n > 0 {
		waiting = fmt.Sprintf("%d of them wait", n)
	}
	usable, why := s.Shared.Usable()
	if !usable {
		find(Cause{Check: "shared", Reason: "the shared tier cannot be used: " + why, Impact: "this node serves from its near tier and the origin alone", Do: remedyOf(why)})
	}
	if !s.Log.Confirmed {
		find(Cause{Check: "log", Reason: "invalidations of other nodes may be missing: strict classes load, others are served until their TTL",
			Do: "it follows from the shared tier, and ends with it; nothing older than promised is served"})
	}
	if waiting != "" {
		c := Cause{Check: "journal", Reason: "what was invalidated here counts on this node alone: other nodes serve it until its TTL ends", Impact: waiting,
			Do: "they are appended as soon as the log takes them; keep this node running, or give it --journal FILE"}
		if s.Log.Refused != "" {
			why, _, _ := strings.Cut(s.Log.Refused, ". script:") // where in ours Redis stopped helps nobody
			c.Impact += "; the log refuses them: " + why
			c.Do = remedyOf(s.Log.Refused) + "; " + c.Do
		}
		find(c)
	}
	for _, a := range s.Shared.Advice {
		find(Cause{Check: "shared", Warning: true, Reason: a.Problem, Do: a.Remedy})
	}
	for name, lost := range s.Shared.Lost {
		find(Cause{Check: "function " + name, Reason: "its values do not survive the shared tier and stay near: " + lost,
			Do: "make the type survive its codec: exported fields, no interfaces; or say with EncodeBy how it is written"})
	}
	for name, who := range s.Shared.Others {
		find(Cause{Check: "function " + name, Warning: true, Reason: who + "; neither reads the other's",
			Do: "after a deploy this passes; otherwise give each program its own namespace"})
	}
}

// remedies say what to do about a shared tier, by what is said of it.
var remedies = []struct{ says, do string }{
	{"drill", "nothing: it comes back by itself, or when the drill is ended"},
	{"OOM", "give Redis more memory, or set maxmemory-policy volatile-lru: until then it refuses what is written, and invalidations too"},
	{"MISCONF", "Redis cannot write its file: fix its disk, or switch saving off"},
	{"READONLY", "connect to the master: this server is a replica"},
	{"NOPERM", "give the user the right that is named"},
	{"password", "correct the user and password in REDIS_URL, and restart this node"},
	{"certificate", "correct the certificate, or the address in REDIS_URL, and restart this node"},
	{"nothing listens", "start Redis; this node joins it by itself. If the address is wrong, correct REDIS_URL and restart this node"},
}

func remedyOf(why string) string {
	for _, r := range remedies {
		if strings.Contains(why, r.says) {
			return r.do
		}
	}
	return "does Redis run, and can this node reach it? \"forebay doctor\" tries each part. This node joins again by itself"
}

// findNodes finds nodes that are not heard of any more. While this node is not confirmed it hears nobody, and says
// nothing of others.
func (v *verdict) findNodes(now time.Time, s forebay.Stats, find finder) {
	for _, n := range s.Nodes[min(1, len(s.Nodes)):] {
		v.nodes[n.Name] = now.Add(-n.Seen)
	}
	heard := map[string]bool{}
	for _, n := range s.Nodes {
		heard[n.Name] = true
	}
	for name, last := range v.nodes {
		switch ago := now.Sub(last); {
		case heard[name]:
		case ago > goneFor:
			delete(v.nodes, name)
		case s.Log.Confirmed:
			find(Cause{Check: "node " + name, Warning: true, Reason: "it is not heard of any more", Impact: "last at " + clock(last),
				Do: "nothing, if it was stopped; otherwise look at its log and at its way to Redis"})
		}
	}
}

// findClass finds what is wrong with a class.
func (v *verdict) findClass(now time.Time, c forebay.ClassStats, find finder) {
	check := "class " + c.Class.Name
	v.findFailing(now, check, c, find)
	v.findSlow(now, check, c, find)
	then := v.before(now, c.Class.Name, longWindow)
	asked := c.Misses > v.before(now, c.Class.Name, quietAfter).Misses
	if why := neverHits(then, c); asked && why != "" {
		find(Cause{Check: check, Warning: true, Reason: why})
	}
	stored, evicted := c.Stored-then.Stored, c.EvictedFresh-then.EvictedFresh
	if evicted >= evictedLeast && float64(evicted) > evictedShare*float64(stored) {
		find(Cause{Check: check, Warning: true, Reason: "the near tier is too small for it", Impact: fmt.Sprintf("%d answers evicted while they were fresh, %d stored in 5 minutes", evicted, stored),
			Do: "give the near tier more memory (near_bytes), or the class a shorter TTL"})
	}
}

// more is how much a counter has grown. Two looks at once may be judged in the other order: then it has not.
func more(now, then uint64) uint64 { return max(now, then) - then }

const fails = "calls of its origin fail"

func (v *verdict) findFailing(now time.Time, check string, c forebay.ClassStats, find finder) {
	failing := func(base forebay.ClassStats) (calls, failed uint64, share bool) {
		calls, failed = c.OriginCalls()
		c0, f0 := base.OriginCalls()
		calls, failed = more(calls, c0), more(failed, f0)
		return calls, failed, failed >= failingCalls && float64(failed) >= failingShare*float64(calls)
	}
	lately := v.before(now, c.Class.Name, shortWindow)
	calls, _, bad := failing(lately)
	f := v.open[Cause{Check: check, Reason: fails}.id()]
	if f != nil { // it ends with good calls, or when there were none for a while
		if calls == 0 {
			calls, _, _ = failing(v.before(now, c.Class.Name, quietAfter))
			bad = calls > 0
		} else if _, failed, _ := failing(lately); float64(failed) >= failingShare*float64(calls) {
			bad = true
		}
	}
	if !bad {
		return
	}
	one := find(Cause{Check: check, Reason: fails, Do: "look at its origin; what is stored goes on being served as far as the class allows"})
	if one.base.Class.Name == "" {
		one.base, one.Since = v.lastGood(now, c.Class.Name, lately)
		one.base.Class.Name = c.Class.Name
	}
	calls, failed, _ := failing(one.base)
	one.Impact = fmt.Sprintf("%d of %d since %s", failed, calls, clock(one.Since))
}

const slow = "its origin is slow"

func (v *verdict) findSlow(now time.Time, check string, c forebay.ClassStats, find finder) {
	mean := func(from, to forebay.ClassStats) (n uint64, d time.Duration) {
		if n = to.LoadsEnded - from.LoadsEnded; n == 0 {
			return 0, 0
		}
		return n, (to.LoadTime - from.LoadTime) / time.Duration(n)
	}
	lately := v.before(now, c.Class.Name, shortWindow)
	n, present := mean(lately, c)
	f := v.open[Cause{Check: check, Reason: slow}.id()]
	var usual time.Duration
	if f != nil {
		usual = f.mean
		if n == 0 { // no load has ended: it is as slow as before while some run
			if c.Loading > 0 {
				find(f.Cause)
			}
			return
		}
	} else {
		before, m := mean(v.before(now, c.Class.Name, longWindow), lately)
		if usual = m; before < usualLoads || n < slowLoads {
			return
		}
	}
	if present < slowFactor*usual || present < usual+slowBy {
		return
	}
	one := find(Cause{Check: check, Reason: slow, Do: "look at its origin; Wait and Stale let callers have what is stored meanwhile"})
	one.mean = usual
	one.Impact = fmt.Sprintf("a load takes %s, %s before", present.Round(time.Millisecond), usual.Round(time.Millisecond))
}

// neverHits says why a class most likely never hits, if it has not done so since then.
func neverHits(then, c forebay.ClassStats) string {
	misses := c.Misses - then.Misses
	good := func(c forebay.ClassStats) uint64 { return c.Hits() + c.StaleHits + c.Coalesced }
	if misses < meaningful || good(c) > good(then) {
		return ""
	}
	why, most := "", uint64(0)
	for reason, n := range c.NotStored {
		if n -= then.NotStored[reason]; n > most || n == most && reason < why {
			why, most = reason, n
		}
	}
	switch stored := c.Stored - then.Stored; {
	case stored == 0 && most > 0:
		return fmt.Sprintf("no hit in %d look-ups, because nothing was stored: %s (%d times)", misses, why, most)
	case stored == 0:
		return fmt.Sprintf("no hit in %d look-ups, because nothing was stored: every load failed", misses)
	case c.EvictedFresh-then.EvictedFresh > stored/2:
		return fmt.Sprintf("no hit in %d look-ups: %d of %d answers were evicted; give the near tier more memory", misses, c.EvictedFresh-then.EvictedFresh, stored)
	}
	return fmt.Sprintf("no hit in %d look-ups: each key was asked for once; is something in the key that is new in every request?", misses)
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }
