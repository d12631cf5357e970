package httpcache_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/internal/coding"
	"github.com/forebay-cache/forebay/shared"
)

// An api answers with one text, and counts.
type api struct {
	text   []byte
	header http.Header
	calls  atomic.Int64
	mu     sync.Mutex // guards text and header once there are requests
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.calls.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "max-age=60, stale-while-revalidate=60")
	h.Set("Etag", `"v1"`)
	for name, lines := range a.header {
		h[name] = lines
	}
	if r.Header.Get("If-None-Match") == h.Get("Etag") {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write(a.text)
}

func sampleText() []byte {
	return []byte(`[` + strings.Repeat(`{"id":1,"name":"acme","kind":"partner"},`, 300) + `null]`)
}

// codedFront is a server with a cache that compresses, in front of an origin.
func codedFront(t *testing.T, tier shared.Tier, o httpcache.Options, origin http.Handler) string {
	t.Helper()
	c, err := forebay.Open(t.Context(), forebay.Options{Shared: tier})
	if err != nil {
		t.Fatal(err)
	}
	if o.Compression == nil {
		o.Compression = &httpcache.Compression{}
	}
	h, err := httpcache.New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h.Handler(origin))
	t.Cleanup(func() { s.Close(); c.Close() })
	return s.URL
}

// ask sends a request as it is: the client decodes nothing.
func askFor(t *testing.T, method, url string, fields ...string) (*http.Response, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, b
}

// untilCoded asks until the answer is in the coding.
func untilCoded(t *testing.T, url, name string, fields ...string) (*http.Response, []byte) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		res, b := askFor(t, "GET", url, append([]string{"Accept-Encoding", name}, fields...)...)
		if res.Header.Get("Content-Encoding") == name {
			return res, b
		}
		if got := res.Header.Get("Content-Encoding"); got != "" || time.Now().After(end) {
			t.Fatalf("%s: coding %q, %v", name, got, res.Header)
		}
	}
}

func TestEveryFormHasTheSameBytes(t *testing.T) {
	for _, profile := range []httpcache.Profile{httpcache.Safe, httpcache.RFC} {
		for _, name := range coding.All {
			t.Run(fmt.Sprint(profile, " ", name), func(t *testing.T) {
				origin := &api{text: sampleText()}
				url := codedFront(t, nil, httpcache.Options{Profile: profile}, origin)
				res, b := askFor(t, "GET", url+"/a", "Accept-Encoding", name)
				if res.Header.Get("Content-Encoding") != "" || res.Header.Get("Vary") != "Accept-Encoding" || !bytes.Equal(b, origin.text) {
					t.Fatalf("miss: %v, %d bytes", res.Header, len(b))
				}
				res, b = untilCoded(t, url+"/a", name)
				plain, err := coding.Decode(name, b, 1<<20)
				if err != nil || !bytes.Equal(plain, origin.text) || len(b)*4 > len(plain) {
					t.Fatalf("hit: %d bytes are %d: %v", len(b), len(plain), err)
				}
				tag := `W/"v1+fb-` + name + `"`
				for field, want := range map[string]string{"Etag": tag, "Vary": "Accept-Encoding", "Content-Length": fmt.Sprint(len(b)), "Accept-Ranges": ""} {
					if got := res.Header.Get(field); got != want {
						t.Errorf("%s: %q, want %q", field, got, want)
					}
				}
				if !strings.Contains(res.Header.Get("Cache-Status"), "hit") {
					t.Error(res.Header.Get("Cache-Status"))
				}
				head, _ := askFor(t, "HEAD", url+"/a", "Accept-Encoding", name)
				if head.Header.Get("Content-Encoding") != name || head.ContentLength != int64(len(b)) || head.Header.Get("Etag") != tag {
					t.Error("HEAD:", head.Header)
				}
				for _, asked := range []string{tag, `"v1"`, `W/"v1"`, `"x", ` + tag} {
					res, b := askFor(t, "GET", url+"/a", "Accept-Encoding", name, "If-None-Match", asked)
					if res.StatusCode != 304 || len(b) > 0 || res.Header.Get("Content-Encoding") != "" || res.Header.Get("Vary") != "Accept-Encoding" {
						t.Error(asked, res.Status, res.Header)
					}
				}
				if res, _ := askFor(t, "GET", url+"/a", "If-None-Match", tag); res.StatusCode != 304 || res.Header.Get("Etag") != tag {
					t.Error("asked for as it is, known in the coding:", res.Status, res.Header)
				}
				if res, _ := askFor(t, "GET", url+"/a", "Accept-Encoding", name, "If-None-Match", `"v2+fb-`+name+`"`); res.StatusCode != 200 {
					t.Error("another tag:", res.Status)
				}
				res, b = askFor(t, "GET", url+"/a", "Accept-Encoding", name, "Range", "bytes=1-4")
				if res.StatusCode != 206 || string(b) != string(origin.text[1:5]) || res.Header.Get("Content-Encoding") != "" || res.Header.Get("Etag") != `"v1"` {
					t.Error("range:", res.Status, res.Header, string(b))
				}
				res, b = askFor(t, "GET", url+"/a", "Accept-Encoding", name, "Range", "bytes=1-4", "If-Range", tag)
				if res.StatusCode != 200 || !bytes.Equal(b, origin.text) {
					t.Error("range of a weak tag:", res.Status, len(b))
				}
				res, b = askFor(t, "GET", url+"/a")
				if res.Header.Get("Content-Encoding") != "" || !bytes.Equal(b, origin.text) || res.Header.Get("Etag") != `"v1"` || res.Header.Get("Vary") != "Accept-Encoding" {
					t.Error("as it is:", res.Header)
				}
			})
		}
	}
}

