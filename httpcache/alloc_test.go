package httpcache_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

// A hit allocates at most six times more than an empty handler that sends the same fields.
func TestHitAllocations(t *testing.T) {
	cache, err := forebay.Open(t.Context(), forebay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	h, err := httpcache.New(cache, httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /item", TTL: time.Hour}}})
	if err != nil {
		t.Fatal(err)
	}
	cached := h.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, strings.Repeat("x", 1024))
	}))
	ask := httptest.NewRequest("GET", "/item?n=1", nil)
	cached.ServeHTTP(httptest.NewRecorder(), ask)
	hit := httptest.NewRecorder()
	cached.ServeHTTP(hit, ask)
	if !strings.Contains(hit.Header().Get("Cache-Status"), "hit") {
		t.Fatal(hit.Header())
	}
	empty := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		for name, lines := range hit.Header() {
			header[name] = lines
		}
		w.WriteHeader(http.StatusOK)
		w.Write(hit.Body.Bytes())
	})
	count := func(h http.Handler) float64 {
		return testing.AllocsPerRun(500, func() { h.ServeHTTP(&silent{http.Header{}}, ask) })
	}
	if more := count(cached) - count(empty); more > 6 {
		t.Errorf("%v allocations more", more)
	}
}

type silent struct{ header http.Header }

func (s *silent) Header() http.Header         { return s.header }
func (s *silent) Write(p []byte) (int, error) { return len(p), nil }
func (s *silent) WriteHeader(int)             {}
