package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/edge"
	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/httpcache"
)

// hints is an origin that answers with the fields of the query, each "Name: value", and tries to speak to CDNs itself.
var hints = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{"Cloudflare-CDN-Cache-Control", "Edge-Control"} {
		w.Header().Set(name, "max-age=31536000")
	}
	w.Header().Set("Cache-Control", "public, max-age=60, s-maxage=90")
	w.Header().Set("Surrogate-Key", "org:acme")
	for _, line := range r.URL.Query()["h"] {
		name, value, _ := strings.Cut(line, ": ")
		w.Header().Set(name, value)
	}
	if s := r.URL.Query().Get("status"); s != "" {
		w.WriteHeader(map[string]int{"404": 404, "500": 500}[s])
	}
	io.WriteString(w, "the answer")
})

func TestWhatCDNsMayKeep(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer service.Close()
	config := func(vendor string) gateway.Config {
		return gateway.Config{
			CDN:     &gateway.CDN{Vendor: vendor, Zone: "zone"},
			Classes: []forebay.Class{{Name: "open", TTL: time.Minute}, {Name: "strict", TTL: time.Minute, Strict: true}, {Name: "decisions", TTL: time.Minute}},
			Rules: []httpcache.Rule{
				{Match: "/open", Class: "open"}, {Match: "/strict", Class: "strict"}, {Match: "/asked", Class: "open"}, {Match: "/bypass", Bypass: true},
				{Match: "/lang", Class: "open", Headers: []string{"X-Lang"}}, {Match: "/cookies", Class: "open", Cookies: []string{"theme"}},
				{Match: "/shared", Class: "open", Shared: true, Override: true, TTL: time.Minute},
			},
			Ways: []gateway.Way{{Match: "/asked", Auth: &gateway.Auth{URL: service.URL, Class: "decisions", By: "route"}}},
		}
	}
	gates := map[string]string{}
	for _, vendor := range []string{"cloudflare", "fastly", "cloudfront", "none"} {
		_, gates[vendor] = front(t, config(vendor), hints)
	}
	control := map[string]string{"cloudflare": "Cloudflare-Cdn-Cache-Control", "fastly": "Surrogate-Control", "none": "Cdn-Cache-Control"}
	vary := "/open?h=Vary:+X-Lang"
	for _, c := range []struct {
		name, path, field, method string
		keeps                     map[string]bool // by vendor; nil: none
	}{
		{name: "for everybody", path: "/open", keeps: map[string]bool{"cloudflare": true, "fastly": true, "cloudfront": true, "none": true}},
		{name: "shared by callers", path: "/shared", keeps: map[string]bool{"cloudflare": true, "fastly": true, "cloudfront": true, "none": true}},
		{name: "HEAD", path: "/open?head", method: "HEAD"}, // what a HEAD would say of a GET that nobody has asked for is not stored
		{name: "varies", path: vary, keeps: map[string]bool{"fastly": true}},
		{name: "depends on a field", path: "/lang", keeps: map[string]bool{"fastly": true}},
		{name: "depends on a cookie", path: "/cookies", keeps: map[string]bool{"fastly": true}},
		{name: "varies on the coding", path: "/open?h=Vary:+Accept-Encoding", keeps: map[string]bool{"cloudflare": true, "fastly": true, "cloudfront": true, "none": true}},
		{name: "one caller's, by Authorization", path: "/open", field: "Authorization: Bearer a"},
		{name: "one caller's, by Cookie", path: "/open", field: "Cookie: session=a"},
		{name: "private", path: "/open?h=Cache-Control:+private,+max-age=60"},
		{name: "no-store", path: "/open?h=Cache-Control:+no-store"},
		{name: "no-cache", path: "/open?h=Cache-Control:+no-cache"},
		{name: "sets a cookie", path: "/open?h=Set-Cookie:+a=b"},
		{name: "strict", path: "/strict"},
		{name: "a service is asked", path: "/asked"},
		{name: "bypass", path: "/bypass"},
		{name: "changes", path: "/open", method: "POST"},
		{name: "an error", path: "/open?status=500"},
		{name: "a part", path: "/open", field: "Range: bytes=0-1"},
	} {
		for vendor, gate := range gates {
			for range 2 { // a miss, and what is a hit where it is stored
				method := c.method
				if method == "" {
					method = "GET"
				}
				req, err := http.NewRequestWithContext(t.Context(), method, gate+c.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if name, value, ok := strings.Cut(c.field, ": "); ok {
					req.Header.Set(name, value)
				}
				res, _ := fetch(t, req, nil)
				said := fmt.Sprint(res.Header)
				if strings.Contains(said, "31536000") {
					t.Errorf("%s, %s: the origin speaks to CDNs: %s", c.name, vendor, said)
				}
				kept := strings.Contains(res.Header.Get(control[vendor]), "max-age=")
				if vendor == "cloudfront" {
					kept = strings.Contains(res.Header.Get("Cache-Control"), "s-maxage=")
					if !kept && !strings.Contains(res.Header.Get("Cache-Control"), "private") && !strings.Contains(res.Header.Get("Cache-Control"), "no-store") {
						t.Errorf("%s, %s: nothing forbids to store it: %s", c.name, vendor, said)
					}
				} else if !kept && res.Header.Get(control[vendor]) != "no-store" {
					t.Errorf("%s, %s: nothing forbids to store it: %s", c.name, vendor, said)
				}
				if kept != c.keeps[vendor] {
					t.Errorf("%s, %s: kept: %v, %s", c.name, vendor, kept, said)
				}
				tags := res.Header.Get("Cache-Tag") + res.Header.Get("Surrogate-Key")
				if (tags != "") != kept || strings.Contains(tags, "acme") {
					t.Errorf("%s, %s: tags %q", c.name, vendor, tags)
				}
			}
		}
	}
}

// More tags than a CDN takes: it is told the coarse ones, and one that goes with every purge.
func TestTagsOverflow(t *testing.T) {
	many := make([]string, 60)
	for i := range many {
		many[i] = fmt.Sprint("tag-", i)
	}
	_, url := front(t, gateway.Config{CDN: &gateway.CDN{Vendor: "cloudfront", Zone: "zone"}}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Surrogate-Key", strings.Join(many, " "))
		io.WriteString(w, "the answer")
	}))
	res, _ := get(t, url+"/many")
	tags := strings.Split(res.Header.Get("Cache-Tag"), ",")
	if len(tags) != 50 {
		t.Errorf("%d tags: %v", len(tags), tags)
	}
	for _, tag := range tags {
		if len(tag) != 12 || strings.Trim(tag, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Errorf("tag %q", tag)
		}
	}
}

