package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/forebaytest"
	"github.com/forebay-cache/forebay/metrics"
	spans "github.com/forebay-cache/forebay/otel"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A service is two nodes on one database, and a partner whose calls are counted.
type service struct {
	t       *testing.T
	store   *Store
	caches  []*forebay.Cache
	nodes   []http.Handler
	calls   atomic.Int64
	partner atomic.Bool // it answers
}

func start(t *testing.T, o forebay.Options) *service {
	t.Helper()
	s := &service{t: t}
	s.partner.Store(true)
	partner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		if !s.partner.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, `{"Rate": 1.25}`)
	}))
	t.Cleanup(partner.Close)
	var err error
	if s.store, err = OpenStore(t.Context(), filepath.Join(t.TempDir(), "service.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.store.Close() })
	s.caches = forebaytest.Nodes(t, 2, o)
	for _, c := range s.caches {
		k, err := newCached(c, s.store, &Partner{URL: partner.URL})
		if err != nil {
			t.Fatal(err)
		}
		s.nodes = append(s.nodes, routes(k, s.store))
	}
	return s
}

// ask sends a request to a node, and returns what it says and how that came about.
func (s *service) ask(node int, user, method, path string) (answer, how string) {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, nil)
	r.Header.Set("X-User", user)
	w := httptest.NewRecorder()
	s.nodes[node].ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code >= 500 {
		s.t.Fatalf("%s %s: %d %s %v", method, path, w.Code, text, err)
	}
	return strings.TrimSpace(string(text)), w.Header().Get("X-Cache")
}

// eventually waits for what another node hears within milliseconds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func TestAWriteReachesEveryReadOnEveryNode(t *testing.T) {
	s := start(t, options())
	for _, path := range []string{"/users/1", "/teams/red", "/search?q=an"} {
		for node := range s.nodes {
			s.ask(node, "", "GET", path)
			if answer, how := s.ask(node, "", "GET", path); how != "hit" || !strings.Contains(answer, "Anna") {
				t.Errorf("%s on node %d: %s, %s", path, node, how, answer)
			}
		}
	}
	s.ask(0, "", "PUT", "/users/1?name="+url.QueryEscape("Annette"))
	for _, path := range []string{"/users/1", "/teams/red", "/search?q=an"} {
		if answer, _ := s.ask(0, "", "GET", path); !strings.Contains(answer, "Annette") {
			t.Errorf("%s where it was written: %s", path, answer)
		}
		eventually(t, path+" on the other node is what it was", func() bool {
			answer, _ := s.ask(1, "", "GET", path)
			return strings.Contains(answer, "Annette")
		})
	}
}

func TestACrashBetweenCommitAndInvalidation(t *testing.T) {
	s := start(t, options())
	s.ask(0, "", "GET", "/users/1")
	if err := s.store.Rename(t.Context(), 1, "Annette"); err != nil { // and here the process ends
		t.Fatal(err)
	}
	if err := drain(t.Context(), s.store, s.caches[1]); err != nil { // another node does what it left
		t.Fatal(err)
	}
	eventually(t, "the first node is not told", func() bool {
		answer, _ := s.ask(0, "", "GET", "/users/1")
		return strings.Contains(answer, "Annette")
	})
}

func TestEachHasTheirOwnTheme(t *testing.T) {
	s := start(t, options())
	s.ask(0, "1", "PUT", "/me/theme?theme=dark")
	s.ask(0, "2", "PUT", "/me/theme?theme=light")
	for user, want := range map[string]string{"1": `"dark"`, "2": `"light"`} {
		if answer, how := s.ask(0, user, "GET", "/me/theme"); answer != want || how != "hit" {
			t.Errorf("user %s: %s, %s", user, answer, how)
		}
	}
	if _, how := s.ask(0, "", "GET", "/me/theme"); how != "bypass" {
		t.Errorf("nobody: %s", how)
	}
}

func TestThePartnerIsAway(t *testing.T) {
	o := options()
	o.Classes[2].TTL, o.Classes[2].Stale = time.Millisecond, -1
	s := start(t, o)
	s.ask(0, "", "GET", "/rates/eur")
	s.partner.Store(false)
	time.Sleep(10 * time.Millisecond)
	if answer, how := s.ask(0, "", "GET", "/rates/eur"); answer != "1.25" || how != "stale" {
		t.Errorf("%s, %s", answer, how)
	}
}

func TestWhatOperatorsSee(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	o := options()
	o.Trace = spans.Trace(provider.Tracer("test"))
	s := start(t, o)
	collector := metrics.New(s.caches[0])
	s.nodes[0] = otelhttp.NewHandler(s.nodes[0], "service", otelhttp.WithTracerProvider(provider))
	s.ask(0, "", "GET", "/users/1")
	s.ask(0, "", "GET", "/users/1")
	want := `
# HELP forebay_loads_total Loads: calls of the origin whose answer may be shared and stored.
# TYPE forebay_loads_total counter
forebay_loads_total{class="rates"} 0
forebay_loads_total{class="settings"} 0
forebay_loads_total{class="users"} 1
`
	if err := testutil.CollectAndCompare(collector, strings.NewReader(want), "forebay_loads_total"); err != nil {
		t.Error(err)
	}
	origin := 0
	for _, span := range recorder.Ended() {
		if span.Name() == "forebay origin" && span.Parent().IsValid() {
			origin++
		}
	}
	if origin != 1 {
		t.Errorf("%d spans of the origin", origin)
	}
}
