// Package cdntest is a CDN for tests: a real cache, Varnish with xkey, behind a server that speaks the vendors' interfaces.
package cdntest

import (
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
)

// A CDN is Varnish before a backend. It is safe for concurrent use.
type CDN struct {
	URL   string // of the cache
	API   string // of the vendors' interfaces
	Token string // that they want; for CloudFront it is the ID of the key, and any secret goes

	mu      sync.Mutex // guards the fields below
	refuse  int        // the status of every purge
	purges  int
	ends    map[string]time.Time
	endsIn  time.Duration
	allowed int // purges until "too many"; negative: all
}

// Zone is the one that there is.
const Zone = "zone-1"

// root is where internal/install.sh has unpacked Varnish.
const root = "/usr/local/lib/varnish-for-tests/usr"

// rules have Varnish do as a vendor does: its own field counts, tags are in Cache-Tag or Surrogate-Key, and what is removed
// is gone.
const rules = `vcl 4.1;
import xkey;
import std;
import directors;
%s
sub vcl_recv {
	set req.backend_hint = all.backend();
	if (req.method == "PURGETAGS") {
		if (req.http.soft) { set req.http.n = xkey.softpurge(req.http.tags); } else { set req.http.n = xkey.purge(req.http.tags); }
		return (synth(200, "purged " + req.http.n));
	}
}
sub vcl_backend_response {
	set beresp.http.xkey = regsuball(beresp.http.Cache-Tag + " " + beresp.http.Surrogate-Key, ",", " ");
	set beresp.grace = 0s;
	set beresp.http.own = beresp.http.Cloudflare-CDN-Cache-Control + beresp.http.Surrogate-Control;
	if (beresp.http.own ~ "no-store") { set beresp.uncacheable = true; set beresp.ttl = 0s; return (deliver); }
	if (beresp.http.own ~ "max-age=") {
		set beresp.ttl = std.duration(regsub(beresp.http.own, ".*max-age=([0-9]+).*", "\1s"), 0s) - beresp.age;
		if (beresp.ttl <= 0s) { set beresp.uncacheable = true; }
		return (deliver);
	}
}
sub vcl_deliver { if (obj.hits > 0) { set resp.http.X-Edge = "hit"; } else { set resp.http.X-Edge = "miss"; } }
`

// Start starts a CDN before servers, which it asks in turn.
func Start(t testing.TB, backends ...string) *CDN {
	t.Helper()
	all := "sub vcl_init { new all = directors.round_robin();"
	for i, backend := range backends {
		u, err := url.Parse(backend)
		if err != nil {
			t.Fatal(err)
		}
		all = fmt.Sprintf("backend b%d { .host = \"127.0.0.1\"; .port = %q; }\n", i, u.Port()) + all + fmt.Sprintf(" all.add_backend(b%d);", i)
	}
	all += " }"
	if _, err := os.Stat(root + "/sbin/varnishd"); err != nil {
		t.Fatal("varnish is not installed: CI=true sh internal/install.sh")
	}
	dir := t.TempDir()
	vcl := filepath.Join(dir, "rules.vcl")
	if err := os.WriteFile(vcl, fmt.Appendf(nil, rules, all), 0o600); err != nil {
		t.Fatal(err)
	}
	port := redistest.FreePort(t)
	libs, _ := filepath.Glob(root + "/lib/*/varnish")
	if len(libs) == 0 {
		t.Fatal("varnish is not installed: CI=true sh internal/install.sh")
	}
	cmd := exec.Command(root+"/sbin/varnishd", "-F", "-j", "none", "-n", filepath.Join(dir, "work"), "-a", fmt.Sprintf("127.0.0.1:%d", port), "-f", vcl, "-s", "malloc,64m",
		"-p", "vmod_path="+libs[0]+"/vmods", "-p", "vcl_path="+root+"/share/varnish/vcl", "-p", "thread_pool_min=10", "-T", "none")
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Dir(libs[0])+":"+libs[0])
	said := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
	})
	c := &CDN{URL: fmt.Sprintf("http://127.0.0.1:%d", port), Token: rand.Text(), ends: map[string]time.Time{}, allowed: -1}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := c.purge([]string{"none"}, false); err == nil {
			break
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("varnish ended: %v: %s", err, said)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("varnish does not answer: %s", said)
		}
	}
	api := httptest.NewServer(c.handler())
	t.Cleanup(api.Close)
	c.API = api.URL
	return c
}

// Refuse answers every purge with a status; 0: none.
func (c *CDN) Refuse(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = status
}

// Allow lets so many purges through, and answers the others with "too many"; negative: all.
func (c *CDN) Allow(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.allowed = n
}

// EndsIn is how long an invalidation of CloudFront is in progress: it has effect at its end.
func (c *CDN) EndsIn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endsIn = d
}

// Purges is how many were taken.
func (c *CDN) Purges() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.purges
}

