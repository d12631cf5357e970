package faults

import (
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/demo"
	"github.com/forebay-cache/forebay/redis"
	"github.com/forebay-cache/forebay/shared"
)

// A node is what requests are sent to: a platform, a gateway, or a process.
type node struct {
	handler http.Handler
	says    func() standing
	cache   *forebay.Cache // nil: it is in a process of its own …
	process *program       // … which is this one
	origin  origin
	turns   atomic.Int64 // odd: it is frozen or dead, and is sent nothing
}

// here reports whether requests are sent to it.
func (n *node) here() bool { return n.turns.Load()%2 == 0 }

// A standing is what a node says of itself.
type standing struct {
	mode     forebay.TierMode
	away     bool   // it does not ask the server
	deferred int64  // invalidations that wait for the log
	loads    uint64 // of all classes
	loading  int64  // now, in the class with the most
}

func standingOf(c *forebay.Cache) func() standing {
	return func() standing {
		stats := c.Stats()
		s := standing{mode: stats.Mode}
		if shared := stats.Shared; shared != nil {
			s.away, s.deferred = !shared.Connected || shared.Breaker != "closed", shared.Deferred
		}
		for _, class := range stats.Classes {
			s.loads += class.Loads
			s.loading = max(s.loading, class.Loading)
		}
		return s
	}
}

// platform opens a node in this process.
func (w *world) platform(url string, o demo.Options) *node {
	o.Shared = w.tier(url)
	p, err := demo.Open(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { p.Close() })
	return &node{handler: p.Handler(p.Admin(admin.Options{})), cache: p.Cache(), says: standingOf(p.Cache())}
}

// tier opens a node's shared tier; none for no URL.
func (w *world) tier(url string) shared.Tier {
	if url == "" {
		return nil
	}
	tier, err := redis.Open(w.t.Context(), redis.Options{URL: url, Budget: budget, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { tier.Close() })
	return tier
}

// mode is the worst standing of the nodes that are here.
func (w *world) mode() forebay.TierMode {
	for _, n := range w.nodes {
		if !n.here() {
			continue
		}
		if m := n.says().mode; m != forebay.TwoTier {
			return m
		}
	}
	return forebay.TwoTier
}

// away reports whether no node asks the server any more.
func (w *world) away() bool {
	for _, n := range w.nodes {
		if n.here() && !n.says().away {
			return false
		}
	}
	return true
}

// deferred is how many invalidations wait for the log.
func (w *world) deferred() (all int64) {
	for _, n := range w.nodes {
		all += n.says().deferred
	}
	return all
}

// loads is how often the nodes' origins were asked so far.
func (w *world) loads() (all uint64) {
	for _, n := range w.nodes {
		all += n.says().loads
	}
	return all
}
