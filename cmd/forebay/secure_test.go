package main

import (
	"bufio"
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
	"testing"
	"time"
)

// writeCertificate writes a certificate of its own authority.
func writeCertificate(t *testing.T, dir, name string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, own.Public(), own)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(root)
	return cert, key, pool
}

func TestTLS(t *testing.T) {
	var proto string
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto = r.Header.Get("X-Forwarded-Proto")
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "the answer")
	}))
	defer origin.Close()
	dir := t.TempDir()
	cert, key, pool := writeCertificate(t, dir, "gateway.example")
	gateway, admin, out := start(t, "serve", "--origin", origin.URL, "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(gateway, "https://") {
		t.Fatal(gateway)
	}
	client := func(pool *x509.CertPool, h2 bool) *http.Client {
		return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true, ForceAttemptHTTP2: h2, TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "gateway.example"}}}
	}
	for i, h2 := range []bool{false, true} {
		for range 2 {
			res, err := client(pool, h2).Get(fmt.Sprintf("%s/a%d", gateway, i))
			if err != nil {
				t.Fatal(h2, err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if string(body) != "the answer" || (res.ProtoMajor == 2) != h2 || proto != "https" {
				t.Errorf("%s: %q, the origin was told %q", res.Proto, body, proto)
			}
			loaded(t, admin)
		}
		res, err := client(pool, h2).Get(fmt.Sprintf("%s/a%d", gateway, i))
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); !strings.Contains(res.Header.Get("Cache-Status"), "; hit") {
			t.Errorf("%s: %s", res.Proto, res.Header.Get("Cache-Status"))
		}
	}
	// The framing is looked at behind TLS too.
	conn, err := tls.Dial("tcp", strings.TrimPrefix(gateway, "https://"), &tls.Config{RootCAs: pool, ServerName: "gateway.example", NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(conn, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 400 {
		t.Errorf("said twice how long it is: %v %v", res, err)
	}
	// A client that speaks no TLS, and one that says nothing, hold nobody up.
	plain, err := net.Dial("tcp", strings.TrimPrefix(gateway, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	plain.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(plain, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if b, err := io.ReadAll(plain); err != nil && !strings.Contains(err.Error(), "reset") || strings.Contains(string(b), "200") {
		t.Errorf("without TLS: %q %v", b, err)
	}
	// The certificate is read again.
	_, _, renewed := writeCertificate(t, dir, "gateway.example")
	eventually(t, "the new certificate is not used", func() bool {
		res, err := client(renewed, true).Get(gateway + "/a1")
		if err != nil {
			return false
		}
		res.Body.Close()
		return true
	})
	if err := os.WriteFile(key, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nobody is told of a key that cannot be used", func() bool { return strings.Contains(out.String(), "failed to find any PEM data in key input") })
	res, err := client(renewed, true).Get(gateway + "/a1")
	if err != nil {
		t.Fatal("a key that cannot be used took the one that could: ", err)
	}
	res.Body.Close()
}

func TestProxyProtocol(t *testing.T) {
	seen := make(chan string, 10)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen <- r.Header.Get("X-Forwarded-For") }))
	defer origin.Close()
	file := filepath.Join(t.TempDir(), "forebay.yaml")
	ask := func(t *testing.T, gateway, before string) string {
		conn, err := net.Dial("tcp", strings.TrimPrefix(gateway, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprint(conn, before+"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err.Error()
		}
		if res.StatusCode != 200 {
			return res.Status
		}
		return <-seen
	}
	const v1, v2 = "PROXY TCP4 192.0.2.7 198.51.100.1 5000 80\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\xc6\x33\x64\x01\x13\x88\x00\x50"
	// A proxy's own health check: the addresses, if any, are of no meaning (section 2.2).
	const local = "\r\n\r\n\x00\r\nQUIT\n\x20\x11\x00\x0c\xc0\x00\x02\x08\xc6\x33\x64\x01\x13\x88\x00\x50"
	for trusted, want := range map[string][4]string{
		"127.0.0.0/8": {"192.0.2.7", "192.0.2.8", "127.0.0.1", "127.0.0.1"},
		"10.0.0.0/8":  {"400 Bad Request", "400 Bad Request", "127.0.0.1", "400 Bad Request"},
	} {
		text := "origin: " + origin.URL + "\nlisten: {proxy_protocol: true, trusted_proxies: [" + trusted + "]}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		gateway, _, _ := start(t, "serve", "--config", file)
		for i, before := range []string{v1, v2, "", local} {
			if got := ask(t, gateway, before); got != want[i] {
				t.Errorf("trusted %s, %q: %s, want %s", trusted, before, got, want[i])
			}
		}
	}
}
