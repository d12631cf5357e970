package faults

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/rs/zerolog"
)

// A place starts the servers that nodes stand on and returns the URL of each node's tier.
type place func(w *world) []string

// nodesOfAPlace is how many nodes a world has.
const nodesOfAPlace = 2

// none is not a server: each node has its near tier alone.
func none(*world) []string { return everybody("") }

// one is a server, which each node reaches through a proxy of its own that can be made to misbehave.
func one(args ...string) place {
	return func(w *world) (urls []string) {
		w.t.Helper()
		w.server = redistest.Start(w.t, args...)
		return w.behindProxies()
	}
}

// programs is one server, and nodes in processes of their own.
func programs(w *world) []string {
	w.server, w.open = redistest.Start(w.t), w.program
	return everybody(w.server.URL())
}

// timed is one server whose clock can be set.
func timed(w *world) []string {
	w.server = redistest.StartTimed(w.t)
	return w.behindProxies()
}

func (w *world) behindProxies() (urls []string) {
	for i := range nodesOfAPlace {
		p := w.proxy(fmt.Sprint("node", i), w.server.Addr())
		w.proxies = append(w.proxies, p)
		urls = append(urls, "redis://"+p.Listen)
	}
	return urls
}

func (w *world) proxy(name, to string) *toxiproxy.Proxy {
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), name, "127.0.0.1:0", to)
	if err := p.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.Stop)
	return p
}

// sentinels is a master with a replica, and a sentinel that decides between them.
func sentinels(w *world) []string {
	return w.watched(redistest.Start(w.t), redistest.Start(w.t, "--repl-diskless-sync-delay", "0"))
}

// sentinelsApart is the same with a replica whose clock is an hour behind.
func sentinelsApart(w *world) []string {
	replica := redistest.StartTimed(w.t, "--repl-diskless-sync-delay", "0")
	replica.SetClock(-time.Hour)
	return w.watched(redistest.Start(w.t), replica)
}

// watched makes a pair of servers master and replica, by a way that can be cut, and has a sentinel watch them.
func (w *world) watched(master, replica *redistest.Server) []string {
	w.server, w.shards = master, []shard{{master, replica}}
	w.replication = w.proxy("replication", master.Addr())
	host, port, _ := net.SplitHostPort(w.replication.Listen)
	replica.Do("REPLICAOF", host, port)
	until(w.t, "the replica is in step", func() bool {
		return strings.Contains(replica.Do("INFO", "replication"), "master_link_status:up")
	})
	silence := *duration / 4 // until it takes a master for dead: by default 30 s
	sentinel := master.Sentinel("main", fmt.Sprintf("sentinel down-after-milliseconds main %d", silence.Milliseconds()))
	until(w.t, "the sentinel knows the replica", func() bool {
		return redistest.Ask(w.t, sentinel, "SENTINEL", "REPLICAS", "main") != "*0"
	})
	return everybody("redis+sentinel://" + sentinel + "/main")
}

// cluster is three masters, each with a replica; the first shard has the log.
func cluster(w *world) []string {
	const masters = 3
	all := redistest.Cluster(w.t, masters)
	at := redistest.SlotOf(all[0], "forebay:log") * masters / redistest.Slots
	for i := range masters {
		next := (at + i) % masters
		w.shards = append(w.shards, shard{all[next], all[next+masters]})
	}
	w.server = w.shards[0].master
	return everybody("redis://" + all[0].Addr() + "," + all[1].Addr() + "," + all[2].Addr() + "?cluster=true")
}

func everybody(url string) (urls []string) {
	for range nodesOfAPlace {
		urls = append(urls, url)
	}
	return urls
}

// promoted reports whether the replica of a shard is its master now.
func promoted(shard int) func(*world) bool {
	return func(w *world) bool {
		said, err := w.shards[shard].replica.Try("INFO", "replication") // who is promoted closes its connections
		return err == nil && strings.Contains(said, "role:master")
	}
}
