package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// startQUIC runs the gateway with HTTP/3 in front of an origin.
func startQUIC(t *testing.T, origin http.Handler, args ...string) (gateway, admin, cert string, pool *x509.CertPool) {
	t.Helper()
	o := httptest.NewServer(origin)
	t.Cleanup(o.Close)
	cert, key, pool := writeCertificate(t, t.TempDir(), "localhost")
	gateway, admin, _ = start(t, append([]string{"serve", "--origin", o.URL, "--tls-cert", cert, "--tls-key", key}, args...)...)
	return strings.Replace(gateway, "127.0.0.1", "localhost", 1), admin, cert, pool
}

func sayProto(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=60")
	w.Header().Set("Content-Type", "text/html")
	w.Header().Set("Alt-Svc", `h3=":1"`)
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "<p>%s %s %d</p>", r.Method, r.Header.Get("Via"), len(body))
}

func TestHTTP3(t *testing.T) {
	gateway, admin, _, pool := startQUIC(t, http.HandlerFunc(sayProto), "--access-log", "json")
	transport := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.Close()
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	ask := func(method, path, body string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, gateway+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(b)
	}
	if res, body := ask("POST", "/upload", strings.Repeat("x", 3<<20)); res.ProtoMajor != 3 || !strings.HasPrefix(body, "<p>POST 3 forebay-") || !strings.HasSuffix(body, " 3145728</p>") {
		t.Errorf("%s %s", res.Proto, body)
	}
	ask("GET", "/a", "")
	loaded(t, admin)
	if res, _ := ask("GET", "/a", ""); !strings.Contains(res.Header.Get("Cache-Status"), "; hit") || res.Header.Get("Alt-Svc") != "" {
		t.Error(res.Header)
	}
	if res, body := ask("HEAD", "/a", ""); res.StatusCode != 200 || body != "" {
		t.Error(res.Status, body)
	}
	// Other connections are told, and not of the origin's own.
	for _, h2 := range []bool{true, false} {
		other := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{ForceAttemptHTTP2: h2, TLSClientConfig: &tls.Config{RootCAs: pool}}}
		res, err := other.Get(gateway + "/a")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		other.CloseIdleConnections()
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(gateway, "https://"))
		if got := res.Header["Alt-Svc"]; len(got) != 1 || got[0] != `h3=":`+port+`"; ma=86400` {
			t.Errorf("%s: %q", res.Proto, got)
		}
	}
}

// Before the handshake is complete anybody may be the sender, again: only what is held for everybody is answered. Now and
// then the handshake is as fast as the request.
func TestEarlyData(t *testing.T) {
	gateway, admin, cert, pool := startQUIC(t, http.HandlerFunc(sayProto))
	client := filepath.Join(t.TempDir(), "early")
	if out, err := exec.Command("go", "build", "-o", client, "./testdata/early").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	plain := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	res, err := plain.Get(gateway + "/a")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	plain.CloseIdleConnections()
	loaded(t, admin)
	gzip := []string{"Accept-Encoding", "gzip", "User-Agent", "Go-http-client/1.1"} // as the first client said
	for name, c := range map[string]struct {
		method, path string
		fields       []string
		answered     bool
	}{
		"held for everybody":         {http3.MethodGet0RTT, "/a", gzip, true},
		"HEAD of it":                 {http3.MethodHead0RTT, "/a", gzip, true},
		"not held":                   {http3.MethodGet0RTT, "/b", append(gzip, "Cache-Control", "no-store"), false},
		"with a credential":          {http3.MethodGet0RTT, "/a", append(gzip, "Authorization", "Bearer x"), false},
		"that wants to be validated": {http3.MethodGet0RTT, "/a", append(gzip, "Cache-Control", "no-cache"), false},
	} {
		out, err := exec.Command(client, append([]string{cert, c.method, gateway + c.path}, c.fields...)...).CombinedOutput()
		if refused := strings.Contains(string(out), "425"); err != nil || refused == c.answered {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestUnlessEarly(t *testing.T) {
	h := unlessEarly(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), func(r *http.Request) bool { return r.URL.Path == "/held" })
	for path, want := range map[string][2]int{"/held": {200, 200}, "/other": {425, 200}} {
		for i, complete := range []bool{false, true} {
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)
			r.TLS = &tls.ConnectionState{HandshakeComplete: complete}
			if h.ServeHTTP(w, r); w.Code != want[i] {
				t.Errorf("%s, complete %t: %d", path, complete, w.Code)
			}
		}
	}
}

// A browser speaks HTTP/3 to it.
func TestChromiumSpeaksHTTP3(t *testing.T) {
	gateway, _, cert, _ := startQUIC(t, http.HandlerFunc(sayProto))
	gateway = strings.Replace(gateway, "localhost", "127.0.0.1", 1) // where it listens
	pair, err := tls.LoadX509KeyPair(cert, strings.Replace(cert, "cert.pem", "key.pem", 1))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pin := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	profile, err := os.MkdirTemp("", "forebay-chromium")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(profile)
	out, err := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir="+profile, "--origin-to-force-quic-on="+strings.TrimPrefix(gateway, "https://"), "--ignore-certificate-errors-spki-list="+base64.StdEncoding.EncodeToString(pin[:]),
		"--dump-dom", gateway+"/page").Output()
	if err != nil || !strings.Contains(string(out), "<p>GET 3 forebay-") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestSelfSigned(t *testing.T) {
	gateway, _, out := start(t, "serve", "--origin", startOrigin(t), "--tls", "self-signed", "--http3", "off")
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := client.Get(gateway + "/a")
	if err != nil {
		t.Fatal(err, out)
	}
	res.Body.Close()
	if err := res.TLS.PeerCertificates[0].VerifyHostname("localhost"); err != nil || res.Header.Get("Alt-Svc") != "" {
		t.Error(err, res.Header)
	}
	client.CloseIdleConnections()
}

// Where the port cannot be had for UDP, HTTP/2 goes on, and the log says so.
func TestWithoutUDP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: addr.IP, Port: addr.Port})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	l.Close()
	ctx, stop := context.WithCancel(t.Context())
	out := newScreen()
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"serve", "--origin", startOrigin(t), "--tls", "self-signed", "--addr", addr.String(), "--admin", "127.0.0.1:0"}, out, out)
	}()
	gateway, _ := addresses(out)
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	eventually(t, "nobody is told", func() bool { return strings.Contains(out.String(), "HTTP/3 is not served, HTTP/2 goes on") })
	res, err := client.Get(gateway + "/a")
	if err != nil || res.ProtoMajor != 2 || res.Header.Get("Alt-Svc") != "" {
		t.Error(res, err)
	}
	client.CloseIdleConnections()
	stop()
	if c := <-code; c != 0 {
		t.Error(c, out)
	}
}
