package demo_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/demo"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/redis"
)

// twoSites are two platforms on one Redis and one data file.
func twoSites(t *testing.T) (server *redistest.Server, a, b *site) {
	t.Helper()
	server = redistest.Start(t)
	file := database(t)
	one := func() *site {
		quiet := slog.New(slog.DiscardHandler)
		tier, err := redis.Open(context.Background(), redis.Options{URL: server.URL(), Logger: quiet, Budget: 500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		s := start(t, demo.Options{Database: file, Shared: tier, Secret: []byte("the same on both"), Logger: quiet})
		t.Cleanup(func() { tier.Close() })
		return s
	}
	return server, one(), one()
}

func (s *site) mode() string { return s.admin.Stats().Mode }

func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1500 {
		if holds() {
			return
		}
		<-tick.C
	}
	t.Fatalf("never: %s", what)
}

func TestTwoPlatformsOnOneRedis(t *testing.T) {
	_, a, b := twoSites(t)
	if a.mode() != "two-tier" {
		t.Fatalf("mode %s", a.mode())
	}
	sharedHit := `forebay; hit; ttl=\d+; detail=shared`
	for _, path := range []string{"/api/partners?org_id=acme", "/api/templates?cleanroom_id=cr-1", "/api/status"} {
		first := a.get(path)
		first.cached(t, 200, miss)
		soon(t, path+" is shared", func() bool {
			got := b.get(path)
			return got.body == first.body && strings.Contains(got.Header.Get("Cache-Status"), "hit")
		})
	}
	a.do("POST", "/api/chat", `{"org_id":"acme","message":"Which partners are in retail?","stream":true}`)
	soon(t, "the reply is shared", func() bool { return a.admin.Stats().Shared.Queued == 0 })
	pause := time.NewTimer(50 * time.Millisecond)
	<-pause.C
	b.do("POST", "/api/chat", `{"org_id":"acme","message":"Which partners are in retail?"}`).cached(t, 200, sharedHit)

	// A change on one is seen by the other's next read, always.
	for i := range 20 {
		status := []string{"paused", "active"}[i%2]
		if r := a.do("PUT", "/api/partners/p-1", fmt.Sprintf(`{"status":%q}`, status)); r.StatusCode != 200 {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
		for _, s := range []*site{b, a} {
			if got := s.get("/api/partners?org_id=acme").json(t)["partners"].([]any)[0].(map[string]any)["status"]; got != status {
				t.Fatalf("change %d: the list shows %v, want %s", i, got, status)
			}
		}
	}
}

func TestASessionOnTwoPlatforms(t *testing.T) {
	_, a, b := twoSites(t)
	a.do("POST", "/api/session", `{"user":"anna","org_id":"acme"}`)
	share(t, a, b)
	if got := b.get("/api/session").json(t); got["user"] != "anna" {
		t.Errorf("the other platform: %v", got)
	}
	for i := range 10 { // a turn on one is in the session on the other, at once
		a.do("POST", "/api/chat", fmt.Sprintf(`{"org_id":"acme","message":"help %d"}`, i))
		if turns, _ := b.get("/api/session").json(t)["turns"].([]any); len(turns) != i+1 {
			t.Fatalf("%d turns on the other platform, want %d", len(turns), i+1)
		}
	}
	if r := b.do("DELETE", "/api/session", ""); r.StatusCode != 204 {
		t.Fatal(r.StatusCode)
	}
	if r := a.get("/api/session"); r.StatusCode != 404 {
		t.Errorf("ended on one, and on the other: %d", r.StatusCode)
	}
}

// share gives b's client the cookies that a's has.
func share(t *testing.T, a, b *site) {
	t.Helper()
	from, _ := url.Parse(a.url)
	to, _ := url.Parse(b.url)
	b.client.Jar.(*cookiejar.Jar).SetCookies(to, a.client.Jar.Cookies(from))
}

func TestPlatformsWithoutTheirRedis(t *testing.T) {
	server, a, b := twoSites(t)
	a.get("/api/partners?org_id=acme")
	a.get("/api/templates?cleanroom_id=cr-1")
	server.Kill()
	soon(t, "degraded is said", func() bool { return a.mode() == "degraded" })
	for _, s := range []*site{a, b} {
		for _, path := range []string{"/api/partners?org_id=acme", "/api/templates?cleanroom_id=cr-1", "/api/status", "/health"} {
			if r := s.get(path); r.StatusCode != 200 {
				t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
			}
		}
	}
	if r := a.get("/health"); !strings.Contains(r.body, `"status":"degraded"`) || !strings.Contains(r.body, "shared") {
		t.Errorf("health: %s", r.body)
	}
	if r := a.do("PUT", "/api/partners/p-1", `{"status":"paused"}`); r.StatusCode != 200 {
		t.Errorf("a change while Redis is away: %d %s", r.StatusCode, r.body)
	}
	server.Restart()
	soon(t, "two-tier again", func() bool { return a.mode() == "two-tier" && b.mode() == "two-tier" })
	if got := b.get("/api/partners?org_id=acme").json(t)["partners"].([]any)[0].(map[string]any)["status"]; got != "paused" {
		t.Errorf("the other platform shows %v", got)
	}
}
