package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startOrigin is an API that says nothing of caching and tells who it is.
func startOrigin(t *testing.T) string {
	t.Helper()
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		fmt.Fprintf(w, "origin %s %d", r.URL.Path, n)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// loaded waits until the loads have ended: an answer may be read whole before.
func loaded(t *testing.T, admin string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if _, body := fetch(t, admin+"/api/cache-stats"); !regexp.MustCompile(`"loading":[1-9]`).MatchString(body) {
			return
		}
	}
	t.Error("a load does not end")
}

func TestServe(t *testing.T) {
	gateway, admin, out := start(t, "serve", "--origin", startOrigin(t), "--cache", "GET /api/partners=15m", "--cache", "GET /api/status=2m", "--access-log", "json")
	_, first := fetch(t, gateway+"/api/partners?org_id=acme")
	loaded(t, admin)
	if res, again := fetch(t, gateway+"/api/partners?org_id=acme"); again != first || !regexp.MustCompile(`^forebay; hit; ttl=8\d\d; detail=near$`).MatchString(res.Header.Get("Cache-Status")) {
		t.Errorf("%q then %q, %q", first, again, res.Header.Get("Cache-Status"))
	}
	for _, path := range []string{"/health", "/metrics", "/api/cache-stats", "/"} {
		if _, body := fetch(t, gateway+path); !strings.HasPrefix(body, "origin "+path) {
			t.Errorf("the public listener answers %s itself: %q", path, body)
		}
	}
	if res, body := fetch(t, admin+"/health"); res.StatusCode != 200 || !strings.Contains(body, `"ok"`) {
		t.Errorf("admin: %d %s", res.StatusCode, body)
	}
	if _, body := fetch(t, admin+"/metrics"); !strings.Contains(body, "forebay_") {
		t.Errorf("metrics: %s", body)
	}
	for range 25 {
		fetch(t, gateway+"/api/slow/17")
	}
	const flag = `--cache 'GET /api/slow/{id}=5m'`
	if strings.Count(out.String(), "the origin does not say how long") != 1 || !strings.Contains(out.String(), "/api/slow/{id}=5m") {
		t.Errorf("log: %s", out)
	}
	var b bytes.Buffer
	if code := run(t.Context(), []string{"stats", "--node", admin}, &b, &b); code != 0 || !strings.Contains(b.String(), flag) {
		t.Errorf("stats: %d %s", code, b.String())
	}
	if _, body := fetch(t, admin+"/api/cache-stats"); !strings.Contains(body, `"advice":[{"route":"GET /api/slow/{id}","answers":25`) {
		t.Errorf("statistics: %s", body)
	}
	b.Reset()
	if code := run(t.Context(), []string{"purge", "--node", admin, "--url", gateway + "/api/partners?org_id=acme"}, &b, &b); code != 0 {
		t.Errorf("purge: %d %s", code, b.String())
	}
	if res, _ := fetch(t, gateway+"/api/partners?org_id=acme"); strings.Contains(res.Header.Get("Cache-Status"), "hit") {
		t.Errorf("after the purge of the URL: %q", res.Header.Get("Cache-Status"))
	}
	b.Reset()
	if code := run(t.Context(), []string{"purge", "--node", admin, "--class", "http"}, &b, &b); code != 0 {
		t.Errorf("purge: %d %s", code, b.String())
	}
	if res, _ := fetch(t, gateway+"/api/partners?org_id=acme"); strings.Contains(res.Header.Get("Cache-Status"), "hit") {
		t.Errorf("after the purge: %q", res.Header.Get("Cache-Status"))
	}
}

