package faults

import (
	"bytes"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// lateBy is longer than the tier's budget.
const lateBy = 80 * time.Millisecond

// leaseKeys is what the names of leases begin with.
var leaseKeys = []byte("forebay:l:")

// delayLeases lets some answers about leases come after those who asked have given up.
func (b *breaker) delayLeases(d time.Duration) {
	for _, p := range b.server.proxies {
		var asked atomic.Bool
		p.Change(func(said []byte) []byte {
			switch {
			case bytes.Contains(said, leaseKeys):
				asked.Store(rand.IntN(3) == 0)
			case asked.CompareAndSwap(true, false):
				time.Sleep(lateBy)
			}
			return said
		})
	}
	b.pause(d)
	b.unchanged()
}

// loseRenewals cuts a node's connections in the moment when it says something about a lease.
func (b *breaker) loseRenewals(d time.Duration) {
	for _, p := range b.server.proxies {
		p.Change(func(said []byte) []byte {
			if bytes.Contains(said, leaseKeys) && rand.IntN(10) == 0 {
				p.Cut()
			}
			return said
		})
	}
	b.pause(d)
	b.unchanged()
}

func (b *breaker) unchanged() {
	for _, p := range b.server.proxies {
		p.Change(nil)
	}
}

// fillJournalDisk lets no process write to its journal while it cannot reach the log either.
func (b *breaker) fillJournalDisk(d time.Duration) {
	i := b.plan.IntN(checkProcesses)
	proxy := b.server.proxies[checkNodes+i]
	b.processes.limitFiles(i, 0)
	proxy.Hold()
	b.pause(2500 * time.Millisecond) // an invalidation tries for two seconds before it is deferred
	b.processes.limitFiles(i, unix.RLIM_INFINITY)
	b.pause(d / 2)
	proxy.Flow()
}

// limitFiles bounds how long a file a process may write.
func (ps *processes) limitFiles(i int, most uint64) {
	limit := unix.Rlimit{Cur: most, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(ps.running[i].cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		ps.t.Errorf("prlimit: %s", err)
	}
}
