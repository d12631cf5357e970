// Package web is the dashboard: React and TypeScript source, its committed build, and the handler that
// serves it. It knows the operations that it shows only by their addresses.
package web

import (
	"bytes"
	"crypto/rand"
	"embed"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/forebay-cache/forebay/internal/coding"
)

//go:embed all:dist
var embedded embed.FS

// pages are the paths that the dashboard itself knows.
var pages = map[string]bool{"/": true, "/architecture": true, "/platform": true, "/activity": true, "/routes": true, "/entries": true, "/nodes": true}

// Handler serves the pages, and hands everything else to next, which answers the operations under
// "api/". base is where both are mounted, as browsers see it: "/", or "/ops/" behind
// http.StripPrefix("/ops", …).
func Handler(base string, next http.Handler) http.Handler {
	dist, err := fs.Sub(embedded, "dist")
	if err != nil {
		panic(err) // it is embedded
	}
	index, err := fs.ReadFile(dist, "index.html")
	if err != nil {
		panic(err)
	}
	index = bytes.ReplaceAll(index, []byte("{{base}}"), []byte(base))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := path.Clean("/" + r.URL.Path)
		switch reads := r.Method == http.MethodGet || r.Method == http.MethodHead; {
		case reads && pages[name]:
			servePage(w, index)
		case reads && strings.HasPrefix(name, "/assets/") && serveAsset(w, r, dist, name[1:]):
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// servePage gives each page a nonce of its own: what is put into it afterwards has none, and is not run.
func servePage(w http.ResponseWriter, index []byte) {
	nonce := rand.Text()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-"+nonce+"'; connect-src 'self'; "+
		"img-src 'self' data:; font-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	w.Write(bytes.ReplaceAll(index, []byte("{{nonce}}"), []byte(nonce)))
}

// suffixes are those of the assets' forms that were compressed beforehand.
var suffixes = map[string]string{"br": ".br", "gzip": ".gz"}

// serveAsset serves a file whose name says its content; false if there is none.
func serveAsset(w http.ResponseWriter, r *http.Request, dist fs.FS, name string) bool {
	plain, err := fs.ReadFile(dist, name)
	if err != nil {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept-Encoding")
	if chosen := coding.Choose(r.Header["Accept-Encoding"], []string{"br", "gzip"}); chosen != "" {
		if body, err := fs.ReadFile(dist, name+suffixes[chosen]); err == nil {
			h.Set("Content-Encoding", chosen)
			plain = body
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(plain)))
	w.Write(plain)
	return true
}