// What a reload brings is compressed again; what it finds unchanged stays as it was.
func TestFormsFollowTheirResponse(t *testing.T) {
	origin := &api{text: sampleText(), header: http.Header{"Cache-Control": {"max-age=1, stale-while-revalidate=60"}}}
	url := codedFront(t, nil, httpcache.Options{}, origin)
	askFor(t, "GET", url+"/a", "Accept-Encoding", "br")
	untilCoded(t, url+"/a", "br")
	time.Sleep(1100 * time.Millisecond)
	res, b := askFor(t, "GET", url+"/a", "Accept-Encoding", "br")
	if plain, err := coding.Decode(res.Header.Get("Content-Encoding"), b, 1<<20); err != nil || !bytes.Equal(plain, origin.text) {
		t.Errorf("stale: %v: %v", res.Header, err)
	}
	if untilCoded(t, url+"/a", "br"); origin.calls.Load() < 2 {
		t.Error("it was not validated")
	}
	time.Sleep(1100 * time.Millisecond)
	origin.mu.Lock()
	origin.text, origin.header = append(sampleText(), '\n'), http.Header{"Etag": {`"v2"`}}
	origin.mu.Unlock()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		res, b := askFor(t, "GET", url+"/a", "Accept-Encoding", "br")
		if res.Header.Get("Etag") == `"v2"` && bytes.Equal(b, origin.text) || res.Header.Get("Etag") == `W/"v2+fb-br"` {
			break
		}
		if time.Now().After(end) {
			t.Fatal(res.Header)
		}
	}
	_, b = untilCoded(t, url+"/a", "br")
	if plain, err := coding.Decode("br", b, 1<<20); err != nil || !bytes.Equal(plain, origin.text) {
		t.Errorf("the form is that of the old text: %v", err)
	}
}

// A second node takes the form from the shared tier, and after a purge neither is there.
func TestFormsAreShared(t *testing.T) {
	tier, origin := shared.NewMemory(), &api{text: sampleText()}
	a, b := codedFront(t, tier, httpcache.Options{}, origin), codedFront(t, tier, httpcache.Options{}, origin)
	b = strings.Replace(b, "127.0.0.1", "localhost", 1)
	a = strings.Replace(a, "127.0.0.1", "localhost", 1)
	ask := func(url string) (*http.Response, []byte) {
		return untilCoded(t, url+"/x", "zstd", "Host", "api.example")
	}
	askFor(t, "GET", a+"/x", "Accept-Encoding", "zstd")
	_, first := ask(a)
	askFor(t, "GET", b+"/x", "Accept-Encoding", "zstd")
	if _, second := ask(b); !bytes.Equal(first, second) {
		t.Error("two forms")
	}
}

