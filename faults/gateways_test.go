package faults

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/demo"
	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// An originFault is a way in which the origin of gateways breaks.
type originFault struct {
	name    string
	answer  func(o *originServer, w http.ResponseWriter, r *http.Request) // nil: nothing listens
	healthy bool                                                          // not a fault: there for comparison
}

var ofOrigin = []originFault{
	{name: "nothing, for comparison: gateways", answer: func(o *originServer, w http.ResponseWriter, r *http.Request) { o.platform.ServeHTTP(w, r) }, healthy: true},
	{name: "the origin down"},
	{name: "the origin answers 500", answer: func(_ *originServer, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }},
	{name: "the origin answers 503", answer: func(_ *originServer, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }},
	{name: "the origin hangs", answer: func(o *originServer, w http.ResponseWriter, r *http.Request) {
		o.hang(r, time.Hour)
		w.WriteHeader(503)
	}},
	{name: "the origin slower than the hard timeout", answer: func(o *originServer, w http.ResponseWriter, r *http.Request) {
		o.hang(r, 4*kept.LoadTimeout)
		o.platform.ServeHTTP(w, r)
	}},
	{name: "the origin closes without an answer", answer: func(o *originServer, w http.ResponseWriter, _ *http.Request) { o.say(w, "") }},
	{name: "the origin breaks off half an answer", answer: func(o *originServer, w http.ResponseWriter, _ *http.Request) {
		o.say(w, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"half\":")
	}},
	{name: "the origin answers nonsense", answer: func(o *originServer, w http.ResponseWriter, _ *http.Request) { o.say(w, "nonsense\r\n\r\n") }},
}

// kept is the class of everything that the gateways cache. Its lives are short, so that the origin is needed all
// the time.
var kept = forebay.Class{Name: "kept", TTL: time.Second, Stale: time.Second, StaleIfError: time.Hour, Wait: 20 * time.Millisecond, LoadTimeout: 500 * time.Millisecond, MaxLoads: 4}

// An originServer is a platform as the origin of gateways.
type originServer struct {
	platform http.Handler
	way      *toxiproxy.Proxy
	fault    atomic.Pointer[lasting]

	mu    sync.Mutex     // guards the fields below
	now   map[string]int // requests by URI
	ofOne int            // the most at once of one URI
}

// A lasting fault goes on until it is mended.
type lasting struct {
	originFault
	mended chan struct{}
}

// gateways are on one server, in front of one origin.
func gateways(w *world) []string {
	w.server, w.open = redistest.Start(w.t), w.gateway
	return everybody(w.server.URL())
}

func (w *world) gateway(url string, o demo.Options) *node {
	w.t.Helper()
	if w.behind == nil {
		w.behind = &originServer{platform: w.platform("", o).handler, now: map[string]int{}}
		server := httptest.NewServer(w.behind)
		w.t.Cleanup(server.Close)
		w.behind.way = w.proxy("origin", server.Listener.Addr().String())
	}
	rule := func(match string) httpcache.Rule {
		return httpcache.Rule{Match: match, Class: kept.Name, Override: true}
	}
	chat := rule("POST /api/chat")
	chat.BodyKey, chat.Events = &httpcache.BodyKey{}, httpcache.EndDone
	g, err := gateway.Open(w.t.Context(), gateway.Options{Shared: w.tier(url), Secret: o.Secret, Logger: slog.New(slog.DiscardHandler), Config: gateway.Config{
		Origin: "http://" + w.behind.way.Listen, Classes: []forebay.Class{kept},
		Rules: []httpcache.Rule{rule("GET /api/partners"), rule("GET /api/templates"), rule("GET /api/status"), chat},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { g.Close() })
	return &node{handler: g, cache: g.Cache(), says: standingOf(g.Cache())}
}

func (o *originServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == "GET" { // the URI of others does not say what they ask
		uri := r.URL.String()
		o.enter(uri, 1)
		defer o.enter(uri, -1)
	}
	if f := o.fault.Load(); f != nil {
		f.answer(o, w, r)
		return
	}
	o.platform.ServeHTTP(w, r)
}

func (o *originServer) enter(uri string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now[uri] += n
	o.ofOne = max(o.ofOne, o.now[uri])
}

// hang waits for so long, or until the caller has gone, which a server sees only once it has read the body, or
// the fault is over.
func (o *originServer) hang(r *http.Request, d time.Duration) {
	f := o.fault.Load()
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	case <-f.mended:
	}
}

// say writes what need not be HTTP, and closes the connection.
func (o *originServer) say(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	io.WriteString(conn, text)
	conn.Close()
}

func (o *originServer) breaks(f originFault) (mend func(t *testing.T)) {
	if f.answer == nil {
		o.way.Stop()
		return func(t *testing.T) {
			if err := o.way.Start(); err != nil {
				t.Fatal(err)
			}
		}
	}
	b := &lasting{f, make(chan struct{})}
	o.fault.Store(b)
	return func(*testing.T) {
		o.fault.Store(nil)
		close(b.mended)
	}
}

// run has the mix asked of gateways whose origin breaks. What they have, they serve; what they do not have is
// a clear error; and the origin is not asked more than it may be.
func (f originFault) run(t *testing.T) result {
	w := build(t, gateways, demo.Options{})
	until(t, "healthy", func() bool { return w.mode() == forebay.TwoTier })
	w.askAllOnce()
	l := w.run(*rate)
	time.Sleep(time.Second)
	before := w.loads()

	r := result{name: f.name, degradedIn: -1}
	begun := time.Now()
	mend := w.behind.breaks(f)
	loading := int64(0)
	for ; time.Since(begun) < *duration; time.Sleep(5 * time.Millisecond) {
		for _, n := range w.nodes {
			loading = max(loading, n.says().loading)
		}
	}
	r.latency, r.loads = l.since(begun, time.Now(), false), w.loads()-before
	if !f.healthy {
		w.askUnknown()
	}
	mend(t)
	mended := time.Now()
	l.write(w.nodes[0], 0)
	until(t, "healed", func() bool { return w.orgs[0].answered == w.orgs[0].last && l.shown(0) })
	r.healedIn = time.Since(mended)
	l.end()
	r.atOnce, r.failed, r.refused = w.behind.ofOne, len(l.failed), len(l.refused)

	if r.failed > 0 {
		t.Errorf("%d reads failed of what had been asked before, the first: %s", r.failed, l.failed[0])
	}
	if loading > int64(kept.MaxLoads) {
		t.Errorf("a node made %d loads at once; %d are the limit", loading, kept.MaxLoads)
	}
	if r.atOnce > 2*len(w.nodes) { // an origin that hangs notices late that its caller has gone
		t.Errorf("the origin was asked %d times at once for one URI", r.atOnce)
	}
	return r
}

// askAllOnce asks for everything that the mix will ask for.
func (w *world) askAllOnce() {
	l := &load{w: w}
	for i := range mixRepeats {
		if i%50 != 0 { // a write
			l.request(i)
		}
	}
}

// askUnknown asks for what no gateway has: a clear error comes, or the origin's own, or an answer that breaks off.
func (w *world) askUnknown() {
	w.t.Helper()
	for _, n := range w.nodes {
		rec := httptest.NewRecorder()
		whole := serve(n.handler, rec, httptest.NewRequest("GET", "http://platform/api/partners?org_id=acme&q=never-asked-before", nil))
		if own := rec.Code == 500 || rec.Code == 503; whole && (rec.Code < 500 || !own && !strings.Contains(rec.Body.String(), "the origin")) {
			w.t.Errorf("with nothing stored: %d %s", rec.Code, rec.Body)
		}
	}
}