func TestCDNInTheFile(t *testing.T) {
	for text, want := range map[string]string{
		"{zone: a}":                                    "needs a vendor",
		"{vendor: akamai, zone: a}":                    "not one of",
		"{vendor: fastly}":                             "needs the zone",
		"{vendor: fastly, zone: a, probe: /api}":       "write it whole",
		"{vendor: fastly, zone: a, per_minute: 0}":     "above 0",
		"{vendor: fastly, zone: a, settle: 5}":         "no unit",
		"{vendor: none}":                               "",
		"{vendor: cloudflare, zone: a, token_env: TK}": "",
	} {
		_, err := gateway.ParseConfig([]byte("origin: http://127.0.0.1:1\ncdn: " + text + "\n"))
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// purges notes what a CDN is asked to purge.
type purges struct {
	mu   sync.Mutex
	tags [][]string
}

func (p *purges) Purge(_ context.Context, tags []string, _ bool) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tags = append(p.tags, slices.Clone(tags))
	return "id", nil
}

func (*purges) Done(context.Context, string) (bool, error) { return true, nil }
func (*purges) Limits() edge.Limits                        { return edge.Limits{Tags: 100, PerMinute: 6000} }

func (p *purges) of(tag string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, tags := range p.tags {
		if slices.Contains(tags, tag) {
			n++
		}
	}
	return n
}

// A response that is invalidated on its way, and takes longer than both purges, is purged when it has been sent.
func TestWhatIsSentLateIsPurged(t *testing.T) {
	goOn, cdn := make(chan struct{}), &purges{}
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, strings.Repeat("x", 64<<10))
		w.(http.Flusher).Flush()
		<-goOn
		io.WriteString(w, "the end")
	}))
	defer origin.Close()
	g, err := gateway.Open(t.Context(), gateway.Options{Config: gateway.Config{Origin: origin.URL, CDN: &gateway.CDN{Vendor: "fastly", Zone: "z", Settle: 50 * time.Millisecond}}, Purger: cdn, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	s := httptest.NewServer(g)
	defer s.Close()
	res, err := http.Get(s.URL + "/slow")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	key := strings.Fields(res.Header.Get("Surrogate-Key"))[2]
	r, err := g.Cache().Invalidate(t.Context(), forebay.Tag(g.URITag(res.Request.URL)))
	if err != nil {
		t.Fatal(err)
	}
	for d := (edge.Delivery{}); d.State != edge.Purged; time.Sleep(10 * time.Millisecond) { // both purges of it are over
		if d, err = g.Edge().Receipt(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
	}
	if n := cdn.of(key); n > 0 {
		t.Fatalf("its key was purged %d times before it was sent", n)
	}
	close(goOn)
	io.Copy(io.Discard, res.Body)
	for range 500 {
		if cdn.of(key) >= 2 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("what was sent late is not purged")
}
