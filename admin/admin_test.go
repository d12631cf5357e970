package admin_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/internal/coding"
)

var errDown = errors.New("the origin is down")

func open(t *testing.T) (*forebay.Cache, *forebay.Func[string, string]) {
	t.Helper()
	c, err := forebay.Open(context.Background(), forebay.Options{Classes: []forebay.Class{{Name: "c"}, {Name: "unused"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	f, err := forebay.Wrap(c, "c", func(_ context.Context, p string) (string, error) {
		if p == "bad" {
			return "", errDown
		}
		return "value of " + p, nil
	}, forebay.KeepBy(func(_ context.Context, p, _ string) forebay.Keep { return forebay.Keep{Tags: []string{"tag-" + p}} }))
	if err != nil {
		t.Fatal(err)
	}
	return c, f
}

func quiet(o admin.Options) admin.Options {
	o.Logger = slog.New(slog.DiscardHandler)
	return o
}

func request(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:9191"
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestStatistics(t *testing.T) {
	c, f := open(t)
	a := admin.New(c, quiet(admin.Options{Version: "v1", OriginCalls: func() int64 { return 42 }}))
	if s := a.Stats(); s.HitRate != nil {
		t.Error("a hit rate before the first look-up")
	}
	ctx := context.Background()
	f.Get(ctx, "x")
	f.Get(ctx, "x")
	f.Get(ctx, "x")
	f.Get(ctx, "bad")
	w := request(a.Handler(), "GET", "/api/cache-stats", "")
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"mode", "hit_rate", "hits", "stale_hits", "coalesced", "misses", "loads", "load_errors", "saved_seconds",
		"classes", "near", "shared", "log", "origin", "uptime_seconds", "version"} {
		if _, ok := got[field]; !ok {
			t.Errorf("no field %q", field)
		}
	}
	if got["mode"] != "near-only" || got["hit_rate"] != 0.5 || got["hits"] != 2.0 || got["misses"] != 2.0 || got["loads"] != 2.0 ||
		got["load_errors"] != 1.0 || got["shared"] != nil || got["version"] != "v1" || got["origin"].(map[string]any)["calls"] != 42.0 {
		t.Errorf("%s", w.Body)
	}
	if unused := got["classes"].(map[string]any)["unused"].(map[string]any); unused["hit_rate"] != nil || unused["ttl_seconds"] != 300.0 {
		t.Errorf("unused class: %v", unused)
	}
}

func TestHealth(t *testing.T) {
	c, f := open(t)
	var down error
	a := admin.New(c, quiet(admin.Options{Checks: map[string]admin.Check{"database": func(context.Context) error { return down }}}))
	check := func(code int, status, reason string) {
		t.Helper()
		for _, path := range []string{"/health", "/health/ready"} {
			w := request(a.Handler(), "GET", path, "")
			if w.Code != code || !strings.Contains(w.Body.String(), `"status":"`+status+`"`) || !strings.Contains(w.Body.String(), reason) {
				t.Errorf("%s: %d %s; want %d, %s, %q", path, w.Code, w.Body, code, status, reason)
			}
		}
		if w := request(a.Handler(), "GET", "/health/live", ""); w.Code != 200 {
			t.Errorf("live: %d", w.Code)
		}
	}
	check(200, "ok", `"reasons":[]`)
	down = errors.New("connection refused")
	check(200, "degraded", "database: connection refused")
	down = nil
	for range 20 {
		f.Get(context.Background(), "bad")
	}
	check(200, "degraded", "class c: calls of its origin fail (20 of 20 since ")
	c.Close()
	check(503, "unhealthy", "closed")
}

func TestInvalidate(t *testing.T) {
	for _, test := range []struct {
		body string
		code int
		gone bool
	}{
		{`{"key":"c:x,"}`, 200, true},
		{`{"tag":"tag-x"}`, 200, true},
		{`{"class":"c","mode":"remove"}`, 200, true},
		{`{"pattern":"c:*"}`, 200, true},
		{`{"all":true}`, 200, true},
		{`{"tag":"tag-x","mode":"expire"}`, 200, true},
		{`{"tag":"other"}`, 200, false},
		{`{}`, 422, false},
		{`{"all":false}`, 422, false},
		{`{"key":"c:x,","tag":"t"}`, 422, false},
		{`{"key":"c:x,","mode":"soft"}`, 422, false},
		{`{"class":"nobody"}`, 422, false},
		{`oops`, 400, false},
		{`{"key":"` + strings.Repeat("x", 1<<17) + `"}`, 413, false},
	} {
		c, f := open(t)
		f.Get(context.Background(), "x")
		a := admin.New(c, quiet(admin.Options{Loopback: true}))
		w := request(a.Handler(), "POST", "/api/invalidate", test.body)
		if w.Code != test.code {
			t.Errorf("%.40s: %d %s, want %d", test.body, w.Code, w.Body, test.code)
		}
		if gone := f.Do(context.Background(), "x").Status != forebay.Hit; gone != test.gone {
			t.Errorf("%.40s: gone %v, want %v", test.body, gone, test.gone)
		}
		if w.Code == 200 && !strings.Contains(w.Body.String(), `"id":"1`) {
			t.Errorf("no receipt: %s", w.Body)
		}
	}
}

func TestWhoMayChangeSomething(t *testing.T) {
	for _, test := range []struct {
		name     string
		token    string
		loopback bool
		headers  []string
		code     int
	}{
		{"direct, on loopback", "", true, nil, 200},
		{"by name", "", true, []string{"Host", "localhost:9191"}, 200},
		{"IPv6", "", true, []string{"Host", "[::1]:9191"}, 200},
		{"bound elsewhere", "", false, nil, 403},
		{"forwarded by a proxy", "", true, []string{"X-Forwarded-For", "10.0.0.1"}, 403},
		{"forwarded by another", "", true, []string{"Forwarded", "for=10.0.0.1"}, 403},
		{"via", "", true, []string{"Via", "1.1 proxy"}, 403},
		{"a rebound name", "", true, []string{"Host", "evil.example:9191"}, 403},
		{"another site's page", "", true, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"the token", "secret", false, []string{"Authorization", "Bearer secret"}, 200},
		{"the token through a proxy", "secret", false, []string{"Authorization", "Bearer secret", "X-Forwarded-For", "10.0.0.1"}, 200},
		{"no token", "secret", true, nil, 401},
		{"a wrong token", "secret", true, []string{"Authorization", "Bearer Secret"}, 401},
		{"the token without its scheme", "secret", true, []string{"Authorization", "secret"}, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _ := open(t)
			a := admin.New(c, quiet(admin.Options{Token: test.token, Loopback: test.loopback}))
			w := request(a.Handler(), "POST", "/api/invalidate", `{"all":true}`, test.headers...)
			if w.Code != test.code {
				t.Errorf("%d %s, want %d", w.Code, w.Body, test.code)
			}
			if w.Code == 403 && test.headers == nil && !strings.Contains(w.Body.String(), "FOREBAY_ADMIN_TOKEN") {
				t.Errorf("does not say how: %s", w.Body)
			}
		})
	}
}

func TestReadingNeverShowsValues(t *testing.T) {
	c, f := open(t)
	f.Get(context.Background(), "x")
	mux := http.NewServeMux()
	admin.New(c, quiet(admin.Options{})).Register(mux)
	for _, path := range []string{"/api/cache-stats", "/health", "/metrics"} {
		if w := request(mux, "GET", path, ""); w.Code != 200 || strings.Contains(w.Body.String(), "value of") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := request(mux, "POST", "/api/invalidate", `{"all":true}`); w.Code != 404 {
		t.Errorf("the public listener invalidates: %d", w.Code)
	}
}

func TestMetricsAgreeWithStatistics(t *testing.T) {
	c, f := open(t)
	a := admin.New(c, quiet(admin.Options{Version: "v1"}))
	for range 3 {
		f.Get(context.Background(), "x")
	}
	w := request(a.Handler(), "GET", "/metrics", "")
	for _, line := range []string{
		`forebay_requests_total{class="c",outcome="hit"} 2`, `forebay_requests_total{class="c",outcome="miss"} 1`,
		`forebay_misses_total{class="c",reason="absent"} 1`, `forebay_loads_total{class="c"} 1`, `forebay_near_entries{class="c"} 1`,
		`forebay_log_confirmed 1`, `forebay_build_info{version="v1"} 1`, "go_goroutines ",
	} {
		if !strings.Contains(w.Body.String(), line) {
			t.Errorf("no line %q in\n%s", line, w.Body)
		}
	}
}

// Between the stream and the network stand what measures and what compresses: neither holds it back.
func TestEventsAreNotHeldBack(t *testing.T) {
	c, _ := open(t)
	a := admin.New(c, quiet(admin.Options{}))
	server := httptest.NewServer(a.Measure(coding.Handler(a.Handler())))
	defer server.Close()
	defer a.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", server.URL+"/api/events", nil)
	req.Header.Set("Accept-Encoding", "gzip") // the client does not unpack what it was told to ask for
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body := io.Reader(res.Body)
	if res.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(res.Body); err != nil {
			t.Fatal(err)
		}
	}
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	seen := ""
	for lines.Scan() && !strings.Contains(seen, "event: live") {
		seen += lines.Text() + "\n"
	}
	if err := lines.Err(); err != nil || !strings.HasPrefix(seen, "event: stats\n") {
		t.Errorf("%v after %.300s", err, seen)
	}
}

func TestEvents(t *testing.T) {
	c, _ := open(t)
	a := admin.New(c, quiet(admin.Options{}))
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	res, err := http.Get(server.URL + "/api/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	first, _ := lines.ReadString('\n')
	second, _ := lines.ReadString('\n')
	if first != "event: stats\n" || !strings.HasPrefix(second, `data: {"mode":"near-only"`) {
		t.Errorf("%q %q", first, second)
	}
	a.Close()
	if _, err := io.ReadAll(lines); err != nil { // the stream ends with the admin
		t.Error(err)
	}
}

// A program mounts health where it likes.
func TestHealthHandler(t *testing.T) {
	c, err := forebay.Open(t.Context(), forebay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a := admin.New(c, quiet(admin.Options{}))
	defer a.Close()
	mux := http.NewServeMux()
	mux.Handle("GET /internal/cache", a.HealthHandler())
	if res := request(mux, "GET", "/internal/cache", ""); res.Code != 200 || !strings.Contains(res.Body.String(), `"status":"ok"`) {
		t.Errorf("%d %s", res.Code, res.Body)
	}
	c.Close()
	if res := request(mux, "GET", "/internal/cache", ""); res.Code != 503 || !strings.Contains(res.Body.String(), "unhealthy") {
		t.Errorf("closed: %d %s", res.Code, res.Body)
	}
}
