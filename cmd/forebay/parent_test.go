package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/relay"
)

const rulesOfBoth = `
classes:
  partner_data: {ttl: 15m, stale: 1h}
  exact: {ttl: 15m, strict: true}
routes:
  - {match: GET /api/partners, class: partner_data}
  - {match: GET /api/exact, class: exact}
  - {match: GET /api/mine, class: partner_data, override: true}
`

func writeFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A gateway in another region asks a parent: freshness, age and tags come with the answers, and invalidations by the log.
func TestParentAndChild(t *testing.T) {
	t.Setenv("FOREBAY_SECRET", "a secret that all share")
	var version, calls int
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		if r.Header.Get(relay.TokenField) != "" {
			t.Error("the origin is shown the token")
		}
		w.Header().Set("Cache-Tag", "org:acme, with space")
		if r.URL.Path == "/other" {
			w.Header().Set("Cache-Control", "private, max-age=60")
		}
		fmt.Fprintf(w, "version %d for %q", version, r.Header.Get("Authorization"))
	}))
	defer origin.Close()
	redis := redistest.Start(t)
	parent, parentAdmin, _ := start(t, "serve", "--redis", redis.URL(), "--config", writeFile(t, "origin: "+origin.URL+"\nchildren: true\nlimits: {changes: 2, misses: 2}\n"+rulesOfBoth))
	child, childAdmin, _ := start(t, "serve", "--config", writeFile(t, "parents: ["+parent+"]\n"+rulesOfBoth))

	get := func(base, path, auth string) (string, http.Header) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), "GET", base+path, nil)
		req.Host = "www.example.com"
		if auth != "" {
			req.Header.Set("Authorization", auth)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return string(b), res.Header
	}
	status := func(h http.Header) string { return strings.Join(h["Cache-Status"], ", ") }

	for _, path := range []string{"/api/partners", "/api/exact"} {
		_, first := get(child, path, "")
		eventually(t, path+" is not kept by the child", func() bool { _, h := get(child, path, ""); return strings.HasSuffix(status(h), "detail=near") })
		if !strings.Contains(status(first), "forebay; fwd=uri-miss; stored, forebay; fwd=uri-miss; stored") {
			t.Errorf("%s: %s", path, status(first))
		}
		for name := range first {
			if strings.HasPrefix(name, "Forebay-") || name == "Cache-Tag" {
				t.Errorf("%s: the client is shown %s", path, name)
			}
		}
		for what, body := range map[string]string{"tag": `{"tag":"org:acme"}`, "URL": `{"url":"http://www.example.com` + path + `"}`, "class": `{"class":"` + map[string]string{"/api/partners": "partner_data", "/api/exact": "exact"}[path] + `"}`, "all": `{"all":true}`} {
			for by, admin := range map[string]string{"parent": parentAdmin, "child": childAdmin} {
				get(child, path, "")
				version++
				call[struct{ ID string }](t, "POST", admin+"/api/invalidate", body)
				want := fmt.Sprintf("version %d", version)
				eventually(t, path+": "+what+" by the "+by+" does not reach the child", func() bool { b, _ := get(child, path, ""); return strings.HasPrefix(b, want) })
				eventually(t, path+": "+what+" by the "+by+" does not reach the parent", func() bool { b, _ := get(parent, path, ""); return strings.HasPrefix(b, want) })
			}
		}
	}
	// What is one caller's stays with the parent, whatever the rule says; so is what nobody says a class of.
	for _, path := range []string{"/api/mine", "/other"} {
		for _, who := range []string{"alice", "bob"} {
			for range 2 {
				b, h := get(child, path, who)
				if !strings.Contains(b, who) {
					t.Errorf("%s: %s is answered %s", path, who, b)
				}
				if strings.HasSuffix(status(h), "detail=near") {
					t.Errorf("%s: the child keeps it: %s", path, status(h))
				}
			}
		}
	}
	// The parent's limits are for each client: a child is many, and keeps its own.
	for n := range 20 {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", child+fmt.Sprint("/api/partners?n=", n), nil)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != 200 {
			t.Errorf("change %d of a region: %s", n, res.Status)
		}
	}
	// What one child has brought to the parent is a hit for another.
	second, _, _ := start(t, "serve", "--config", writeFile(t, "parents: ["+parent+"]\n"+rulesOfBoth))
	get(child, "/api/partners?shared", "")
	before := calls
	if _, h := get(second, "/api/partners?shared", ""); calls != before || !strings.HasPrefix(status(h), "forebay; hit") {
		t.Errorf("%d calls of the API: %s", calls-before, status(h))
	}
	// Age travels.
	get(child, "/api/partners", "")
	version++
	time.Sleep(1100 * time.Millisecond)
	if _, h := get(child, "/api/partners", ""); h.Get("Age") == "" || h.Get("Age") == "0" {
		t.Errorf("age %q", h.Get("Age"))
	}
	// A client does not pass for a child.
	for _, token := range []string{"", "wrong", relay.Token([]byte("another"))} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", parent+"/api/partners", nil)
		req.Header.Set(relay.TokenField, token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.Header.Get("Forebay-Tags")+res.Header.Get("Forebay-Class") != "" {
			t.Errorf("%q is told the tags", token)
		}
	}
	// The region is cut off: what is stored is served, the strict class refuses, and it says so.
	redisGone := call[struct{ Status string }](t, "GET", childAdmin+"/health", "")
	if redisGone.Status != "ok" {
		t.Errorf("%+v", redisGone)
	}
	get(child, "/api/exact", "")
	redis.Kill()
	eventually(t, "the child does not say that it is cut off", func() bool {
		res, err := http.Get(childAdmin + "/health")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return strings.Contains(string(b), "degraded") && strings.Contains(string(b), "parent")
	})
	if b, _ := get(child, "/api/partners", ""); !strings.HasPrefix(b, "version") {
		t.Errorf("cut off: %s", b)
	}
	redis.Restart()
	eventually(t, "it does not heal", func() bool { return call[struct{ Status string }](t, "GET", childAdmin+"/health", "").Status == "ok" })
}

func TestParentsAreRefusedInWords(t *testing.T) {
	t.Setenv("FOREBAY_SECRET", "")
	screen := newScreen()
	for text, says := range map[string]string{
		"parents: [http://127.0.0.1:1]\n":                             "FOREBAY_SECRET",
		"parents: [http://127.0.0.1:1]\norigin: http://127.0.0.1:2\n": "stand instead of origin",
		"parents: [nowhere]\n":                                        "nowhere",
		"origin: http://127.0.0.1:2\nchildren: true\n":                "FOREBAY_SECRET",
		"parents: []\n": "at least one",
		"parents: [http://127.0.0.1:1, http://127.0.0.1:1]\n": "twice",
	} {
		if code := run(t.Context(), []string{"serve", "--config", writeFile(t, text), "--addr", "127.0.0.1:0", "--admin", "off"}, screen, screen); code != exitUsage || !strings.Contains(screen.String(), says) {
			t.Errorf("%q: exit code %d: %s", text, code, screen)
		}
	}
}
