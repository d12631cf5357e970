package httpcache_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

// For random requests, what comes through the cache is what comes from the origin, but for the fields
// that the cache adds. The origin is a function of the request: of every field that it varies on or
// that profile Safe lets it see.
func FuzzCachedIsUncached(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, seed*7)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		random := rand.New(rand.NewPCG(a, b))
		profile := []httpcache.Profile{httpcache.Safe, httpcache.RFC}[random.IntN(2)]
		cache, err := forebay.Open(t.Context(), forebay.Options{NearBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		h, err := httpcache.New(cache, httpcache.Options{Profile: profile, Rules: []httpcache.Rule{
			{Match: "GET /ruled", TTL: time.Minute, Headers: []string{"X-Plan"}},
			{Match: "POST /query", TTL: time.Minute, Headers: []string{"X-Plan"}, BodyKey: &httpcache.BodyKey{}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		mirror := mirror(profile == httpcache.RFC)
		cached := h.Handler(mirror)
		for range 40 {
			req := randomRequest(random)
			got, want := serve(cached, req()), serve(mirror, withoutNamed(req()))
			if got != want {
				t.Fatalf("%s %s %v\nthrough the cache:\n%s\nfrom the origin:\n%s", req().Method, req().URL, req().Header, got, want)
			}
		}
	})
}

// mirror answers with what the request says in the fields that it may depend on. Where a rule of profile
// Safe says what it depends on, it says nothing of it unless it always does.
func mirror(always bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { reflect(w, r, always) }
}

func reflect(w http.ResponseWriter, r *http.Request, always bool) {
	body, _ := io.ReadAll(r.Body)
	h := w.Header()
	h.Set("Date", "Sun, 22 Nov 2026 12:00:00 GMT")
	sees := []string{"Accept-Language", "X-Plan"}
	if always || r.URL.Path != "/ruled" || r.Method == "QUERY" {
		h.Set("Vary", "Accept-Language, X-Plan")
	}
	switch r.URL.Query().Get("say") {
	case "fresh":
		h.Set("Cdn-Cache-Control", "max-age=99999999")
	case "check":
		h.Set("Cache-Control", "no-cache")
		h.Set("Etag", `"1"`)
	case "none":
		h.Set("Cache-Control", "no-store")
	case "cookie":
		h.Set("Set-Cookie", "a=b")
		h.Set("Cdn-Cache-Control", "max-age=99999999")
	case "missing":
		w.WriteHeader(http.StatusNotFound)
	case "private":
		h.Set("Cdn-Cache-Control", "max-age=99999999, private")
		sees = append(sees, "Authorization")
	}
	for _, name := range sees {
		fmt.Fprintf(w, "%s=%s\n", name, strings.ReplaceAll(strings.ToLower(r.Header.Get(name)), " ", ""))
	}
	fmt.Fprintf(w, "%s %s\n", r.URL.RequestURI(), body)
}

// randomRequest returns a function that makes the same request again and again.
func randomRequest(random *rand.Rand) func() *http.Request {
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	method, path, body := pick("GET", "GET", "GET", "HEAD", "POST", "QUERY", "PUT"), pick("/ruled", "/free", "/query", "/a%20b"), ""
	uri := path + "?say=" + pick("fresh", "fresh", "check", "none", "cookie", "missing", "private") + "&n=" + pick("1", "2")
	if method != "GET" && method != "HEAD" {
		body = pick(`{"a":1}`, `{"a":2}`, `[]`, `no`)
	}
	header := http.Header{}
	for name, values := range map[string][]string{"Connection": {"close", "X-Plan", "keep-alive, Accept-Language"}, "Te": {"trailers"}, "Accept-Language": {"de", "de, en", "fr"}, "X-Plan": {"gold", "free"},
		"Authorization": {"Bearer a", "Bearer b"}, "Cache-Control": {"no-cache", "max-age=0", "no-store"}, "Content-Type": {"application/json"}} {
		if random.IntN(3) == 0 {
			header.Set(name, pick(values...))
		}
	}
	return func() *http.Request {
		req, err := http.NewRequest(method, "http://site.example"+uri, strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		req.RequestURI, req.Header = uri, header.Clone()
		return req
	}
}

// withoutNamed takes off what ends at this hop, as a proxy without a cache would.
func withoutNamed(r *http.Request) *http.Request {
	for name := range strings.SplitSeq(r.Header.Get("Connection"), ",") {
		r.Header.Del(strings.TrimSpace(name))
	}
	return r
}

// serve returns what a handler answers, but for the cache's own fields.
func serve(h http.Handler, r *http.Request) string {
	w := &plainWriter{header: http.Header{}, status: http.StatusOK}
	h.ServeHTTP(w, r)
	for _, name := range []string{"Cache-Status", "Age", "Content-Length"} {
		w.header.Del(name)
	}
	var lines []string
	for name, values := range w.header {
		lines = append(lines, name+": "+strings.Join(values, "|"))
	}
	slices.Sort(lines)
	body := w.body.String()
	if r.Method == http.MethodHead {
		body = ""
	}
	return fmt.Sprintf("%d\n%s\n\n%s", w.status, strings.Join(lines, "\n"), body)
}

type plainWriter struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

func (w *plainWriter) Header() http.Header { return w.header }

func (w *plainWriter) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, true
	}
}

func (w *plainWriter) Write(p []byte) (int, error) {
	w.wrote = true
	return w.body.Write(p)
}

func (w *plainWriter) Flush() {}
