package cdn_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/edge"
	"github.com/forebay-cache/forebay/edge/cdn"
	"github.com/forebay-cache/forebay/edge/cdn/cdntest"
)

var vendors = []string{"cloudflare", "fastly", "cloudfront"}

func open(t *testing.T, vendor, zone, token, api string) edge.Purger {
	t.Helper()
	if vendor == "cloudfront" {
		token += ":secret"
	}
	p, err := cdn.Open(cdn.Options{Vendor: vendor, Zone: zone, Token: token, API: api})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Each vendor is spoken to as it wants, and what is purged is gone from the cache behind it.
func TestVendors(t *testing.T) {
	for _, vendor := range vendors {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				edge.Profiles[vendor].Keep(w.Header(), edge.Response{Class: "c", Key: r.URL.Path, Tags: []string{"of " + r.URL.Path}, Lifetime: time.Minute})
				fmt.Fprint(w, n.Add(1))
			}))
			defer origin.Close()
			c := cdntest.Start(t, origin.URL)
			get := func(path string) string {
				t.Helper()
				res, err := http.Get(c.URL + path)
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				b, _ := io.ReadAll(res.Body)
				return string(b)
			}
			one, two := get("/one"), get("/two")
			if get("/one") != one || get("/two") != two || one == two {
				t.Fatal("the CDN does not keep what it may")
			}
			h := http.Header{}
			edge.Profiles["fastly"].Keep(h, edge.Response{Class: "c", Key: "/one", Tags: []string{"of /one"}, Lifetime: time.Minute})
			tag := strings.Fields(h.Get("Surrogate-Key"))[3]

			if vendor == "cloudfront" {
				c.EndsIn(300 * time.Millisecond)
			}
			p := open(t, vendor, cdntest.Zone, c.Token, c.API)
			id, err := p.Purge(t.Context(), []string{tag}, false)
			if err != nil || id == "" {
				t.Fatalf("%q, %v", id, err)
			}
			for done := false; !done; time.Sleep(20 * time.Millisecond) {
				if done, err = p.Done(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			if get("/one") == one || get("/two") != two {
				t.Error("what has the tag is to be gone, and nothing else")
			}
			if p.Limits().Soft {
				again := get("/two")
				edge.Profiles["fastly"].Keep(h, edge.Response{Class: "c", Key: "/two", Tags: []string{"of /two"}, Lifetime: time.Minute})
				if _, err := p.Purge(t.Context(), []string{strings.Fields(h.Get("Surrogate-Key"))[3]}, true); err != nil {
					t.Fatal(err)
				}
				if first := get("/two"); first == again && get("/two") == first {
					t.Error("a soft purge does nothing")
				}
			}
			var no *edge.RefusedError
			var busy *edge.BusyError
			if _, err := open(t, vendor, cdntest.Zone, "wrong", c.API).Purge(t.Context(), []string{tag}, false); !errors.As(err, &no) || no.Status != 403 || !strings.Contains(err.Error(), "Authentication error") {
				t.Errorf("a wrong token: %v", err)
			}
			if _, err := open(t, vendor, "nowhere", c.Token, c.API).Purge(t.Context(), []string{tag}, false); !errors.As(err, &no) {
				t.Errorf("a wrong zone: %v", err)
			}
			c.Allow(0)
			if _, err := p.Purge(t.Context(), []string{tag}, false); !errors.As(err, &busy) || busy.After != time.Second {
				t.Errorf("too many: %v", err)
			}
			c.Refuse(500)
			if _, err := p.Purge(t.Context(), []string{tag}, false); err == nil || errors.As(err, &no) && no.Status == 500 {
				t.Errorf("an error of the server's: %v", err)
			}
			if _, err := open(t, vendor, cdntest.Zone, c.Token, "http://127.0.0.1:1").Purge(t.Context(), []string{tag}, false); err == nil || errors.As(err, &no) && no.Status == 0 {
				t.Errorf("nobody there: %v", err)
			}
		})
	}
}

// Whatever a vendor answers is an error or an ID, and never a panic.
func TestStrangeAnswers(t *testing.T) {
	for _, body := range []string{"", "null", "[]", "{}", "<", "<a/>", `{"success":true}`, `{"success":false}`, strings.Repeat("x", 5<<20), "<Invalidation><Status>Completed</Status></Invalidation>"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
		for _, vendor := range vendors {
			p := open(t, vendor, "zone", "token", server.URL)
			p.Purge(t.Context(), []string{"tag"}, true)
			p.Done(t.Context(), "id")
		}
		server.Close()
	}
}

func TestWhatIsMissing(t *testing.T) {
	for _, o := range []cdn.Options{
		{Vendor: "cloudflare", Token: "t"}, {Vendor: "cloudflare", Zone: "a/b", Token: "t"}, {Vendor: "fastly", Zone: "z"}, {Vendor: "akamai", Zone: "z", Token: "t"},
		{Vendor: "cloudfront", Zone: "z", Token: "no-colon"}, {Vendor: "fastly", Zone: "z", Token: "t", API: "::"},
	} {
		if _, err := cdn.Open(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
