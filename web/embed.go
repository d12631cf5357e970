// Package web is the dashboard: React and TypeScript source, its committed build, and the handler that
// serves it. It knows the operations that it shows only by their addresses.
package web

import (
	"bytes"
	"crypto/rand"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/forebay-cache/forebay/internal/static"
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
	assets := static.New(dist)
	assets.Hashed = true
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := path.Clean("/" + r.URL.Path)
		switch reads := r.Method == http.MethodGet || r.Method == http.MethodHead; {
		case reads && pages[name]:
			servePage(w, index)
		case reads && strings.HasPrefix(name, "/assets/") && assets.Has(name[1:]):
			w.Header().Set("X-Content-Type-Options", "nosniff")
			if err := assets.Serve(w, r, name[1:]); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
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
