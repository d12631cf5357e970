package web_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay/web"
)

var next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "next "+r.URL.Path) })

func get(h http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var asset = regexp.MustCompile(`\./(assets/[^"]+\.(?:js|css))"`)

func TestPages(t *testing.T) {
	h := web.Handler("/", next)
	nonces := map[string]bool{}
	for _, path := range []string{"/", "/architecture", "/platform", "/activity", "/routes", "/entries", "/nodes"} {
		w := get(h, path)
		body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
		nonce := regexp.MustCompile(`'nonce-([^']+)'`).FindStringSubmatch(policy)
		if w.Code != 200 || !strings.Contains(body, `<base href="/"`) || strings.Contains(body, "{{") || nonce == nil || !strings.Contains(body, nonce[1]) {
			t.Fatalf("%s: %d %s %s", path, w.Code, policy, body)
		}
		if nonces[nonce[1]] {
			t.Error("a nonce is used twice")
		}
		nonces[nonce[1]] = true
		if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'; script-src 'self';") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("policy %s", policy)
		}
		if regexp.MustCompile(`<script>|<script [^>]*>[^<]|<style| on[a-z]+=`).MatchString(body) {
			t.Errorf("inline script or style in %s", body)
		}
	}
	for _, path := range []string{"/api/overview", "/health", "/nothing", "/assets/none.js", "/assets/../embed.go"} {
		if w := get(h, path); !strings.HasPrefix(w.Body.String(), "next ") {
			t.Errorf("%s is not handed on: %.80s", path, w.Body)
		}
	}
	post := httptest.NewRecorder()
	h.ServeHTTP(post, httptest.NewRequest("POST", "/", nil))
	if !strings.HasPrefix(post.Body.String(), "next ") {
		t.Error("a POST is answered with a page")
	}
}

func TestAssetsAreCompressedBeforehandAndImmutable(t *testing.T) {
	h := web.Handler("/", next)
	found := asset.FindAllStringSubmatch(get(h, "/").Body.String(), -1)
	if len(found) < 2 {
		t.Fatalf("assets %v", found)
	}
	script := 0
	for _, m := range found {
		path := "/" + m[1]
		plain := get(h, path).Body.String()
		for _, test := range []struct{ accept, encoding string }{
			{"gzip, deflate, br", "br"}, {"gzip", "gzip"}, {"br;q=0, gzip;q=0.5", "gzip"}, {"", ""}, {"identity", ""}, {"BR", "br"},
		} {
			w := get(h, path, "Accept-Encoding", test.accept)
			if w.Code != 200 || w.Header().Get("Content-Encoding") != test.encoding || w.Header().Get("Vary") != "Accept-Encoding" ||
				!strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Header().Get("Content-Type") == "" {
				t.Errorf("%s for %q: %d %v", path, test.accept, w.Code, w.Header())
			}
			if test.encoding == "gzip" {
				if strings.HasSuffix(path, ".js") && test.accept == "gzip" {
					script += w.Body.Len()
				}
				z, err := gzip.NewReader(w.Body)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(z); err != nil || string(got) != plain {
					t.Errorf("%s: compressed is another: %v", path, err)
				}
			}
		}
	}
	if script == 0 || script > 250_000 {
		t.Errorf("the first page loads %d bytes of compressed script, over 250,000", script)
	}
}

func TestUnderAPrefix(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/ops/", http.StripPrefix("/ops", web.Handler("/ops/", next)))
	if body := get(mux, "/ops/architecture").Body.String(); !strings.Contains(body, `<base href="/ops/"`) {
		t.Errorf("%s", body)
	}
	if body := get(mux, "/ops/api/overview").Body.String(); body != "next /api/overview" {
		t.Errorf("%s", body)
	}
}
