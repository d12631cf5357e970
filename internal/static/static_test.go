package static_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/forebay-cache/forebay/internal/static"
)

func TestImmutable(t *testing.T) {
	for name, want := range map[string]bool{
		"assets/index-BcV-bAVH.js": true, "index-C1_uWrLV.js": true, "app.3f2a9c1b.css": true, "main.8a7c0e5d4f3b2a1c9d8e.chunk.js": true,
		"app-5KQV6DTR.js": true, "app-5KQV6DTR.js.map": true, "logo-Df6Raq5k.svg": true,
		"index.html": false, "app.js": false, "jquery-migrate.js": false, "bootstrap-datepicker.js": false, "report-20240101.pdf": false,
		"report-2024Q3final.pdf": false, "my-JavaScript.js": false, "tool-Release2.zip": false, "for-iPhone12.png": false, "for-MacOSX10.dmg": false,
		"a.deadbeef.js": false, "a.12345678.js": false, "chapter-section12a.html": false, "index.min.js": false, "photo-IMG_2024.jpg": false,
		"x-VERSIONS.txt": false, "data-2024-01-01.json": false, "v1.2.3-release.tar.gz": false,
	} {
		if got := static.Immutable(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	write("app.js", "the script")
	write("app.js.br", "in br")
	write("app.js.gz", "in gzip")
	write("app-5KQV6DTR.css", "the style")
	write("index.html", "<p>the page</p>")
	write("sub/index.html", "<p>another</p>")
	write(".env", "secret")
	write(".git/config", "secret")
	write(".well-known/security.txt", "Contact: x")
	if err := os.Symlink(outside, filepath.Join(dir, "link.txt")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s := httptest.NewServer(static.New(root.FS()))
	defer s.Close()
	ask := func(method, path string, fields ...string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Opaque = path
		r.Header.Set("Accept-Encoding", "identity")
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res, string(b)
	}
	for path, want := range map[string]string{"/app.js": "the script", "/": "<p>the page</p>", "/sub/": "<p>another</p>", "/.well-known/security.txt": "Contact: x", "/x/../app.js": "the script"} {
		if res, body := ask("GET", path); res.StatusCode != 200 || body != want {
			t.Errorf("%s: %s %q", path, res.Status, body)
		}
	}
	for _, path := range []string{"/.env", "/.git/config", "/link.txt", "/../secret", "/%2e%2e/secret", "/nothing", "/app.js/", "/a\\b", "/app.js%00"} {
		if res, body := ask("GET", path); res.StatusCode < 400 || strings.Contains(body, "secret") {
			t.Errorf("%s: %s %q", path, res.Status, body)
		}
	}
	if res, _ := ask("GET", "/sub"); res.StatusCode != 301 || res.Header.Get("Location") != "/sub/" {
		t.Errorf("a folder: %s %v", res.Status, res.Header)
	}
	if res, _ := ask("POST", "/app.js"); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %s", res.Status)
	}
	for accept, want := range map[string]string{"br, gzip": "in br", "gzip": "in gzip", "br;q=0.1, gzip": "in gzip", "zstd": "the script"} {
		res, body := ask("GET", "/app.js", "Accept-Encoding", accept)
		if body != want || res.Header.Get("Vary") != "Accept-Encoding" || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/javascript") || res.ContentLength != int64(len(want)) {
			t.Errorf("%s: %q %v", accept, body, res.Header)
		}
		again, body := ask("GET", "/app.js", "Accept-Encoding", accept, "If-None-Match", res.Header.Get("Etag"))
		if again.StatusCode != 304 || body != "" || again.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s, known: %s %v", accept, again.Status, again.Header)
		}
		if head, _ := ask("HEAD", "/app.js", "Accept-Encoding", accept); head.ContentLength != int64(len(want)) {
			t.Errorf("HEAD %s: %d", accept, head.ContentLength)
		}
	}
	res, body := ask("GET", "/app.js", "Accept-Encoding", "br", "Range", "bytes=0-2")
	if res.StatusCode != 206 || body != "the" || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("a range: %s %q", res.Status, body)
	}
	if res, _ := ask("GET", "/app-5KQV6DTR.css"); !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
		t.Error(res.Header)
	}
	if res, _ := ask("GET", "/app.js"); res.Header.Get("Cache-Control") != "public, max-age=0, must-revalidate" {
		t.Error(res.Header)
	}
}

// Files without a time are told apart by their content.
func TestEmbeddedFiles(t *testing.T) {
	f := static.New(fstest.MapFS{"a.txt": {Data: []byte("one")}})
	tags := map[string]bool{}
	for range 2 {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest("GET", "/a.txt", nil))
		if w.Body.String() != "one" || len(w.Header().Get("Etag")) < 10 {
			t.Error(w.Header(), w.Body)
		}
		tags[w.Header().Get("Etag")] = true
	}
	w := httptest.NewRecorder()
	static.New(fstest.MapFS{"a.txt": {Data: []byte("two")}}).ServeHTTP(w, httptest.NewRequest("GET", "/a.txt", nil))
	if tags[w.Header().Get("Etag")] || len(tags) != 1 {
		t.Error(tags, w.Header())
	}
}
