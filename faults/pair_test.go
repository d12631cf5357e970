package faults

import (
	"strconv"
	"testing"

	"github.com/forebay-cache/forebay/internal/redistest"
)

// A pair is a master and its replica, which nodes reach through a proxy each.
type pair struct {
	master, replica *redistest.Server
	proxies         []*redistest.Proxy
}

func newPair(t *testing.T, proxies int) *pair {
	t.Helper()
	args := []string{"--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0", "--enable-debug-command", "local"}
	p := &pair{master: redistest.Start(t, args...), replica: redistest.Start(t, args...)}
	p.follow()
	for range proxies {
		p.proxies = append(p.proxies, redistest.NewProxy(t, p.master))
	}
	return p
}

// follow makes the replica one.
func (p *pair) follow() {
	p.replica.Do("REPLICAOF", "127.0.0.1", strconv.Itoa(p.master.Port))
}

// failover makes the replica the master after it has lagged for a while: what was written meanwhile is
// lost. No two masters answer at once.
func (p *pair) failover(lag func()) {
	p.replica.Do("REPLICAOF", "NO", "ONE")
	lag()
	for _, proxy := range p.proxies {
		proxy.Hold()
	}
	p.promote(func() {})
}

// promote kills the master and leads every client to the replica, which is the master then. A client that is held
// flows again after meanwhile has returned.
func (p *pair) promote(meanwhile func()) {
	p.master.Kill()
	for _, proxy := range p.proxies {
		proxy.Switch(p.replica)
	}
	meanwhile()
	for _, proxy := range p.proxies {
		proxy.Flow()
	}
	p.master, p.replica = p.replica, p.master
	p.replica.Restart()
	p.follow()
}
