package httpcache_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/shared"
)

func TestPreflights(t *testing.T) {
	for _, profile := range []httpcache.Profile{httpcache.Safe, httpcache.RFC} {
		t.Run(string(profile), func(t *testing.T) {
			s := newSite(t, httpcache.Options{Profile: profile, Rules: []httpcache.Rule{
				{Match: "GET /a", TTL: time.Hour, Preflights: true}, {Match: "PUT /a", TTL: time.Hour}, {Match: "GET /b", TTL: time.Hour},
				{Match: "GET /failed", TTL: time.Hour, Preflights: true}, {Match: "GET /never", TTL: time.Hour, Preflights: true}, {Match: "GET /short", TTL: 20 * time.Second, Preflights: true},
			}}, func(w http.ResponseWriter, r *http.Request) {
				h := w.Header()
				h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
				h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
				h.Set("Access-Control-Max-Age", "600")
				switch r.URL.Path {
				case "/never":
					h.Set("Access-Control-Max-Age", "0")
				case "/failed":
					w.WriteHeader(500)
					return
				}
				w.WriteHeader(204)
			})
			ask := func(path, origin, method, fields string) *http.Response {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), "OPTIONS", s.url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				for name, line := range map[string]string{"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": fields} {
					if line != "" {
						r.Header.Set(name, line)
					}
				}
				res, err := http.DefaultTransport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				return res
			}
			for i, c := range []struct {
				path, origin, method, fields string
				calls                        int64 // of the origin, for two of them
			}{
				{"/a", "https://one.test", "GET", "", 1},
				{"/a", "https://two.test", "GET", "", 1},
				{"/a", "https://one.test", "GET", "x-plan", 1},
				{"/a", "https://one.test", "PUT", "", 2}, // another route
				{"/b", "https://one.test", "GET", "", 2},
				{"/a", "", "GET", "", 2},
				{"/a", "https://one.test", "", "", 2},
				{"/failed", "https://one.test", "GET", "", 2},
				{"/never", "https://one.test", "GET", "", 2},
			} {
				before := s.calls.Load()
				for range 2 {
					res := ask(c.path, c.origin, c.method, c.fields)
					if c.path != "/failed" && (res.StatusCode != 204 || res.Header.Get("Access-Control-Allow-Origin") != c.origin || res.Header.Get("Access-Control-Allow-Headers") != c.fields) {
						t.Errorf("%d: %s %v", i, res.Status, res.Header)
					}
				}
				if n := s.calls.Load() - before; n != c.calls {
					t.Errorf("%+v: %d calls", c, n)
				}
			}
			ask("/short", "https://one.test", "GET", "")
			if got := ask("/short", "https://one.test", "GET", "").Header.Get("Cache-Status"); !strings.HasPrefix(got, "forebay; hit; ttl=20") && !strings.HasPrefix(got, "forebay; hit; ttl=19") {
				t.Errorf("the route's TTL bounds it: %s", got)
			}
		})
	}
}

// What one rule has stored is not what another means by the same words: no restart with another configuration, no node that
// has one, and no reload serves it.
func TestKeysKnowTheirRule(t *testing.T) {
	tier := shared.NewMemory()
	ask := func(rule httpcache.Rule, profile httpcache.Profile, body string, fields ...string) string {
		t.Helper()
		c, err := forebay.Open(context.Background(), forebay.Options{Shared: tier, Secret: []byte("one secret of all")})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		h, err := httpcache.New(c, httpcache.Options{Profile: profile, Rules: []httpcache.Rule{rule}})
		if err != nil {
			t.Fatal(err)
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://api.test/a", nil)
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		h.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, body) })).ServeHTTP(w, r)
		for end := time.Now().Add(5 * time.Second); c.Stats().Shared.Queued > 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		return w.Body.String()
	}
	a := httpcache.Rule{Match: "GET /a", TTL: time.Hour, Headers: []string{"X-A"}}
	b := httpcache.Rule{Match: "GET /a", TTL: time.Hour, Headers: []string{"X-B"}}
	all := httpcache.Rule{Match: "GET /a", TTL: time.Hour, Shared: true, Override: true}
	own := httpcache.Rule{Match: "GET /a", TTL: time.Hour, Override: true}
	if got := ask(a, "", "for A", "X-A", "1"); got != "for A" {
		t.Error(got)
	}
	if got := ask(a, "", "again", "X-A", "1"); got != "for A" {
		t.Error("the same rule does not find it: ", got)
	}
	if got := ask(b, "", "for B", "X-B", "1"); got != "for B" {
		t.Error("another field: ", got)
	}
	ask(all, "", "Anna's", "Authorization", "Bearer anna")
	if got := ask(own, "", "anybody's"); got != "anybody's" {
		t.Error("what callers shared is served to nobody in particular: ", got)
	}
	if got := ask(a, httpcache.RFC, "by RFC", "X-A", "1"); got != "by RFC" {
		t.Error("another profile: ", got)
	}
}
