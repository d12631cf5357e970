package gateway_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/internal/coding"
)

func parsed(t *testing.T, text string) gateway.Config {
	t.Helper()
	c, err := gateway.ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReloadSaysWhatChanges(t *testing.T) {
	const before = `
origin: http://127.0.0.1:1
classes: {a: {ttl: 15m}, b: {ttl: 1h}}
routes:
  - {match: GET /a, class: a}
  - {match: GET /b, class: b, headers: [X-Plan]}
  - {match: GET /gone, ttl: 1m}
  - {match: GET /ttl, ttl: 1m}
  - {match: GET /auth, ttl: 1m, timeout: 2s}
`
	g, err := gateway.Open(t.Context(), gateway.Options{Config: parsed(t, before)})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	changes, err := g.Reload(parsed(t, before))
	if err != nil || len(changes) > 0 {
		t.Errorf("nothing has changed: %q, %v", changes, err)
	}
	changes, err = g.Reload(parsed(t, `
origin: http://127.0.0.1:2
profile: rfc
ignore_headers: [User-Agent]
limits: {changes: 5}
compression: off
classes: {a: {ttl: 5m, max_loads: 3}, c: {ttl: 1m}}
routes:
  - {match: GET /a, class: c}
  - {match: GET /b, class: a, headers: [X-Plan], query: {drop: [x]}}
  - {match: GET /new, ttl: 1m}
  - {match: GET /ttl, ttl: 5s}
  - {match: GET /auth, ttl: 1m, timeout: 3s}
  - {mcp: {name: get_*}, class: a}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"class changed: a: ttl 5m0s, was 15m0s, max_loads 3, was none: for what is loaded from now on",
		"class added: c", "class removed: b",
		"route changed: GET /a: class c, was a: its keys change: what is stored is not found any more",
		"route changed: GET /b: class a, was b, query: its keys change: what is stored is not found any more",
		"route added: GET /new",
		"route removed: GET /gone: what is stored of it stays until its time is up: to have it gone, forebay purge",
		"route changed: GET /ttl: ttl 5s, was 1m0s: for what is loaded from now on: what is stored stays until its time is up, or forebay purge",
		"route changed: GET /auth: timeout 3s, was 2s", "route added: mcp tools/call get_*",
		"origin changed: default: servers", "profile: rfc, was safe", "compression changed",
	} {
		if !slices.Contains(changes, want) {
			t.Errorf("%q is not said", want)
		}
	}
	if n := len(changes); n != 15 {
		t.Errorf("%d changes:\n%s", n, strings.Join(changes, "\n"))
	}
}

// What cannot be used changes nothing, and what is stored stays through what can.
func TestReloadKeeps(t *testing.T) {
	calls := atomic.Int64{}
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, calls.Add(1))
	}))
	defer origin.Close()
	text := "origin: " + origin.URL + "\nclasses: {a: {ttl: 1h}}\nroutes: [{match: GET /a, class: a}]\n"
	g, err := gateway.Open(t.Context(), gateway.Options{Config: parsed(t, text)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	defer func() { server.Close(); g.Close() }()
	ask := func(path, want string) {
		t.Helper()
		if _, body := get(t, server.URL+path); body != want {
			t.Errorf("%s: %s, want %s", path, body, want)
		}
	}
	ask("/a", "1")
	for name, wrong := range map[string]gateway.Config{
		"a class that is fixed":    parsed(t, strings.Replace(text, "{ttl: 1h}", "{ttl: 1h, strict: true}", 1)),
		"a file that is not there": parsed(t, text+"origins: {b: {servers: [https://127.0.0.1:1], tls: {ca: /nowhere.pem}}}\n"),
		"no origin":                {},
	} {
		if changes, err := g.Reload(wrong); err == nil || changes != nil {
			t.Errorf("%s: %q, %v", name, changes, err)
		}
		ask("/a", "1")
		if s := g.Cache().Stats().Classes[0]; s.Class.Name != "a" || s.Class.TTL != time.Hour {
			t.Errorf("%s: %+v", name, s.Class)
		}
	}
	if _, err := g.Reload(parsed(t, strings.Replace(text, "routes: [", "routes: [{match: GET /b, ttl: 1h}, ", 1))); err != nil {
		t.Fatal(err)
	}
	ask("/b", "2")
	ask("/b", "2")
	ask("/a", "1")
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Reload(parsed(t, text)); err == nil {
		t.Error("what is closed was reloaded")
	}
}

// One configuration after another under load: no request fails, what is stored stays, and nothing is left over.
func TestAThousandReloads(t *testing.T) {
	var calls atomic.Int64
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.URL.Path == "/slow" {
			time.Sleep(20 * time.Millisecond)
		}
		fmt.Fprint(w, r.URL.Path)
	}))
	defer origin.Close()
	file := func(n int) gateway.Config {
		retries := 1 + n/500 // now and then the origin is another
		return parsed(t, fmt.Sprintf(`
origins: {default: {servers: ["%s"], retries: %d, health: {path: /health, every: 1s}}}
classes: {a: {ttl: 1h, max_loads: %d}, b%d: {ttl: 1h}}
routes:
  - {match: GET /kept/, class: a}
  - {match: GET /slow, bypass: true}
  - {match: GET /other%d, class: b%d}
  - {mcp: {name: get_*}, class: a}
`, origin.URL, retries, 50+n%3, n%5, n%5, n%5))
	}
	g, err := gateway.Open(t.Context(), gateway.Options{Config: file(0)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var asked, failed, missed atomic.Int64
	for n := range 4 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
			defer client.CloseIdleConnections()
			for i := 0; ctx.Err() == nil; i++ {
				path := fmt.Sprintf("/kept/%d", i%50)
				if n == 0 {
					path = "/slow"
				}
				res, err := client.Get(server.URL + path)
				if err != nil {
					failed.Add(1)
					continue
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				asked.Add(1)
				if err != nil || res.StatusCode != 200 || string(body) != path {
					failed.Add(1)
				}
				if n > 0 && !strings.Contains(res.Header.Get("Cache-Status"), "hit") {
					missed.Add(1)
				}
			}
		})
	}
	for end := time.Now().Add(10 * time.Second); asked.Load() < 400 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	runtime.GC()
	goroutines := runtime.NumGoroutine()
	missed.Store(0)
	began := asked.Load()
	for n := range 1000 {
		if _, err := g.Reload(file(n)); err != nil {
			t.Fatal(n, err)
		}
	}
	for end := time.Now().Add(10 * time.Second); asked.Load() < began+400 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	left := runtime.NumGoroutine()
	stop()
	clients.Wait()
	server.Close()
	g.Close()
	if failed.Load() > 0 || missed.Load() > 0 {
		t.Errorf("of %d requests %d failed, and %d that were stored missed", asked.Load(), failed.Load(), missed.Load())
	}
	if left > goroutines+50 {
		t.Errorf("%d goroutines, and %d before", left, goroutines)
	}
}

// A connection that was upgraded stays through changes, also of its own route.
func TestUpgradesStayThroughReloads(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprintf(conn, "you said %s", line)
		}
	}))
	defer origin.Close()
	g, url := front(t, parsed(t, "origin: "+origin.URL+"\nroutes: [{match: GET /live, bypass: true}]"), nil)
	conn, from := dial(t, url)
	fmt.Fprint(conn, "GET /live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	res, err := http.ReadResponse(from, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res, err)
	}
	for i, text := range []string{
		"origin: " + origin.URL + "\nroutes: [{match: GET /live, bypass: true}, {match: GET /other, ttl: 1m}]",
		"origins: {default: {servers: [\"" + origin.URL + "\"], retries: 3, health: {path: /}}}\nroutes: [{match: GET /live, ttl: 1m}]",
		"origin: http://127.0.0.1:1",
	} {
		if _, err := g.Reload(parsed(t, text)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%d\n", i)
		if line, err := from.ReadString('\n'); line != fmt.Sprintf("you said %d\n", i) {
			t.Fatalf("after %d changes: %q %v", i+1, line, err)
		}
	}
}

// The files of a certificate are read again where they have changed, though their names have not.
func TestReloadReadsFilesAgain(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") }))
	defer secure.Close()
	authorities, file := t.TempDir(), t.TempDir()+"/ca.pem"
	authorityIn(t, authorities)
	other, err := os.ReadFile(authorities + "/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, other, 0o600); err != nil {
		t.Fatal(err)
	}
	c := parsed(t, fmt.Sprintf(`origins: {default: {servers: ["%s"], tls: {ca: %s, server_name: example.com}, retries: 0}}`, secure.URL, file))
	g, err := gateway.Open(t.Context(), gateway.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	defer func() { server.Close(); g.Close() }()
	if res, _ := get(t, server.URL+"/x"); res.StatusCode != 502 {
		t.Errorf("an authority that nobody knows: %s", res.Status)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Reload(c); err != nil {
		t.Fatal(err)
	}
	if res, body := get(t, server.URL+"/x"); body != "ok" {
		t.Errorf("the file has changed: %s %s", res.Status, body)
	}
}

// A coding that is gone, or stands elsewhere in the list, is not sent under another's name.
func TestReloadChangesCodings(t *testing.T) {
	text := strings.Repeat("all work and no play ", 500)
	g, url := front(t, gateway.Config{Rules: nil}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, text)
	}))
	config := g.Config()
	for _, codings := range [][]string{{"zstd", "br", "gzip"}, {"gzip", "br"}, {"br"}, {"gzip"}, {"br", "zstd"}} {
		config.Compression.Codings = codings
		if _, err := g.Reload(config); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			r, err := http.NewRequestWithContext(t.Context(), "GET", url+"/a", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept-Encoding", "gzip, br, zstd")
			res, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			res.Body.Close()
			name := res.Header.Get("Content-Encoding")
			if name != "" {
				b, err = coding.Decode(name, b, 1<<20)
			}
			if err != nil || string(b) != text || name != "" && name != codings[0] {
				t.Fatalf("%v: %q: %v", codings, name, err)
			}
			if name != "" {
				break
			}
			if time.Now().After(end) {
				t.Fatal(codings, "never")
			}
		}
	}
}

// What callers of a tool shared is nobody's when they share no more.
func TestReloadKeepsCallersApart(t *testing.T) {
	w := openMCP(t, true)
	w.ask("tools/call", "public_echo", `{"text":"a"}`, 1, "Authorization", "Bearer anna")
	if got := w.ask("tools/call", "public_echo", `{"text":"a"}`, 2); got.Result.Structured.Call != 1 {
		t.Fatalf("callers do not share: %s", got.body)
	}
	config := w.g.Config()
	config.MCP = slices.Clone(config.MCP)
	for i := range config.MCP {
		config.MCP[i].Shared = false
	}
	if _, err := w.g.Reload(config); err != nil {
		t.Fatal(err)
	}
	if got := w.ask("tools/call", "public_echo", `{"text":"a"}`, 3); got.Result.Structured.Who != "" || got.Result.Structured.Call == 1 {
		t.Errorf("nobody in particular has what was Anna's: %s", got.body)
	}
}
