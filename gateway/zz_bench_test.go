package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay/gateway"
)

type nobody struct{ h http.Header }

func (n *nobody) Header() http.Header         { return n.h }
func (n *nobody) Write(p []byte) (int, error) { return len(p), nil }
func (n *nobody) WriteHeader(int)             {}

func BenchmarkMiss(b *testing.B) {
	text := strings.Repeat("x", 1024)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Type"] = []string{"application/json"}
		h["Cache-Control"] = []string{"max-age=60"}
		h["Content-Length"] = []string{"1024"}
		w.Write([]byte(text))
	}))
	defer origin.Close()
	u, _ := url.Parse(origin.URL)
	rp := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(u); p.SetXForwarded() }}
	g, err := gateway.Open(b.Context(), gateway.Options{Config: gateway.Config{Origin: origin.URL}, NearBytes: 8 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	for name, h := range map[string]http.Handler{"plain": rp, "gateway": g} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				path := fmt.Sprintf("/item?n=%s%d", name, n)
				r, _ := http.NewRequestWithContext(b.Context(), "GET", "http://api.test"+path, nil)
				r.RequestURI, r.RemoteAddr = path, "127.0.0.1:5000"
				r.Body = http.NoBody
				r.Header["Accept"] = []string{"*/*"}
				r.Header["User-Agent"] = []string{"bench"}
				h.ServeHTTP(&nobody{http.Header{}}, r)
			}
		})
	}
}
