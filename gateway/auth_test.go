package gateway_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/forebay-cache/forebay/gateway"
)

// An authWorld is an auth service that lets ada and ben in, an API, and a gateway between them.
type authWorld struct {
	url    string
	asked  atomic.Int64
	called atomic.Int64
	status atomic.Int64 // that the service answers everybody; 0: as it decides
	seen   sync.Map
}

func openAuth(t *testing.T, route string) *authWorld {
	t.Helper()
	w := &authWorld{}
	service := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		w.seen.Store("header", r.Header.Clone())
		who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case w.status.Load() != 0:
			rw.WriteHeader(int(w.status.Load()))
		case who == "ada", who == "ben" && !strings.Contains(r.Header.Get("X-Forwarded-Uri"), "secret"):
		default:
			rw.Header().Set("WWW-Authenticate", `Bearer realm="api"`)
			rw.Header().Set("X-Internal", "no")
			rw.WriteHeader(401)
			fmt.Fprint(rw, "who are you?")
		}
	}))
	t.Cleanup(service.Close)
	config, err := gateway.ParseConfig([]byte(fmt.Sprintf(`
origin: http://127.0.0.1:1
classes:
  pages: {ttl: 1m}
  decisions: {ttl: 1m, stale_if_error: off}
routes:
  - match: GET /private/
    class: pages
    shared: true
    override: true
    auth: {url: %s/check, class: decisions%s}
  - match: GET /private/list
    class: pages
  - match: /change
    auth: {url: %s/check, class: decisions}
`, service.URL, route, service.URL)))
	if err != nil {
		t.Fatal(err)
	}
	config.Origin = ""
	_, w.url = front(t, config, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "%s %d", r.URL.Path, w.called.Add(1))
	}))
	return w
}

func (w *authWorld) get(t *testing.T, who, path string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", w.url+path, nil)
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	res, body := fetch(t, r, err)
	return res.StatusCode, body, res.Header
}

// A shared entry is served to all who are allowed, and to nobody else: each request is decided on, and decisions are cached.
func TestAuth(t *testing.T) {
	w := openAuth(t, "")
	for _, who := range []string{"ada", "ben", "ada", "ben"} {
		if status, body, _ := w.get(t, who, "/private/x"); status != 200 || body != "/private/x 1" {
			t.Errorf("%s: %d %q", who, status, body)
		}
	}
	if n := w.asked.Load(); n != 2 {
		t.Errorf("the service was asked %d times for two callers", n)
	}
	for range 2 {
		status, body, h := w.get(t, "eve", "/private/x")
		if status != 401 || body != "who are you?" || h.Get("WWW-Authenticate") == "" || h.Get("X-Internal") != "" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("eve: %d %q %v", status, body, h)
		}
		if status, _, _ := w.get(t, "", "/private/x"); status != 401 {
			t.Errorf("nobody: %d", status)
		}
	}
	if n := w.asked.Load(); n != 6 {
		t.Errorf("%d questions: refusals are cached", n)
	}
	if status, _, _ := w.get(t, "ben", "/private/secret"); status != 401 {
		t.Errorf("ben has what ada may have: %d", status)
	}
	if status, _, _ := w.get(t, "ada", "/private/secret"); status != 200 {
		t.Errorf("ada: %d", status)
	}
	if status, _, _ := w.get(t, "ben", "/private/secret"); status != 401 {
		t.Errorf("ben has what is stored: %d", status)
	}
	if status, _, _ := w.get(t, "eve", "/other"); status != 200 {
		t.Errorf("a route without auth: %d", status)
	}
	if r, err := http.NewRequest("POST", w.url+"/change", strings.NewReader("x")); err == nil {
		if res, _ := fetch(t, r, err); res.StatusCode != 401 {
			t.Errorf("a change by nobody: %d", res.StatusCode)
		}
	}
	w.status.Store(503)
	if status, _, _ := w.get(t, "ada", "/private/new"); status != 503 {
		t.Errorf("without a service: %d", status)
	}
	if status, _, _ := w.get(t, "ada", "/private/x"); status != 200 {
		t.Errorf("with what was decided before: %d", status)
	}
}

// A decision for a whole route is made once for each caller, by a service that does not learn the URL.
func TestAuthByRoute(t *testing.T) {
	w := openAuth(t, ", by: route")
	for i := range 5 {
		if status, _, _ := w.get(t, "ben", fmt.Sprint("/private/", i)); status != 200 {
			t.Errorf("%d", status)
		}
	}
	if n := w.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if h, _ := w.seen.Load("header"); h.(http.Header).Get("X-Forwarded-Uri") != "" || h.(http.Header).Get("X-Forwarded-Method") != "GET" {
		t.Errorf("%v", h)
	}
}

// No way of writing a path leads past the service.
func TestAuthIsNotPassedBy(t *testing.T) {
	w := openAuth(t, "")
	for _, line := range []string{
		"GET /private/x HTTP/1.1", "GET /other/../private/x HTTP/1.1", "GET //private/x HTTP/1.1", "GET /private%2fx HTTP/1.1", "GET /%70rivate/x HTTP/1.1", "GET /./private/x HTTP/1.1",
		"GET /other/%2e%2e/private/x HTTP/1.1", "GET http://a.test/private/x HTTP/1.1", "HEAD /private/x HTTP/1.1", "GET /private/x?a=1 HTTP/1.1", `GET /other\..\private/x HTTP/1.1`, "GET /private/x HTTP/1.0",
		"GET /private/ HTTP/1.1", "GET /private/list HTTP/1.1", "GET /private//x HTTP/1.1",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "%s\r\nHost: a.test\r\nConnection: close\r\n\r\n", line)
		answer, _ := io.ReadAll(c)
		c.Close()
		if status := string(answer[:min(len(answer), 15)]); !strings.Contains(status, " 401") && !strings.Contains(status, " 400") && !strings.Contains(status, " 30") {
			t.Errorf("%s: %s", line, answer)
		}
	}
	if n := w.called.Load(); n != 0 {
		t.Errorf("the API was called %d times", n)
	}
}