func TestServeByFile(t *testing.T) {
	origin := startOrigin(t)
	file := filepath.Join(t.TempDir(), "forebay.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("origin: http://127.0.0.1:1\nclasses:\n  a: {ttl: 1h}\nroutes:\n  - match: GET /a\n    class: a\n")
	var b bytes.Buffer
	if code := run(t.Context(), []string{"check", file}, &b, &b); code != 0 || !strings.Contains(b.String(), "good: 1 classes, 1 routes") {
		t.Errorf("check: %d %s", code, b.String())
	}
	gateway, admin, _ := start(t, "serve", "--config", file, "--origin", origin, "--cache", "GET /a=2h") // flags win
	fetch(t, gateway+"/a")
	loaded(t, admin)
	if res, _ := fetch(t, gateway+"/a"); !strings.HasPrefix(res.Header.Get("Cache-Status"), "forebay; hit; ttl=71") {
		t.Errorf("%q", res.Header.Get("Cache-Status"))
	}
	if _, body := fetch(t, admin+"/api/cache-stats"); !strings.Contains(body, `"a":{"ttl_seconds":3600`) {
		t.Errorf("statistics: %s", body)
	}
	write("origin: http://127.0.0.1:1\nclases: {}\nroutes:\n  - match: GET /a\n    ttl: 15\n")
	for _, command := range [][]string{{"check", file}, {"serve", "--config", file}} {
		b.Reset()
		code := run(t.Context(), command, &b, &b)
		if text := b.String(); code != exitUsage || !strings.Contains(text, file+":2:9: unknown field") || !strings.Contains(text, file+":5:10: 15 has no unit") {
			t.Errorf("%v: %d %s", command, code, b.String())
		}
	}
}

func TestServeMistakes(t *testing.T) {
	for want, args := range map[string][]string{
		"no origin":             {},
		"write http://":         {"--origin", "localhost:5000"},
		"is not a time to keep": {"--origin", "http://x", "--cache", "GET /a=15"},
		"is not a pattern":      {"--origin", "http://x", "--cache", "GET a=15m"},
		"safe or rfc":           {"--origin", "http://x", "--profile", "lax"},
		"no such file":          {"--config", "/nowhere.yaml"},
		"Rules[1]":              {"--origin", "http://x", "--cache", "GET /{a}=15m", "--cache", "GET /{b}=15m"},
		"--redis or REDIS_URL":  {"--origin", "http://x", "--redis", "nonsense://"},
	} {
		var b bytes.Buffer
		if code := run(t.Context(), append([]string{"serve"}, args...), &b, &b); code != exitUsage || !strings.Contains(b.String(), want) || strings.Count(b.String(), "\n") > 2 {
			t.Errorf("%v: %d %s, want %q", args, code, b.String(), want)
		}
	}
}

var full = flag.Bool("full", false, "large answers at the size of their promise")

// A gibibyte passes in little memory, whatever it says of its length and of caching; a fourth of it shows as much.
func TestPassingAGibibyte(t *testing.T) {
	const allowed = 64 // MiB of memory above idle
	size := 256 << 20
	if *full {
		size = 1 << 30
	}
	piece := make([]byte, 1<<20)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if r.URL.Path == "/small" {
			return
		}
		if r.URL.Path == "/announced" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		for range size / len(piece) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}))
	defer origin.Close()
	bin := filepath.Join(t.TempDir(), "forebay")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	out := newScreen()
	cmd := exec.Command(bin, "serve", "--origin", origin.URL, "--addr", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	gateway, _ := addresses(out)
	fetch(t, gateway+"/small")
	idle := residentPeak(t, cmd.Process.Pid)
	for _, path := range []string{"/announced", "/unannounced"} {
		res, err := http.Get(gateway + path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if n != int64(size) || err != nil {
			t.Errorf("%s: read %d bytes, %v", path, n, err)
		}
		more := (residentPeak(t, cmd.Process.Pid) - idle) >> 10
		t.Logf("%s: %d MiB more than idle", path, more)
		if more > allowed {
			t.Errorf("%s: took %d MiB more than idle", path, more)
		}
	}
}

// residentPeak is the most memory a process has had, in kilobytes.
func residentPeak(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s", text)
	}
	kB, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kB
}
