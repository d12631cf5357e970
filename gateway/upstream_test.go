package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/gateway"
)

// A member is one server of an origin: it says its name, and can be killed and brought back on its port.
type member struct {
	name   string
	addr   string
	server *http.Server
	calls  atomic.Int64
	posts  sync.Map // by body: how often
	do     func(http.ResponseWriter, *http.Request)
}

func (m *member) start(t *testing.T) {
	t.Helper()
	addr := m.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	m.addr = l.Addr().String()
	m.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.calls.Add(1)
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			n, _ := m.posts.LoadOrStore(string(body), new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
		}
		if m.do != nil {
			m.do(w, r)
			return
		}
		fmt.Fprint(w, m.name)
	})}
	go m.server.Serve(l)
	t.Cleanup(func() { m.server.Close() })
}

func members(t *testing.T, names ...string) (all []*member, urls []string) {
	t.Helper()
	for _, name := range names {
		m := &member{name: name}
		m.start(t)
		all, urls = append(all, m), append(urls, "http://"+m.addr)
	}
	return all, urls
}

// upstreams opens a gateway in front of origins of the file's kind.
func upstreams(t *testing.T, all ...gateway.Upstream) (*gateway.Gateway, string) {
	t.Helper()
	return front(t, gateway.Config{Origin: "", Upstreams: all}, nil)
}

// One of two servers is killed under load and comes back: no request that may be repeated fails, and no POST arrives twice.
func TestAServerIsKilled(t *testing.T) {
	all, urls := members(t, "a", "b")
	_, url := upstreams(t, gateway.Upstream{Name: "api", Servers: urls})
	var failed, sent atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprint(n, "-", i)
				if i%5 == 4 { // may fail, and must not be doubled
					if res, err := http.Post(url+"/change", "text/plain", strings.NewReader(id)); err == nil {
						res.Body.Close()
					}
					sent.Add(1)
					continue
				}
				res, err := http.Get(url + "/item/" + id)
				if err != nil {
					t.Error(err)
					return
				}
				if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 || string(body) != "a" && string(body) != "b" {
					failed.Add(1)
				}
				res.Body.Close()
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	all[0].server.Close()
	time.Sleep(700 * time.Millisecond)
	all[0].start(t)
	before := all[0].calls.Load()
	time.Sleep(2500 * time.Millisecond)
	close(stop)
	wg.Wait()
	if failed.Load() != 0 {
		t.Errorf("%d requests failed that may be repeated", failed.Load())
	}
	if all[0].calls.Load() == before {
		t.Error("the server that came back gets nothing")
	}
	times := map[string]int64{}
	for _, m := range all {
		m.posts.Range(func(body, n any) bool {
			times[body.(string)] += n.(*atomic.Int64).Load()
			return true
		})
	}
	for body, n := range times {
		if n > 1 {
			t.Errorf("POST %s arrived %d times", body, n)
		}
	}
	if len(times) == 0 {
		t.Error("no POST arrived")
	}
}

func TestBalance(t *testing.T) {
	ask := func(url, path string) string {
		_, body := get(t, url+path)
		return body
	}
	t.Run("round robin", func(t *testing.T) {
		all, urls := members(t, "a", "b", "c")
		_, url := upstreams(t, gateway.Upstream{Name: "api", Servers: urls})
		for i := range 30 {
			ask(url, fmt.Sprint("/", i))
		}
		for _, m := range all {
			if n := m.calls.Load(); n != 10 {
				t.Errorf("%s got %d of 30", m.name, n)
			}
		}
	})
	t.Run("hash", func(t *testing.T) {
		_, urls := members(t, "a", "b", "c")
		_, url := upstreams(t, gateway.Upstream{Name: "api", Servers: urls, Balance: "hash"})
		_, again := upstreams(t, gateway.Upstream{Name: "api", Servers: []string{urls[2], urls[0], urls[1]}, Balance: "hash"})
		got := map[string]int{}
		for i := range 60 {
			path := fmt.Sprint("/item/", i)
			r, _ := http.NewRequest("GET", again+path, nil)
			r.Host = strings.TrimPrefix(url, "http://") // what the hash is of is not of this gateway
			one := ask(url, path)
			if res, err := http.DefaultClient.Do(r); err != nil {
				t.Fatal(err)
			} else if other, _ := io.ReadAll(res.Body); string(other) != one {
				t.Errorf("%s is %s's and %s's", path, one, other)
			}
			got[one]++
		}
		if len(got) != 3 {
			t.Errorf("%v", got)
		}
	})
	t.Run("least pending", func(t *testing.T) {
		all, urls := members(t, "slow", "quick")
		free := make(chan struct{})
		all[0].do = func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-free:
			case <-r.Context().Done():
			}
		}
		_, url := upstreams(t, gateway.Upstream{Name: "api", Servers: urls, Balance: "least-pending"})
		var wg sync.WaitGroup
		wg.Go(func() { get(t, url+"/1") })
		wg.Go(func() { get(t, url+"/2") })
		for all[0].calls.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		before := all[1].calls.Load()
		client := &http.Client{Timeout: 300 * time.Millisecond}
		for i := range 20 {
			if res, err := client.Get(fmt.Sprint(url, "/more/", i)); err == nil {
				res.Body.Close()
			}
		}
		// A tie may go either way: an answer can be there before the proxy knows that it has ended.
		if n := all[1].calls.Load() - before; n < 15 {
			t.Errorf("the one that is free got %d of 20", n)
		}
		close(free)
		wg.Wait()
	})
}

