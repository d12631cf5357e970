package faults

import (
	"strconv"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
)

// Here the server's data goes back in time, and its run stays the same (rule 12). A node that has not read
// what is lost cannot know, until one that has looks again.

// looksWithin is how long it takes at most until a node that has read a record looks whether it is still there.
const looksWithin = 1500 * time.Millisecond

// travels has something lose what was acknowledged lately.
func (b *breaker) travels(lose func()) {
	back := b.astray.leave(everyNode)
	lose()
	b.pause(looksWithin)
	back()
	b.pause(looksWithin / 2)
}

// reload loads an older snapshot.
func (b *breaker) reload(d time.Duration) {
	b.travels(func() {
		b.server.master.Do("SAVE")
		b.pause(d)
		b.server.master.Do("DEBUG", "RELOAD", "NOSAVE")
	})
}

// swap puts another database in place of the one with the log, and that one back.
func (b *breaker) swap(d time.Duration) {
	b.travels(func() {
		b.server.master.Do("SWAPDB", "0", "1")
		b.pause(d)
		b.server.master.Do("SWAPDB", "0", "1")
	})
}

// forget deletes the newest record.
func (b *breaker) forget(time.Duration) {
	b.travels(func() {
		b.server.master.Do("EVAL", `local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
			if last[1] then redis.call('XDEL', KEYS[1], last[1][1]) end return 1`, "1", "forebay:log")
	})
}

// thereAndBack makes a replica that has lagged the master's master, so that it takes the replica's data, and
// then makes it master again before any node has met the other one.
func (b *breaker) thereAndBack(d time.Duration) {
	m, r := b.server.master, b.server.replica
	b.travels(func() {
		r.Do("REPLICAOF", "NO", "ONE")
		b.pause(d)
		m.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(r.Port))
		b.awaitLink(m)
		m.Do("REPLICAOF", "NO", "ONE")
	})
	b.server.follow()
}

// demote makes the master a replica whose link is down, with nodes still connected to it, while the others go
// to the new master.
func (b *breaker) demote(d time.Duration) {
	m, r := b.server.master, b.server.replica
	b.awaitLink(r)
	m.Do("REPLICAOF", "127.0.0.1", "1")
	r.Do("REPLICAOF", "NO", "ONE")
	for _, p := range b.server.proxies[checkNodes-1:] {
		p.Switch(r)
	}
	b.pause(d)
	for _, p := range b.server.proxies[:checkNodes-1] {
		p.Switch(r)
	}
	b.server.master, b.server.replica = r, m
	b.server.follow()
	b.pause(d / 2)
}

// awaitLink waits until a replica has its master's data.
func (b *breaker) awaitLink(s *redistest.Server) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if said, err := s.Try("INFO", "replication"); err == nil && strings.Contains(said, "master_link_status:up") {
			return
		}
	}
	b.t.Error("the replica did not get its master's data within 5 s")
}
