package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A breaker kills, freezes and flushes by the plan; between faults it lets things be for a moment.
type breaker struct {
	t         *testing.T
	server    *pair
	processes *processes
	busy      *busy
	plan      *rand.Rand
	stop      chan struct{}
	faulty    atomic.Bool
	astray    astray
	jumps     int
	seen      *atomic.Bool // something that proves the cache wrong: the run may end
}

func (b *breaker) see(wrong bool) {
	if wrong {
		b.seen.Store(true)
	}
}

// afterDeath is how long after the death of a master what it alone had acknowledged may take to count
// for everybody: design 4.2, what is left, the first case.
const afterDeath = 3 * time.Second

// A breakage breaks something for a while, and mends it.
type breakage struct {
	name string
	do   func(b *breaker, while time.Duration)
}

var breakages = []breakage{
	{"kill", func(b *breaker, d time.Duration) {
		b.server.master.Kill()
		b.pause(d)
		b.server.master.Restart()
	}},
	{"freeze", func(b *breaker, d time.Duration) {
		b.server.master.Freeze()
		b.pause(d)
		b.server.master.Thaw()
	}},
	{"flush", func(b *breaker, d time.Duration) {
		b.server.master.Do("FLUSHALL")
		b.pause(d)
	}},
	{"log", func(b *breaker, d time.Duration) { // what it says of the values is lost, and they are not
		b.server.master.Do("DEL", "forebay:log")
		b.pause(d)
	}},
	{"clock", (*breaker).jump},
	{"clock-back", (*breaker).fall},
	{"node-frozen", func(b *breaker, d time.Duration) {
		b.processes.freeze(b.plan.IntN(checkProcesses), func() { b.pause(d) })
	}},
	{"node-frozen-long", func(b *breaker, _ time.Duration) { // longer than its leases live
		b.processes.freeze(b.plan.IntN(checkProcesses), func() { b.pause(leaseLife + 600*time.Millisecond) })
	}},
	{"node-killed", func(b *breaker, d time.Duration) {
		b.processes.kill(b.plan.IntN(checkProcesses))
		b.pause(d)
	}},
	{"hold", func(b *breaker, d time.Duration) {
		p := b.server.proxies[b.plan.IntN(len(b.server.proxies))]
		p.Hold()
		b.pause(d)
		p.Flow()
	}},
	{"hold-long", func(b *breaker, _ time.Duration) { // longer than a node may be without a word
		p := b.server.proxies[checkNodes-1]
		p.Hold()
		b.pause(statedLag + 1500*time.Millisecond)
		p.Flow()
	}},
	{"failover", func(b *breaker, d time.Duration) { b.server.failover(func() { b.pause(d) }) }},
	{"partition", (*breaker).partition},
	{"dying", (*breaker).die},
	{"reload", (*breaker).reload},
	{"swapdb", (*breaker).swap},
	{"xdel", (*breaker).forget},
	{"there-and-back", (*breaker).thereAndBack},
	{"demoted", (*breaker).demote},
	{"paused-writes", func(b *breaker, d time.Duration) {
		b.server.master.Do("CLIENT", "PAUSE", strconv.FormatInt(d.Milliseconds(), 10), "WRITE")
		b.pause(d)
		b.server.master.Do("CLIENT", "UNPAUSE")
	}},
	{"full", func(b *breaker, d time.Duration) { // noeviction is the server's default
		b.server.master.Do("CONFIG", "SET", "maxmemory", "1")
		b.pause(d)
		b.server.master.Do("CONFIG", "SET", "maxmemory", "0")
	}},
	{"late-lease", (*breaker).delayLeases},
	{"lost-renewal", (*breaker).loseRenewals},
	{"journal-disk", (*breaker).fillJournalDisk},
}

// run breaks one thing after the other until it is stopped.
func (b *breaker) run() {
	all := breakages
	if *aim != "" {
		names := strings.Split(*aim, ",")
		all = slices.DeleteFunc(slices.Clone(all), func(f breakage) bool { return !slices.Contains(names, f.name) })
	}
	for b.pause(time.Duration(100+b.plan.IntN(300)) * time.Millisecond) {
		b.faulty.Store(true)
		length := time.Duration(100+b.plan.IntN(500)) * time.Millisecond
		breaks := all[b.plan.IntN(len(all))]
		mended := func() {}
		if !strings.HasPrefix(breaks.name, "node-") {
			mended = b.busy.breaks()
		}
		breaks.do(b, length)
		mended()
		b.faulty.Store(false)
	}
}

// pause returns false when the run is over.
func (b *breaker) pause(d time.Duration) bool {
	select {
	case <-b.stop:
		return false
	case <-time.After(d):
		return true
	}
}

// jump sets the log's clock ahead by hours, back, and ahead again, with the log lost when it is set back:
// the IDs of one epoch say nothing in another.
func (b *breaker) jump(d time.Duration) {
	ahead := func() {
		b.jumps++
		b.server.master.Do("XSETID", "forebay:log", fmt.Sprintf("%d-0", time.Now().Add(time.Duration(b.jumps)*time.Hour).UnixMilli()))
	}
	ahead()
	b.pause(d)
	b.server.master.Do("DEL", "forebay:log")
	b.pause(time.Duration(b.plan.IntN(5)) * time.Millisecond)
	ahead()
	b.pause(d / 2)
}

// fall sets the log's clock ahead by an hour and loses the log: those who have read it are ahead of all that
// comes for an hour.
func (b *breaker) fall(d time.Duration) {
	b.server.master.Do("XSETID", "forebay:log", fmt.Sprintf("%d-0", time.Now().Add(time.Hour).UnixMilli()))
	b.pause(d)
	b.server.master.Do("DEL", "forebay:log")
	b.pause(d)
}

// partition fails over to a replica that has lagged, while one node has heard nothing of what is lost, and
// for a while is the only one to talk to the new master.
func (b *breaker) partition(d time.Duration) {
	alone := b.server.proxies[checkNodes-1]
	alone.Hold()
	b.server.replica.Do("REPLICAOF", "NO", "ONE")
	b.pause(300 * time.Millisecond)
	for _, p := range b.server.proxies {
		p.Hold()
	}
	b.server.promote(func() {
		alone.Flow()
		b.pause(500 * time.Millisecond) // its breaker may have to close first
	})
	b.pause(d / 2)
}

// die leaves a master that is no longer followed to two nodes for a while: what it acknowledges to them
// is lost with it.
func (b *breaker) die(d time.Duration) {
	back := b.astray.leave(func(node int) bool { return node < checkNodes-1 })
	b.server.replica.Do("REPLICAOF", "NO", "ONE")
	for _, p := range b.server.proxies[checkNodes-1:] {
		p.Hold()
		p.Switch(b.server.replica)
		p.Flow()
	}
	b.pause(100 * time.Millisecond)
	for _, p := range b.server.proxies[:checkNodes-1] {
		p.Hold()
	}
	b.server.promote(func() {})
	time.Sleep(20 * time.Millisecond) // writes that were on their way when it died
	back()
	b.pause(d)
}
