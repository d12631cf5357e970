package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/httpcache"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file, which the pages are tested with too.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, got, "", "  "); err != nil {
		t.Fatalf("%s: %v in %s", name, err, got)
	}
	pretty.WriteByte('\n')
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pretty.Bytes(), want) {
		t.Errorf("%s is out of date: go test ./admin -update, and look at the difference\n%s", path, pretty.Bytes())
	}
}

// A little day of a cache: hits, misses, an origin that fails, invalidations, seen second by second.
func aLittleDay(t *testing.T, test func(t *testing.T, c *forebay.Cache, a *admin.Admin)) {
	synctest.Test(t, func(t *testing.T) {
		c, err := forebay.Open(t.Context(), forebay.Options{
			Node: "web-1", NearBytes: 1 << 20, Secret: []byte("s"),
			Classes: []forebay.Class{{Name: "partner_data", TTL: 15 * time.Minute, Jitter: -1}, {Name: "chat", TTL: 5 * time.Minute}, {Name: "idle"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f, err := forebay.Wrap(c, "partner_data", func(_ context.Context, p string) (string, error) {
			time.Sleep(200 * time.Millisecond)
			if p == "nobody" {
				return "", errDown
			}
			return "value of " + p, nil
		}, forebay.KeepBy(func(_ context.Context, p, _ string) forebay.Keep { return forebay.Keep{Tags: []string{"org:" + p}} }))
		if err != nil {
			t.Fatal(err)
		}
		calls := atomic.Int64{}
		a := admin.New(c, quiet(admin.Options{
			Version: "v1", Loopback: true, Platform: true, Parts: admin.Parts{Front: "platform", Origin: "partner API", Database: "SQLite"},
			OriginCalls: func() int64 { return calls.Load() },
		}))
		defer a.Close()
		h := a.Measure(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			res := f.Do(r.Context(), r.URL.Query().Get("org_id"))
			w.Header().Set("Cache-Status", httpcache.Status(res.Outcome))
			if res.Err != nil {
				calls.Add(1)
				w.WriteHeader(http.StatusBadGateway)
			} else if res.Status == forebay.Miss {
				calls.Add(1)
			}
			w.Write([]byte(res.Value))
		}))
		synctest.Wait()
		for i, org := range []string{"acme", "acme", "borealis", "acme", "nobody", "acme", "borealis", "acme"} {
			time.Sleep(300 * time.Millisecond)
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/partners?org_id="+org, nil))
			if i == 4 {
				request(a.Handler(), "POST", "/api/invalidate", `{"tag":"org:acme"}`)
			}
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		test(t, c, a)
	})
}

// operations are the paths that only read, and their golden files.
var operations = map[string]string{
	"/api/overview": "overview.json", "/api/cache-stats": "stats.json", "/api/series?step=1s": "series.json", "/api/topology": "topology.json",
	"/api/keys": "keys.json", "/api/entries?tag=org:acme": "entries.json", "/api/requests": "requests.json", "/api/activity": "activity.json",
	"/health": "health.json",
}

func TestGoldenAnswers(t *testing.T) {
	aLittleDay(t, func(t *testing.T, _ *forebay.Cache, a *admin.Admin) {
		for path, file := range operations {
			w := request(a.Handler(), "GET", path, "")
			if w.Code != 200 {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
				continue
			}
			golden(t, file, w.Body.Bytes())
		}
	})
}

func TestTheDescription(t *testing.T) {
	c, _ := open(t)
	w := request(admin.New(c, quiet(admin.Options{Version: "v1"})).Handler(), "GET", "/api/openapi.json", "")
	golden(t, "openapi.json", w.Body.Bytes())
	var doc struct {
		OpenAPI string
		Paths   map[string]any
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatal(err, doc.OpenAPI)
	}
	for path := range operations {
		path, _, _ = strings.Cut(path, "?")
		if doc.Paths[path] == nil {
			t.Errorf("%s is not described", path)
		}
	}
}

// Every answer is as the description says.
func TestAnswersAreAsDescribed(t *testing.T) {
	aLittleDay(t, func(t *testing.T, _ *forebay.Cache, a *admin.Admin) {
		doc := admin.Description(a)
		for path := range operations {
			plain, _, _ := strings.Cut(path, "?")
			schema := doc.Paths[plain].Get.Responses["200"].Content["application/json"].Schema
			var got any
			if err := json.Unmarshal(request(a.Handler(), "GET", path, "").Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			var res huma.ValidateResult
			huma.Validate(doc.Components.Schemas, schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, got, &res)
			for _, err := range res.Errors {
				t.Errorf("%s: %v", path, err)
			}
		}
	})
}

// For one moment, the statistics, the series, the metrics and the picture say the same.
func TestTheFiguresAgree(t *testing.T) {
	aLittleDay(t, func(t *testing.T, _ *forebay.Cache, a *admin.Admin) {
		stats, total, latency := a.Stats(), admin.ClassPoint{}, map[string]uint64{}
		requests := uint64(0)
		for _, p := range a.Series("1s").Points {
			c := p.Classes["partner_data"]
			total.Near += c.Near
			total.Misses += c.Misses
			total.Loads += c.Loads
			total.LoadErrors += c.LoadErrors
			total.SavedSeconds += c.SavedSeconds
			requests += p.Requests
			for outcome, q := range p.Latency {
				latency[outcome] += q.N
			}
		}
		want := stats.Classes["partner_data"]
		if total.Near != want.NearHits || total.Misses != want.Misses || total.Loads != want.Loads || total.LoadErrors != want.LoadErrors || total.SavedSeconds < want.SavedSeconds-1e-6 {
			t.Errorf("series %+v, statistics %+v", total, want)
		}
		if latency["near"] != want.Hits || latency["miss"] != want.Misses || requests != want.Hits+want.Misses {
			t.Errorf("latencies of %v, %d requests; statistics %+v", latency, requests, want)
		}
		metrics := request(a.Handler(), "GET", "/metrics", "").Body.String()
		for line, n := range map[string]uint64{
			`forebay_requests_total{class="partner_data",outcome="hit"} `:  want.Hits,
			`forebay_requests_total{class="partner_data",outcome="miss"} `: want.Misses,
			`forebay_loads_total{class="partner_data"} `:                   want.Loads,
		} {
			if !strings.Contains(metrics, line+string(rune('0'+n))+"\n") {
				t.Errorf("metrics do not say %s%d", line, n)
			}
		}
		for _, r := range a.Requests() {
			latency[r.Outcome]--
		}
		if latency["near"] != 0 || latency["miss"] != 0 {
			t.Errorf("the sample of requests is not all of them: %v", latency)
		}
	})
}

func TestTheSeriesKeepItsSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := forebay.Open(t.Context(), forebay.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f, _ := forebay.Wrap(c, "c", func(_ context.Context, n int) (int, error) { return n, nil })
		a := admin.New(c, quiet(admin.Options{}))
		defer a.Close()
		synctest.Wait()
		time.Sleep(500 * time.Millisecond) // between two looks
		for i := range 1300 {
			f.Get(t.Context(), i%7)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		for step, want := range map[string]struct {
			points  int
			lookups uint64 // in the last one
		}{"1s": {600, 1}, "10s": {130, 10}, "1m": {21, 60}} {
			points := a.Series(step).Points
			c := points[len(points)-1].Classes["c"]
			if len(points) != want.points || c.Near+c.Misses != want.lookups {
				t.Errorf("%s: %d points, the last %+v", step, len(points), points[len(points)-1])
			}
		}
	})
}

// The manual's page of operations is made from the description.
func TestReference(t *testing.T) {
	c, _ := open(t)
	a := admin.New(c, quiet(admin.Options{}))
	defer a.Close()
	var b strings.Builder
	b.WriteString("# Operations over HTTP\n\n> Made from the description in OpenAPI 3.1, which each listener serves at `/api/openapi.json`. Change it there, then `go test ./admin -update`.\n\n" +
		"| operation | what it does | who may |\n| --- | --- | --- |\n")
	paths := admin.Description(a).Paths
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post} {
			if op == nil {
				continue
			}
			who := "everybody"
			if len(op.Security) > 0 {
				who = "operators"
			}
			name := "`" + op.Method + " " + path
			for i, p := range op.Parameters {
				name += map[bool]string{true: "?", false: "&"}[i == 0] + p.Name + "="
			}
			fmt.Fprintf(&b, "| %s` | %s | %s |\n", name, op.Summary, who)
		}
	}
	b.WriteString("| `GET /metrics` | The same for Prometheus | everybody |\n\nAn operator may change something, and see keys: [the dashboard](dashboard.md) says how.\n")
	const file = "../docs/admin-api.md"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != b.String() {
		t.Errorf("%s is out of date: go test ./admin -update", file)
	}
}
