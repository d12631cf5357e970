package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/httpcache"
)

// front puts a gateway in front of an origin; both listen on real ports.
func front(t *testing.T, c gateway.Config, origin http.Handler) (*gateway.Gateway, string) {
	t.Helper()
	if c.Origin == "" && c.Upstreams == nil {
		o := httptest.NewServer(origin)
		t.Cleanup(o.Close)
		c.Origin = o.URL
	}
	g, err := gateway.Open(t.Context(), gateway.Options{Config: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(g)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(func() {
		s.Close()
		g.Close()
	})
	return g, s.URL
}

func fetch(t *testing.T, req *http.Request, err error) (*http.Response, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	return fetch(t, req, err)
}

func TestRulesAndForwarding(t *testing.T) {
	rule, err := gateway.ParseRule("GET /api/partners=15m")
	if err != nil {
		t.Fatal(err)
	}
	_, url := front(t, gateway.Config{Rules: []httpcache.Rule{rule}}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s host=%s for=%s proto=%s", r.URL, r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"))
	}))
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/api/partners?a=1;b=2&c=%zz", nil)
	req.Header.Set("X-Forwarded-For", "6.6.6.6")
	req.Header.Set("X-Forwarded-Host", "evil.example")
	_, body := fetch(t, req, err)
	if want := fmt.Sprintf("/api/partners?a=1;b=2&c=%%zz host=%s for= proto=http", strings.TrimPrefix(url, "http://")); body != want {
		t.Errorf("the origin saw %q, want %q", body, want)
	}
	if res, _ := get(t, url+"/api/partners?a=1;b=2&c=%zz"); !strings.Contains(res.Header.Get("Cache-Status"), "hit; ttl=89") {
		t.Errorf("again: %q", res.Header.Get("Cache-Status"))
	}
	if _, body := get(t, url+"/other"); !strings.Contains(body, "for= ") {
		t.Errorf("a load that others may share names the first client: %q", body)
	}
	req, err = http.NewRequestWithContext(t.Context(), "POST", url+"/other", nil)
	if _, body := fetch(t, req, err); !strings.Contains(body, "for=127.0.0.1") {
		t.Errorf("what passes does not name the client: %q", body)
	}
}

func TestUploads(t *testing.T) {
	const size = 32 << 20
	_, url := front(t, gateway.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v %s", n, err, r.Trailer.Get("X-Sum"))
	}))
	for _, announced := range []int64{size, -1} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/upload", io.LimitReader(endless{}, size))
		req.ContentLength = announced
		if announced < 0 {
			req.Trailer = http.Header{"X-Sum": {"42"}}
		}
		_, body := fetch(t, req, err)
		if want := fmt.Sprintf("%d <nil> %s", size, req.Trailer.Get("X-Sum")); body != want {
			t.Errorf("length %d: the origin read %q, want %q", announced, body, want)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestExpectContinue(t *testing.T) {
	_, url := front(t, gateway.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}))
	for path, want := range map[string]string{"/yes": "HTTP/1.1 100 Continue", "/no": "HTTP/1.1 403 Forbidden"} {
		conn, r := dial(t, url)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n", path)
		if line, err := r.ReadString('\n'); strings.TrimSpace(line) != want {
			t.Errorf("%s: %q, %v", path, line, err)
		}
	}
}

func TestInterimResponses(t *testing.T) {
	_, url := front(t, gateway.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "x")
	}))
	var early []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		early = append(early, fmt.Sprint(code, h.Get("Link")))
		return nil
	}})
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if res, _ := fetch(t, req, err); len(early) != 1 || early[0] != "103</a.css>; rel=preload" || !strings.Contains(res.Header.Get("Cache-Status"), "stored") {
		t.Errorf("early: %q, then %q", early, res.Header.Get("Cache-Status"))
	}
}

func TestUpgrade(t *testing.T) {
	_, url := front(t, gateway.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(both, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		both.Flush()
		line, _ := both.ReadString('\n')
		io.WriteString(both, "heard "+line)
		both.Flush()
	}))
	conn, r := dial(t, url)
	io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	res, err := http.ReadResponse(r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%v, %v", res, err)
	}
	io.WriteString(conn, "hello\n")
	if line, err := r.ReadString('\n'); line != "heard hello\n" {
		t.Errorf("%q, %v", line, err)
	}
}

func dial(t *testing.T, url string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReader(conn)
}

