package httpcache_test

import (
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
)

// A site is an origin behind the cache, over real HTTP.
type site struct {
	t     *testing.T
	url   string
	calls atomic.Int64
	cache *forebay.Cache

	mu     sync.Mutex
	asked  []*http.Request // as the origin saw them
	server *httptest.Server
}

// newSite puts the cache in front of a handler. Profile RFC unless the options say otherwise.
func newSite(t *testing.T, o httpcache.Options, origin http.HandlerFunc) *site {
	t.Helper()
	return newSiteOn(t, forebay.Options{}, o, origin)
}

func newSiteOn(t *testing.T, c forebay.Options, o httpcache.Options, origin http.HandlerFunc) *site {
	t.Helper()
	cache, err := forebay.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if o.Profile == "" {
		o.Profile = httpcache.RFC
	}
	h, err := httpcache.New(cache, o)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, cache: cache}
	s.server = httptest.NewServer(h.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		s.mu.Lock()
		s.asked = append(s.asked, r.Clone(context.Background()))
		s.mu.Unlock()
		origin(w, r)
	})))
	s.url = s.server.URL
	t.Cleanup(func() {
		s.server.Close()
		cache.Close()
	})
	return s
}

// waiting returns when that many requests wait for the load of another.
func (s *site) waiting(n int64) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		waiting := int64(0)
		for _, c := range s.cache.Stats().Classes {
			waiting += c.Waiting
		}
		if waiting >= n {
			return
		}
	}
	s.t.Errorf("%d requests never waited", n)
}

// An answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of the body
}

func (a answer) how() string { return a.header.Get("Cache-Status") }

// get asks with fields in pairs.
func (s *site) get(path string, fields ...string) answer { return s.do("GET", path, "", fields...) }

func (s *site) do(method, path, body string, fields ...string) answer {
	s.t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, from)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
		return answer{header: http.Header{}, err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	for name, lines := range res.Trailer {
		res.Header["Trailer-"+name] = lines
	}
	return answer{res.StatusCode, res.Header, string(text), err}
}

// last is the latest request as the origin saw it.
func (s *site) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[len(s.asked)-1]
}

// wantCalls checks how often the origin was asked so far.
func (s *site) wantCalls(n int64) {
	s.t.Helper()
	if got := s.calls.Load(); got != n {
		s.t.Errorf("the origin was asked %d times, want %d", got, n)
	}
}

// saying answers with fields in pairs, and a body that says which call it was.
func saying(calls *atomic.Int64, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		fmt.Fprintf(w, "answer %d", calls.Add(1))
	}
}