func TestNotCompressed(t *testing.T) {
	yes, no := true, false
	credential := []string{"Authorization", "Bearer x"}
	for name, c := range map[string]struct {
		header  http.Header
		options httpcache.Options
		fields  []string
		short   bool
		coded   bool
	}{
		"short":                          {short: true},
		"a short one is enough":          {short: true, options: httpcache.Options{Compression: &httpcache.Compression{MinBytes: 10}}, coded: true},
		"no-transform of the origin":     {header: http.Header{"Cache-Control": {"max-age=60, no-transform"}}},
		"no-transform of the client":     {fields: []string{"Cache-Control", "no-transform"}},
		"an image":                       {header: http.Header{"Content-Type": {"image/png"}}},
		"coded by the origin":            {header: http.Header{"Content-Encoding": {"compress"}}},
		"with a digest":                  {header: http.Header{"Repr-Digest": {"sha-256=:AA==:"}}},
		"events":                         {header: http.Header{"Content-Type": {"text/event-stream"}}},
		"one caller's own":               {fields: credential},
		"one caller's own, asked for":    {fields: credential, options: httpcache.Options{Compression: &httpcache.Compression{Credentials: true}}, coded: true},
		"one caller's own, by its route": {fields: credential, options: httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /", TTL: time.Hour, Compress: &yes}}}, coded: true},
		"a route without":                {options: httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /", TTL: time.Hour, Compress: &no}}}},
		"a coding that is not on offer":  {options: httpcache.Options{Compression: &httpcache.Compression{Codings: []string{"zstd"}}}},
		"refused":                        {fields: []string{"Accept-Encoding", "br;q=0"}},
		"a callers' common answer":       {fields: credential, header: http.Header{"Cache-Control": {"public, s-maxage=60"}}, options: httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /", Shared: true}}}, coded: true},
		"what does not become smaller":   {header: http.Header{"X-Random": {"1"}}},
		"kept 404 by the rule":           {header: http.Header{"X-Status": {"404"}}, options: httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /", NotFound: time.Minute}}}, coded: true},
	} {
		t.Run(name, func(t *testing.T) {
			text := sampleText()
			if c.short {
				text = text[:200]
			}
			if c.header["X-Random"] != nil {
				text = incompressible(4 << 10)
			}
			origin := http.Handler(&api{text: text, header: c.header})
			if c.header["X-Status"] != nil {
				origin = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(404)
					w.Write(text)
				})
			}
			url := codedFront(t, nil, c.options, origin)
			fields := append([]string{"Accept-Encoding", "br"}, c.fields...)
			got := ""
			for range 40 {
				res, b := askFor(t, "GET", url+"/a", fields...)
				if got = res.Header.Get("Content-Encoding"); got == "br" {
					b, _ = coding.Decode("br", b, 1<<20)
				}
				if !bytes.Equal(b, text) {
					t.Fatalf("%d bytes, want %d: %v", len(b), len(text), res.Header)
				}
				if got == "br" {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if (got == "br") != c.coded {
				t.Errorf("coding %q", got)
			}
		})
	}
}

func incompressible(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// A client that has seen a form may change what it stands for: the origin is told its own tag.
func TestTheOriginKnowsItsOwnTags(t *testing.T) {
	var got atomic.Value
	url := codedFront(t, nil, httpcache.Options{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("If-Match"))
	}))
	for said, want := range map[string]string{
		`W/"v1+fb-br"`:             `"v1"`,
		`W/"v1-fb-gzip"`:           `W/"v1"`,
		`"x", W/"a,b+fb-zstd","y"`: `"x", "a,b", "y"`,
		`"v1+fb-br"`:               `"v1+fb-br"`,
		`W/"apache-gzip"`:          `W/"apache-gzip"`,
		`*`:                        `*`,
		`W/"unfinished+fb-br`:      `W/"unfinished+fb-br`,
	} {
		askFor(t, "PUT", url+"/a", "If-Match", said)
		if got.Load() != want {
			t.Errorf("%s: the origin was told %s", said, got.Load())
		}
	}
}

func TestCompressionIsChecked(t *testing.T) {
	c, err := forebay.Open(t.Context(), forebay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, o := range []httpcache.Compression{{Codings: []string{"deflate"}}, {MinBytes: -1}} {
		if _, err := httpcache.New(c, httpcache.Options{Compression: &o}); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func BenchmarkHitCoded(b *testing.B) {
	for _, accept := range []string{"identity", "br"} {
		b.Run(accept, func(b *testing.B) {
			c, err := forebay.Open(b.Context(), forebay.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			h, err := httpcache.New(c, httpcache.Options{Compression: &httpcache.Compression{}})
			if err != nil {
				b.Fatal(err)
			}
			front := h.Handler(&api{text: incompressibleText(4 << 10)})
			r := httptest.NewRequest("GET", "/a", nil)
			r.Header.Set("Accept-Encoding", accept)
			for coded := false; !coded; {
				w := httptest.NewRecorder()
				front.ServeHTTP(w, r)
				coded = accept == "identity" || w.Header().Get("Content-Encoding") != ""
			}
			b.ReportAllocs()
			for b.Loop() {
				front.ServeHTTP(&nothing{h: http.Header{}}, r)
			}
		})
	}
}

func incompressibleText(n int) []byte {
	return []byte(fmt.Sprintf("%x", incompressible(n/2)))
}

type nothing struct{ h http.Header }

func (n *nothing) Header() http.Header         { return n.h }
func (n *nothing) Write(p []byte) (int, error) { return len(p), nil }
func (n *nothing) WriteHeader(int)             {}

// What removes a response removes its forms, also one that is being made.
func TestFormsGoWithTheirResponse(t *testing.T) {
	c, err := forebay.Open(t.Context(), forebay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	h, err := httpcache.New(c, httpcache.Options{Compression: &httpcache.Compression{}})
	if err != nil {
		t.Fatal(err)
	}
	front := h.Handler(&api{text: bytes.Repeat(sampleText(), 200)}) // large enough that its hash takes a while
	ask := func() {
		r := httptest.NewRequest("GET", "http://api.test/a", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		front.ServeHTTP(httptest.NewRecorder(), r)
	}
	for range 10 {
		ask()
		ask() // a hit: a form is being made
		if _, err := c.Invalidate(t.Context(), forebay.Tag("uri:api.test/a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		for e := range c.Entries() {
			t.Fatalf("%s is left", e.Key)
		}
	}
}