// A server whose health check fails gets nothing while others are well; where none is, all are tried.
func TestHealthChecks(t *testing.T) {
	all, urls := members(t, "a", "b")
	var sick atomic.Bool
	sick.Store(true)
	all[0].do = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" && sick.Load() {
			w.WriteHeader(500)
			return
		}
		fmt.Fprint(w, "a")
	}
	_, url := upstreams(t, gateway.Upstream{Name: "api", Servers: urls, Health: gateway.HealthCheck{Path: "/health", Every: 20 * time.Millisecond}})
	seen := func() map[string]int {
		got := map[string]int{}
		for i := range 20 {
			_, body := get(t, fmt.Sprint(url, "/", time.Now().UnixNano(), i))
			got[body]++
		}
		return got
	}
	for until := time.Now().Add(10 * time.Second); seen()["a"] > 0; {
		if time.Now().After(until) {
			t.Fatal("the sick server gets requests")
		}
	}
	all[1].server.Close()
	time.Sleep(100 * time.Millisecond)
	if got := seen(); got["a"] != 20 {
		t.Errorf("with none well: %v", got)
	}
	sick.Store(false)
	all[1].start(t)
	for until := time.Now().Add(20 * time.Second); ; {
		if got := seen(); got["a"] > 0 && got["b"] > 0 {
			break
		}
		if time.Now().After(until) {
			t.Fatal("a server that came back gets nothing")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Where everything fails, requests are not all sent twice.
func TestRetryBudget(t *testing.T) {
	all, urls := members(t, "a", "b")
	for _, m := range all {
		m.do = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
	}
	_, url := upstreams(t, gateway.Upstream{Name: "api", Servers: urls})
	for i := range 200 {
		if res, _ := get(t, fmt.Sprint(url, "/", i)); res.StatusCode != 503 {
			t.Fatalf("%d", res.StatusCode)
		}
	}
	if n := all[0].calls.Load() + all[1].calls.Load(); n < 210 || n > 240 {
		t.Errorf("%d tries of 200 requests", n)
	}
}

// A route goes its own way: to another origin, for so long, with fields set and removed.
func TestRoutesGoTheirWay(t *testing.T) {
	all, urls := members(t, "main", "other")
	for _, m := range all {
		m.do = func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				select {
				case <-time.After(10 * time.Second):
				case <-r.Context().Done():
				}
			}
			w.Header().Set("X-Powered-By", "secret")
			fmt.Fprint(w, m.name, " ", r.Header.Get("X-From"), r.Header.Get("X-Drop"))
		}
	}
	config, err := gateway.ParseConfig([]byte(fmt.Sprintf(`
origin: %s
origins:
  other: {servers: [%s], retries: 0, timeout: 5s, requests: 10}
routes:
  - match: GET /other/
    origin: other
    ttl: 1m
    set_headers:
      request: {X-From: gateway, X-Drop: null}
      response: {X-Powered-By: null, Cache-Control: "max-age=60"}
  - match: GET /other/but
    ttl: 1m
  - match: GET /slow
    timeout: 100ms
`, urls[0], urls[1])))
	if err != nil {
		t.Fatal(err)
	}
	g, url := front(t, config, nil)
	if _, body := get(t, url+"/x"); body != "main " {
		t.Errorf("%q", body)
	}
	r, err := http.NewRequest("GET", url+"/other/x", nil)
	r.Header.Set("X-Drop", "me")
	res, body := fetch(t, r, err)
	if body != "other gateway" || res.Header.Get("X-Powered-By") != "" {
		t.Errorf("%q %v", body, res.Header)
	}
	if res, _ := fetch(t, r, nil); !strings.Contains(res.Header.Get("Cache-Status"), "hit") {
		t.Errorf("%v", res.Header)
	}
	if _, body := get(t, url+"/other/but"); body != "main " {
		t.Errorf("a more specific route without an origin: %q", body)
	}
	begun := time.Now()
	if res, _ := get(t, url+"/slow"); res.StatusCode != 504 || time.Since(begun) > 5*time.Second {
		t.Errorf("%d after %s", res.StatusCode, time.Since(begun))
	}
	names := ""
	for _, l := range g.Limits() {
		names += l.Name + ","
	}
	if !strings.Contains(names, "origin_requests,") || !strings.Contains(names, "origin_requests other,") {
		t.Error(names)
	}
}

