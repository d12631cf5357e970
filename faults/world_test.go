package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/demo"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/redis"
	"github.com/rs/zerolog"
)

// A world is a few nodes of the platform on one Redis, each behind a proxy of its own that can be made
// to misbehave.
type world struct {
	t       *testing.T
	server  *redistest.Server
	proxies []*toxiproxy.Proxy
	nodes   []*node
	orgs    [len(organisations)]history
	first   [len(organisations)]string // the partner of each organisation that is changed
}

// A node is one platform, asked through its handler.
type node struct {
	platform *demo.Platform
	handler  http.Handler
}

var organisations = [...]string{"acme", "borealis", "cobalt", "dune", "ember"}

// budget is what one operation of the shared tier may cost a request: its default.
const budget = 50 * time.Millisecond

// build starts a server and nodes on it; without a server, one node with its near tier alone.
func build(t *testing.T, nodes int, args ...string) *world {
	t.Helper()
	w := &world{t: t}
	data := t.TempDir() + "/platform.db" // one database for all nodes
	toxic := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	if nodes > 0 {
		w.server = redistest.Start(t, args...)
	}
	for i := range max(nodes, 1) {
		o := demo.Options{DataFile: data, Logger: slog.New(slog.DiscardHandler), Secret: []byte("secret")}
		if nodes > 0 {
			p := toxiproxy.NewProxy(toxic, fmt.Sprint("node", i), "127.0.0.1:0", w.server.Addr())
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Stop)
			tier, err := redis.Open(t.Context(), redis.Options{URL: "redis://" + p.Listen, Budget: budget, Logger: o.Logger})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { tier.Close() })
			w.proxies = append(w.proxies, p)
			o.Shared = tier
		}
		p, err := demo.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		w.nodes = append(w.nodes, &node{p, p.Handler(p.Admin(admin.Options{}))})
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

// A history is what was acknowledged of one organisation's first partner: its names, in order.
type history struct {
	mu    sync.Mutex // one writer at a time
	last  atomic.Int64
	acked atomic.Int64
}

// load is the platform's mix, at a rate, for as long as it is not stopped.
type load struct {
	w    *world
	stop chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex // guards what follows
	taken  []took
	failed []string
	stale  []string
	writes int
}

type took struct {
	at   time.Time
	took time.Duration
}

// run begins a load. Requests start at their time, whether earlier ones have ended or not.
func (w *world) run(perSecond int) *load {
	l := &load{w: w, stop: make(chan struct{})}
	l.done.Go(func() {
		every := time.Second / time.Duration(perSecond)
		next := time.Now()
		for i := 0; ; i++ {
			select {
			case <-l.stop:
				return
			default:
			}
			if wait := time.Until(next); wait > 0 {
				time.Sleep(wait)
			}
			next = next.Add(every)
			l.done.Go(func() { l.request(i) })
		}
	})
	return l
}

func (l *load) end() {
	close(l.stop)
	l.done.Wait()
}

// request makes the i-th request of the mix.
func (l *load) request(i int) {
	n := l.w.nodes[i%len(l.w.nodes)]
	org := (i / 7) % len(organisations)
	name := organisations[org]
	switch i % 50 {
	case 0:
		l.write(n, org)
	case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10:
		l.ask(n, "GET", fmt.Sprintf("/api/templates?cleanroom_id=cr-%d", i%40+1), "")
	case 11, 12, 13, 14, 15:
		l.ask(n, "GET", "/api/status", "")
	case 16, 17, 18, 19:
		l.ask(n, "POST", "/api/chat", fmt.Sprintf(`{"org_id":%q,"message":"Which partners are in retail? %d"}`, name, i%20))
	default:
		h := &l.w.orgs[org]
		least := h.acked.Load()
		body := l.ask(n, "GET", "/api/partners?org_id="+name, "")
		if got := version(body, l.w.first[org]); body != "" && got < least {
			l.mu.Lock()
			l.stale = append(l.stale, fmt.Sprintf("%s: read version %d after %d was acknowledged", name, got, least))
			l.mu.Unlock()
		}
	}
}

// write changes a partner, one version after the other.
func (l *load) write(n *node, org int) {
	h := &l.w.orgs[org]
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.last.Add(1)
	if l.ask(n, "PUT", "/api/partners/"+l.w.first[org], fmt.Sprintf(`{"name":"version %d"}`, v)) != "" {
		// A receipt of an invalidation that waits for the log promises nothing to other nodes yet.
		if n.platform.Cache().Stats().Shared == nil || n.platform.Cache().Stats().Shared.Deferred == 0 {
			h.acked.Store(v)
		}
		l.mu.Lock()
		l.writes++
		l.mu.Unlock()
	}
}

// version reads which version of a partner a list shows; 0 before the first.
func version(body, id string) int64 {
	var list partners
	if json.Unmarshal([]byte(body), &list) != nil {
		return 0
	}
	for _, p := range list.Partners {
		if p.ID == id {
			var v int64
			fmt.Sscanf(p.Name, "version %d", &v)
			return v
		}
	}
	return 0
}

// ask makes a request and returns the body of a good answer.
func (l *load) ask(n *node, method, path, body string) string {
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, "http://platform"+path, from)
	rec := httptest.NewRecorder()
	begun := time.Now()
	n.handler.ServeHTTP(rec, req)
	ended := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = append(l.taken, took{begun, ended.Sub(begun)})
	if rec.Code >= 500 {
		l.failed = append(l.failed, fmt.Sprintf("%s %s: %d %s", method, path, rec.Code, rec.Body))
		return ""
	}
	return rec.Body.String()
}

// since returns how many requests began in a span, their p99 and the slowest.
func (l *load) since(from, to time.Time) (n int, p99, slowest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []time.Duration
	for _, t := range l.taken {
		if !t.at.Before(from) && t.at.Before(to) {
			all = append(all, t.took)
		}
	}
	if len(all) == 0 {
		return 0, 0, 0
	}
	slices.Sort(all)
	return len(all), all[len(all)*99/100], all[len(all)-1]
}

// loads is how often the nodes' origins were asked so far, and how many loads failed.
func (w *world) loads() (n, failed uint64) {
	for _, node := range w.nodes {
		for _, c := range node.platform.Cache().Stats().Classes {
			n += c.Loads
			failed += c.LoadErrors
		}
	}
	return n, failed
}