// purge has Varnish purge.
func (c *CDN) purge(tags []string, soft bool) (string, error) {
	r, err := http.NewRequest("PURGETAGS", c.URL, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("tags", strings.Join(tags, " "))
	if soft {
		r.Header.Set("soft", "1")
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("varnish: %s", res.Status)
	}
	return rand.Text()[:12], nil
}

// handler speaks the vendors' interfaces.
func (c *CDN) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /client/v4/zones/{zone}/purge_cache", c.asked(func(r *http.Request) string {
		return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}, func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Tags []string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Tags) == 0 || len(in.Tags) > 100 {
			http.Error(w, `{"success":false,"errors":[{"code":1012,"message":"Request must contain one of \"purge_everything\", \"files\", \"tags\", \"hosts\" or \"prefixes\""}]}`, http.StatusBadRequest)
			return
		}
		id, err := c.purge(in.Tags, false)
		answer(w, err, map[string]any{"success": true, "errors": []any{}, "result": map[string]string{"id": id}})
	}))
	mux.HandleFunc("POST /service/{zone}/purge", c.asked(func(r *http.Request) string { return r.Header.Get("Fastly-Key") }, func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Keys []string `json:"surrogate_keys"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Keys) == 0 || len(in.Keys) > 256 {
			http.Error(w, `{"msg":"Bad request"}`, http.StatusBadRequest)
			return
		}
		id, err := c.purge(in.Keys, r.Header.Get("Fastly-Soft-Purge") == "1")
		ids := map[string]string{}
		for _, key := range in.Keys {
			ids[key] = id
		}
		answer(w, err, ids)
	}))
	signed := func(r *http.Request) string {
		_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		key, scope, _ := strings.Cut(rest, "/")
		if !strings.Contains(scope, "/us-east-1/cloudfront/aws4_request") || r.Header.Get("X-Amz-Date") == "" {
			return ""
		}
		return key
	}
	mux.HandleFunc("POST /2020-05-31/distribution/{zone}/invalidation", c.asked(signed, c.invalidate))
	mux.HandleFunc("GET /2020-05-31/distribution/{zone}/invalidation/{id}", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		at, known := c.ends[r.PathValue("id")]
		c.mu.Unlock()
		if !known {
			http.Error(w, "<ErrorResponse><Error><Code>NoSuchInvalidation</Code></Error></ErrorResponse>", http.StatusNotFound)
			return
		}
		status := "InProgress"
		if time.Now().After(at) {
			status = "Completed"
		}
		fmt.Fprintf(w, "<Invalidation><Id>%s</Id><Status>%s</Status></Invalidation>", r.PathValue("id"), status)
	})
	return mux
}

// invalidate is CloudFront's: it has effect after a while.
func (c *CDN) invalidate(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Quantity  int      `xml:"Paths>Quantity"`
		Paths     []string `xml:"Paths>Items>Path"`
		Reference string   `xml:"CallerReference"`
	}
	if err := xml.NewDecoder(r.Body).Decode(&in); err != nil || in.Quantity != len(in.Paths) || in.Quantity == 0 || in.Reference == "" {
		http.Error(w, "<ErrorResponse><Error><Code>InvalidArgument</Code></Error></ErrorResponse>", http.StatusBadRequest)
		return
	}
	var tags []string
	for _, path := range in.Paths {
		tags = append(tags, strings.TrimPrefix(path, "#"))
	}
	id := "I" + rand.Text()[:13]
	c.mu.Lock()
	in2 := c.endsIn
	c.ends[id] = time.Now().Add(in2)
	c.mu.Unlock()
	if in2 == 0 {
		c.purge(tags, false)
	} else {
		time.AfterFunc(in2-in2/10, func() { c.purge(tags, false) })
	}
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "<Invalidation><Id>%s</Id><Status>InProgress</Status></Invalidation>", id)
}

// asked checks what every vendor does: token, zone and rate.
func (c *CDN) asked(token func(*http.Request) string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		refuse, over := c.refuse, c.allowed == 0
		if c.allowed > 0 && refuse == 0 {
			c.allowed--
		}
		c.mu.Unlock()
		switch {
		case token(r) != c.Token:
			http.Error(w, `{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}`, http.StatusForbidden)
		case r.PathValue("zone") != Zone:
			http.Error(w, `{"success":false,"errors":[{"code":7003,"message":"Could not route"}]}`, http.StatusNotFound)
		case refuse != 0:
			http.Error(w, `{"success":false,"errors":[{"code":1,"message":"refused by the test"}]}`, refuse)
		case over:
			w.Header().Set("Retry-After", "1")
			http.Error(w, `{"success":false,"errors":[{"code":971,"message":"Please wait and consider throttling your request speed"}]}`, http.StatusTooManyRequests)
		default:
			c.mu.Lock()
			c.purges++
			c.mu.Unlock()
			next(w, r)
		}
	}
}

func answer(w http.ResponseWriter, err error, v any) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}
