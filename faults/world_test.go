package faults

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/forebay-cache/forebay/demo"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// A world is a few nodes on one shared tier.
type world struct {
	t       *testing.T
	server  *redistest.Server  // that carries the log
	shards  []shard            // where servers have replicas; the first is the log's
	proxies []*toxiproxy.Proxy // of each node, where there is one server
	behind  *originServer      // the gateways, where they are
	nodes   []*node
	open    func(url string, o demo.Options) *node // default: a platform

	replication *toxiproxy.Proxy // between a replica and its master, where sentinels watch
	busy        sync.WaitGroup   // what breaks the world takes its time
	orgs        [len(organisations)]history
	first       [len(organisations)]string // the partner of each organisation that is changed
}

// A shard is a master and who takes its place.
type shard struct{ master, replica *redistest.Server }

var organisations = [...]string{"acme", "borealis", "cobalt", "dune", "ember"}

// budget is what one operation of the shared tier may cost a request: its default.
const budget = 50 * time.Millisecond

// build starts the servers of a place and the nodes on them.
func build(t *testing.T, where place, o demo.Options) *world {
	t.Helper()
	w := &world{t: t}
	w.open = w.platform
	o.Database = t.TempDir() + "/platform.db" // one database for all nodes
	o.Logger, o.Secret = slog.New(slog.DiscardHandler), []byte("secret")
	for _, url := range where(w) {
		w.nodes = append(w.nodes, w.open(url, o))
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