func TestHTTP2WithoutTLS(t *testing.T) {
	plain := new(http.Protocols)
	plain.SetUnencryptedHTTP2(true)
	origin := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, r.Proto)
	}))
	origin.Config.Protocols = plain
	origin.Start()
	defer origin.Close()
	_, url := front(t, gateway.Config{Origin: strings.Replace(origin.URL, "http:", "h2c:", 1)}, nil)
	client := &http.Client{Transport: &http.Transport{Protocols: plain}}
	defer client.CloseIdleConnections()
	for _, how := range []string{"stored", "hit|collapsed"} { // the first load may still be ending
		res, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.Proto != "HTTP/2.0" || string(body) != "HTTP/2.0" || !regexp.MustCompile(how).MatchString(res.Header.Get("Cache-Status")) {
			t.Errorf("%s from %s, %q", res.Proto, body, res.Header.Get("Cache-Status"))
		}
	}
}

func TestOriginAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, url := front(t, gateway.Config{Origin: "http://" + l.Addr().String()}, nil)
	for _, method := range []string{"GET", "POST"} {
		req, err := http.NewRequestWithContext(t.Context(), method, url+"/x", nil)
		if res, body := fetch(t, req, err); res.StatusCode != 502 || !strings.Contains(body, "the origin did not answer") {
			t.Errorf("%s: %d %q", method, res.StatusCode, body)
		}
	}
}

func TestStaleWhileOriginIsAway(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=0, x")
		w.Header().Set("Etag", `"1"`)
		io.WriteString(w, "good")
	}))
	_, url := front(t, gateway.Config{Origin: origin.URL}, nil)
	get(t, url+"/x")
	origin.CloseClientConnections()
	origin.Close()
	if res, body := get(t, url+"/x"); res.StatusCode != 200 || body != "good" || !strings.Contains(res.Header.Get("Cache-Status"), "stale") {
		t.Errorf("%d %q %q", res.StatusCode, body, res.Header.Get("Cache-Status"))
	}
}

func TestAdvice(t *testing.T) {
	g, url := front(t, gateway.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/session" {
			w.Header().Set("Cache-Control", "no-store")
		}
	}))
	for i := range 12 {
		get(t, fmt.Sprintf("%s/api/partners?page=%d", url, i))
		get(t, fmt.Sprintf("%s/api/v2/partners/p-%d", url, i))
		get(t, url+"/api/session")
		if advice := g.Advice(); i < 9 && advice != nil {
			t.Fatalf("advice after %d answers: %v", 2*(i+1), advice)
		}
	}
	advice := g.Advice()
	if len(advice) != 2 || advice[0].Route != "GET /api/partners" || advice[0].Answers != 12 || advice[0].Flag != "--cache 'GET /api/partners=5m'" || advice[0].Safe != gateway.SafetyUnknown || advice[1].Route != "GET /api/v2/partners/{id}" {
		t.Errorf("%+v", advice)
	}
	for _, one := range advice {
		flag := strings.TrimSuffix(strings.TrimPrefix(one.Flag, "--cache '"), "'")
		if _, err := gateway.ParseRule(flag); err != nil {
			t.Errorf("%s: %v", one.Flag, err)
		}
	}
}

// What answers for the process and this moment is never advised; what is asked for with credentials says so.
func TestAdviceIsCareful(t *testing.T) {
	g, url := front(t, gateway.Config{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for i := range 30 {
		for _, path := range []string{"/health", "/healthz", "/api/health", "/health/ready", "/metrics", "/Livez", "/debug/vars", "/ping"} {
			get(t, url+path)
		}
		r, err := http.NewRequest("GET", url+"/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			r.Header.Set("Cookie", fmt.Sprint("session=", i))
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		get(t, url+"/healthy-recipes")
	}
	advice := g.Advice()
	if len(advice) != 2 || advice[0].Route != "GET /healthy-recipes" || advice[0].Credentials != 0 || advice[1].Route != "GET /me" || advice[1].Credentials != 10 {
		t.Errorf("%+v", advice)
	}
}

// Many callers of one slow route: one request reaches the origin.
func TestManyCallers(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	release := make(chan struct{})
	g, url := front(t, gateway.Config{Rules: []httpcache.Rule{{Match: "GET /slow", TTL: time.Minute}}}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked++
		mu.Unlock()
		<-release
		io.WriteString(w, "done")
	}))
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { get(t, url+"/slow") })
	}
	waiting := int64(0)
	for end := time.Now().Add(10 * time.Second); waiting < 99 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		waiting = 0
		for _, c := range g.Cache().Stats().Classes {
			waiting += c.Waiting
		}
	}
	close(release)
	all.Wait()
	if asked != 1 {
		t.Errorf("the origin was asked %d times", asked)
	}
}

func TestCloseTwice(t *testing.T) {
	g, err := gateway.Open(context.Background(), gateway.Options{Config: gateway.Config{Origin: "http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(g.Close(), g.Close()); err != nil {
		t.Error(err)
	}
}