// Servers are reached by a socket of this machine, and by TLS with an authority, a name and a certificate of one's own.
func TestWaysToServers(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "api.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "by ", r.Host) })}
	go local.Serve(l)
	defer local.Close()
	if _, url := upstreams(t, gateway.Upstream{Name: "api", Servers: []string{"unix:" + socket}}); true {
		if _, body := get(t, url+"/x"); body != "by localhost" {
			t.Errorf("%q", body)
		}
	}
	authority, certify := authorityIn(t, dir)
	certify("server", "api.internal")
	certify("gateway", "gateway")
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "for ", r.TLS.PeerCertificates[0].Subject.CommonName, " ", r.TLS.ServerName)
	}))
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority}
	secure.StartTLS()
	defer secure.Close()
	own := gateway.UpstreamTLS{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "gateway.pem"), Key: filepath.Join(dir, "gateway.key"), ServerName: "api.internal"}
	if _, url := upstreams(t, gateway.Upstream{Name: "api", Servers: []string{secure.URL}, TLS: own}); true {
		if _, body := get(t, url+"/x"); body != "for gateway api.internal" {
			t.Errorf("%q", body)
		}
	}
	own.ServerName = "elsewhere"
	if _, url := upstreams(t, gateway.Upstream{Name: "api", Servers: []string{secure.URL}, TLS: own}); true {
		if res, _ := get(t, url+"/x"); res.StatusCode != 502 {
			t.Errorf("a certificate for another name: %d", res.StatusCode)
		}
	}
}

// authorityIn writes an authority's certificate, and returns what writes certificates of it.
func authorityIn(t *testing.T, dir string) (*x509.CertPool, func(file, name string)) {
	t.Helper()
	write := func(file, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	write("ca.pem", "CERTIFICATE", der)
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	serial := int64(1)
	return pool, func(file, name string) {
		serial++
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, root, own.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		write(file+".pem", "CERTIFICATE", der)
		text, err := x509.MarshalECPrivateKey(own)
		if err != nil {
			t.Fatal(err)
		}
		write(file+".key", "EC PRIVATE KEY", text)
	}
}

func TestOriginMistakes(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"origins: {api: {servers: []}}", "name at least one"},
		{"origins: {api: {servers: [ftp://x]}}", "write http://"},
		{"origins: {api: {servers: ['unix:run']}}", "write unix:/run"},
		{"origins: {api: {servers: [http://a, http://a]}}", "is there twice"},
		{"origins: {api: {servers: [http://a/x, http://b/y]}}", "another path"},
		{"origins: {api: {servers: [http://a], balance: random}}", "round-robin"},
		{"origins: {api: {servers: [http://a], health: {path: health}}}", "write /health"},
		{"origins: {api: {servers: [http://a], tls: {cert: a.pem}}}", "belong together"},
		{"origins: {default: {servers: [http://a]}}\norigin: http://b", "leave one of them out"},
		{"origin: http://a\nroutes: [{match: GET /x, origin: nowhere}]", `no origin "nowhere"`},
		{"origin: http://a\nroutes: [{match: GET /x, set_headers: {request: {Content-Length: '5'}}}]", "belongs to the connection"},
		{"origin: http://a\nroutes: [{match: GET /x, set_headers: {response: {'A B': x}}}]", "no message can have"},
	} {
		if _, err := gateway.ParseConfig([]byte(test.file)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.file, err, test.want)
		}
	}
}

// What may have had an effect is sent once, whatever became of it: refused by its server, or cut off.
func TestChangesAreSentOnce(t *testing.T) {
	for name, do := range map[string]func(http.ResponseWriter, *http.Request){
		"503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			all, urls := members(t, "a", "b")
			for _, m := range all {
				m.do = do
			}
			_, url := upstreams(t, gateway.Upstream{Name: "api", Servers: urls})
			for i := range 8 { // within the budget of what may be sent again
				for _, method := range []string{"POST", "DELETE"} {
					r, _ := http.NewRequest(method, url+"/x", strings.NewReader(fmt.Sprint(method, i)))
					if method == "DELETE" {
						r.Body, r.ContentLength = http.NoBody, 0
					}
					if res, err := http.DefaultClient.Do(r); err == nil {
						res.Body.Close()
					}
				}
			}
			if n := all[0].calls.Load() + all[1].calls.Load(); n != 16 {
				t.Errorf("16 requests arrived %d times", n)
			}
		})
	}
}
