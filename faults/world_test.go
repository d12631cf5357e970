package faults

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/demo"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/redis"
)

// A world is a few nodes of the platform on one shared tier.
type world struct {
	t       *testing.T
	server  *redistest.Server  // that carries the log
	shards  []shard            // where servers have replicas; the first is the log's
	proxies []*toxiproxy.Proxy // of each node, where there is one server
	nodes   []*node

	replication *toxiproxy.Proxy // between a replica and its master, where sentinels watch
	orgs        [len(organisations)]history
	first       [len(organisations)]string // the partner of each organisation that is changed
}

// away reports whether no node asks the server any more.
func (w *world) away() bool {
	for _, n := range w.nodes {
		if s := n.platform.Cache().Stats().Shared; s.Connected && s.Breaker == "closed" {
			return false
		}
	}
	return true
}

// A shard is a master and who takes its place.
type shard struct{ master, replica *redistest.Server }

// A node is one platform, asked through its handler.
type node struct {
	platform *demo.Platform
	handler  http.Handler
	origin   origin
}

var organisations = [...]string{"acme", "borealis", "cobalt", "dune", "ember"}

// budget is what one operation of the shared tier may cost a request: its default.
const budget = 50 * time.Millisecond

// build starts the servers of a place and the nodes on them.
func build(t *testing.T, where place, o demo.Options) *world {
	t.Helper()
	w := &world{t: t}
	o.DataFile = t.TempDir() + "/platform.db" // one database for all nodes
	o.Logger, o.Secret = slog.New(slog.DiscardHandler), []byte("secret")
	for _, url := range where(w) {
		o.Shared = nil
		if url != "" {
			tier, err := redis.Open(t.Context(), redis.Options{URL: url, Budget: budget, Logger: o.Logger})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { tier.Close() })
			o.Shared = tier
		}
		p, err := demo.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		w.nodes = append(w.nodes, &node{platform: p, handler: p.Handler(p.Admin(admin.Options{}))})
	}
	for i, org := range organisations {
		rec := httptest.NewRecorder()
		w.nodes[0].handler.ServeHTTP(rec, httptest.NewRequest("GET", "http://platform/api/partners?org_id="+org, nil))
		var list partners
		if err := json.Unmarshal(rec.Body.Bytes(), &list); err != nil || len(list.Partners) == 0 {
			t.Fatalf("%s: %s", org, rec.Body)
		}
		w.first[i] = list.Partners[0].ID
	}
	return w
}

type partners struct {
	Partners []struct{ ID, Name string }
}

// mode is the worst standing of the nodes.
func (w *world) mode() forebay.Standing {
	for _, n := range w.nodes {
		if m := n.platform.Cache().Stats().Mode; m != forebay.TwoTier {
			return m
		}
	}
	return forebay.TwoTier
}

// poison makes the proxies misbehave, each as toxiproxy names it; cure makes them well.
func (w *world) poison(kind string, attributes map[string]any, proxies ...*toxiproxy.Proxy) {
	for _, p := range proxies {
		for _, stream := range []string{"upstream", "downstream"} {
			text, err := json.Marshal(map[string]any{"name": kind + stream, "type": kind, "stream": stream, "attributes": attributes})
			if err != nil {
				w.t.Fatal(err)
			}
			if _, err := p.Toxics.AddToxicJson(strings.NewReader(string(text))); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func (w *world) cure() {
	for _, p := range w.proxies {
		p.Toxics.ResetToxics(context.Background())
	}
}
