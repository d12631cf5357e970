package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/edge"
	"github.com/forebay-cache/forebay/edge/cdn/cdntest"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// versions is an origin of items that change. It answers after a while, with the version from when it was asked.
type versions struct {
	now  [20]atomic.Int64
	slow time.Duration
}

func (v *versions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/item/"))
	answer := v.now[i].Load()
	if v.slow > 0 {
		time.Sleep(rand.N(v.slow))
	}
	w.Header().Set("Cache-Control", "max-age=600")
	w.Header().Set("Cache-Tag", fmt.Sprint("item-", i))
	fmt.Fprint(w, answer)
}

// A worldOfEdge is two gateways on one Redis with a CDN above.
type worldOfEdge struct {
	cdn            *cdntest.CDN
	gateways       []string
	admins         []string
	screens        []*screen
	origin         *versions
	vendor, config string
}

func newEdge(t *testing.T, vendor string) *worldOfEdge {
	t.Helper()
	w := &worldOfEdge{origin: &versions{slow: 20 * time.Millisecond}, vendor: vendor}
	origin := httptest.NewServer(w.origin)
	t.Cleanup(origin.Close)
	redis := redistest.Start(t).URL()
	// The CDN has to be there before the gateways, and they before it: their ports are chosen first.
	ports := []int{redistest.FreePort(t), redistest.FreePort(t)}
	w.cdn = cdntest.Start(t, fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1]))
	token := w.cdn.Token
	if vendor == "cloudfront" {
		token += ":secret"
		w.cdn.EndsIn(300 * time.Millisecond)
	}
	t.Setenv("CDN_TOKEN", token)
	t.Setenv("FOREBAY_SECRET", "a secret")
	w.config = filepath.Join(t.TempDir(), "gateway.yaml")
	text := fmt.Sprintf("origin: %s\ncdn: {vendor: %s, zone: %s, api: %q, probe: %q, per_minute: 6000}\n", origin.URL, vendor, cdntest.Zone, w.cdn.API, w.cdn.URL+"/item/0")
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, port := range ports {
		public, admin, out := start(t, "serve", "--config", w.config, "--redis", redis, "--addr", fmt.Sprintf("127.0.0.1:%d", port))
		w.gateways, w.admins, w.screens = append(w.gateways, public), append(w.admins, admin), append(w.screens, out)
	}
	return w
}

func (w *worldOfEdge) get(t *testing.T, item int) int64 {
	t.Helper()
	res, err := http.Get(fmt.Sprint(w.cdn.URL, "/item/", item))
	if err != nil {
		t.Error(err)
		return 0
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	v, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		t.Errorf("%d: %q", res.StatusCode, b)
	}
	return v
}

func call[T any](t *testing.T, method, url, body string) (out T) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return out
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	if err := json.Unmarshal(b, &out); err != nil || res.StatusCode >= 300 {
		t.Errorf("%s: %d %s", url, res.StatusCode, b)
	}
	return out
}

// change changes an item, invalidates it on a node, and returns its receipt when it is there.
func (w *worldOfEdge) change(t *testing.T, item, node int) (version int64, d edge.Delivery) {
	t.Helper()
	version = w.origin.now[item].Add(1)
	r := call[struct{ ID string }](t, "POST", w.admins[node]+"/api/invalidate", fmt.Sprintf(`{"tag":"item-%d"}`, item))
	for range 6 {
		if d = call[edge.Delivery](t, "GET", w.admins[1-node]+"/api/receipts/"+r.ID+"?wait=10s", ""); d.State != edge.Waiting {
			return version, d
		}
	}
	return version, d
}

// What the CDN refuses is said, kept, and over when it has been retried.
func TestARefusedPurgeIsSaidAndOver(t *testing.T) {
	w := newEdge(t, "fastly")
	health := func() string {
		return call[struct{ Checks map[string]string }](t, "GET", w.admins[0]+"/health", "").Checks["cdn"] + call[struct{ Checks map[string]string }](t, "GET", w.admins[1]+"/health", "").Checks["cdn"]
	}
	w.cdn.Refuse(403)
	if _, d := w.change(t, 1, 0); d.State != edge.Failed || !strings.Contains(d.Why, "403") {
		t.Errorf("%+v", d)
	}
	if !strings.Contains(health(), "403") {
		t.Errorf("health: %q", health())
	}
	w.cdn.Refuse(0)
	if n := call[struct{ Tags int }](t, "POST", w.admins[1]+"/api/edge/retry", "{}"); n.Tags == 0 {
		t.Error("nothing is retried")
	}
	eventually(t, "it is never over", func() bool {
		return health() == "" && len(call[struct{ Dead []edge.Dead }](t, "GET", w.admins[0]+"/api/edge", "").Dead) == 0
	})
}

// Under load, with two gateways and a real cache above: nobody gets an answer through the CDN that was invalidated, once the
// receipt says that it is purged.
func TestNothingStaleAfterTheReceipt(t *testing.T) {
	for _, vendor := range []string{"fastly", "cloudflare", "cloudfront"} {
		t.Run(vendor, func(t *testing.T) {
			w := newEdge(t, vendor)
			loadUntil := make(chan struct{})
			var load, writers sync.WaitGroup
			var asked, stale atomic.Int64
			var known [20]atomic.Int64 // versions whose receipts are there
			for range 8 {
				load.Go(func() {
					for {
						select {
						case <-loadUntil:
							return
						default:
						}
						i := rand.IntN(len(known))
						at := known[i].Load()
						if got := w.get(t, i); got < at {
							stale.Add(1)
							t.Errorf("item %d: version %d after the receipt of %d", i, got, at)
						}
						asked.Add(1)
					}
				})
			}
			var mu sync.Mutex
			var times []time.Duration
			lasts := 6 * time.Second
			if *full {
				lasts = time.Minute
			}
			for n := range 4 {
				writers.Go(func() {
					for end := time.Now().Add(lasts); time.Now().Before(end); {
						begun, item := time.Now(), 5*n+rand.IntN(5)
						version, d := w.change(t, item, n%2)
						if d.State != edge.Purged || d.Turn == nil || len(d.Turn.Nodes) != 2 {
							t.Errorf("%+v", d)
							return
						}
						known[item].Store(version)
						mu.Lock()
						times = append(times, time.Since(begun))
						mu.Unlock()
					}
				})
			}
			writers.Wait()
			close(loadUntil)
			load.Wait()
			slices.Sort(times)
			if len(times) == 0 {
				t.Fatal("no receipt")
			}
			t.Logf("%s: %d answers, %d stale after the receipt; %d receipts, p50 %s, p99 %s; %d purges", vendor, asked.Load(), stale.Load(), len(times),
				times[len(times)/2].Round(time.Millisecond), times[len(times)*99/100].Round(time.Millisecond), w.cdn.Purges())
			s := call[struct{ Turns []edge.Turn }](t, "GET", w.admins[0]+"/api/edge", "")
			if len(s.Turns) == 0 || s.Turns[0].Probe == nil || !s.Turns[0].Probe.New {
				t.Errorf("the probe: %+v", s.Turns)
			}
		})
	}
}
