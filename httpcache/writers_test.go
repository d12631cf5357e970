package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay/httpcache"
)

// Whatever writer a handler is given, it may ask of it what it asks of the server's own.
func TestWriters(t *testing.T) {
	s := newSite(t, httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /bypass", Bypass: true}}}, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/stored") {
			w.Header().Set("Cache-Control", "max-age=60")
		}
		flusher, ok := w.(http.Flusher)
		if !ok {
			http.Error(w, "no Flusher", http.StatusInternalServerError)
			return
		}
		io.WriteString(w, "one ")
		flusher.Flush()
		if err := http.NewResponseController(w).Flush(); err != nil {
			fmt.Fprint(w, err)
		}
		if _, ok := w.(interface{ FlushError() error }); !ok {
			fmt.Fprint(w, "no FlushError")
		}
		io.Copy(w, strings.NewReader("two"))
	})
	for _, path := range []string{"/stored", "/not-stored", "/bypass"} {
		for i := range 3 {
			if a := s.get(path); a.status != 200 || a.body != "one two" || a.how() == "" {
				t.Errorf("%s, request %d: %d %q %q", path, i+1, a.status, a.body, a.how())
			}
		}
	}
}

// A library for websockets looks for a Hijacker without unwrapping.
func TestHijack(t *testing.T) {
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		hijacker, ok := w.(http.Hijacker)
		if !ok {
			http.Error(w, "no Hijacker", http.StatusInternalServerError)
			return
		}
		conn, both, err := hijacker.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(both, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		both.Flush()
	})
	for range 2 {
		if a := s.open("/ws", "Connection", "Upgrade", "Upgrade", "websocket"); a.StatusCode != 101 {
			t.Errorf("%d", a.StatusCode)
		}
	}
}
