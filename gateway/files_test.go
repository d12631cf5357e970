package gateway_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/gateway"
)

// Files answer as an origin would: what their names say for good is stored, the rest is validated, and a change is seen at once.
func TestFilesRoute(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("the style ", 500)
	write("app-5KQV6DTR.css", long)
	write("page.html", "<p>one</p>")
	write("robots.txt", "User-agent: *")
	_, url := front(t, parsed(t, `
origin: http://127.0.0.1:1
routes:
  - {match: GET /assets/, files: `+dir+`}
  - {match: GET /robots.txt, files: `+dir+`/robots.txt}
`), nil)
	ask := func(path string, fields ...string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", url+path, nil)
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
		b, _ := io.ReadAll(res.Body)
		return res, string(b)
	}
	ask("/assets/app-5KQV6DTR.css")
	if res, body := ask("/assets/app-5KQV6DTR.css"); body != long || !strings.Contains(res.Header.Get("Cache-Status"), "hit") || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
		t.Error(res.Header)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) { // what does not lie there in a coding is made once
		if res, _ := ask("/assets/app-5KQV6DTR.css", "Accept-Encoding", "br"); res.Header.Get("Content-Encoding") == "br" {
			break
		} else if time.Now().After(end) {
			t.Fatal(res.Header)
		}
	}
	for _, text := range []string{"<p>one</p>", "<p>another</p>"} {
		write("page.html", text)
		for range 2 {
			if res, body := ask("/assets/page.html"); body != text || res.Header.Get("Etag") == "" {
				t.Errorf("%q %v", body, res.Header)
			}
		}
	}
	if res, body := ask("/assets/app-5KQV6DTR.css", "Range", "bytes=4-8"); res.StatusCode != 206 || body != "style" {
		t.Error(res.Status, body)
	}
	if res, body := ask("/robots.txt"); body != "User-agent: *" {
		t.Error(res.Status, body)
	}
	for _, path := range []string{"/assets/nothing", "/assets/..%2f..%2fetc/passwd", "/assets/../page.html"} {
		if res, body := ask(path); res.StatusCode < 400 {
			t.Errorf("%s: %s %s", path, res.Status, body)
		}
	}
	if _, err := gateway.Open(t.Context(), gateway.Options{Config: parsed(t, "origin: http://a\nroutes: [{match: GET /x/, files: /nowhere/at/all}]")}); err == nil || !strings.Contains(err.Error(), "GET /x/: files: ") {
		t.Error(err)
	}
}
