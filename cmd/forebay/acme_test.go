package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// names answers every name with this machine.
func names(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for _, one := range q.Question {
			if one.Qtype == dns.TypeA {
				m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: one.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1)})
			}
		}
		w.WriteMsg(m)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return l.Addr().String()
}

// An authorityServer is Let's Encrypt's own test server (Pebble). It looks at names on a port.
type authorityServer struct {
	directory, cert string
	roots           *x509.CertPool
	orders          func() int
}

func startAuthority(t *testing.T, tlsPort int) authorityServer {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0") // otherwise some requests are made twice, and counted so
	logger := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	authority := ca.New(logger, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "the default", ValidityPeriod: 7776000}})
	front := wfe.New(logger, store, va.New(logger, 1, tlsPort, false, names(t), store), authority, []string{"pebble.example"}, false, false, 1, 1)
	asked := make(chan struct{}, 100)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/order-plz" {
			asked <- struct{}{}
		}
		front.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	cert := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.GetRootCert(0).Cert)
	return authorityServer{server.URL + "/dir", cert, roots, func() int { return len(asked) }}
}

func acmeConfig(t *testing.T, a authorityServer, origin, storage string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	text := fmt.Sprintf("origin: %s\nlisten:\n  acme: {domains: [www.gateway.example], email: operators@gateway.example, directory: %q, ca: %s, storage: %s}\n", origin, a.directory, a.cert, storage)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// speaks waits until a gateway has a certificate of the authority, and returns its serial number.
func speaks(t *testing.T, a authorityServer, gateway string) string {
	t.Helper()
	serial := ""
	eventually(t, "no certificate of the authority", func() bool {
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: a.roots, ServerName: "www.gateway.example"}}}
		res, err := client.Get(gateway + "/")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		serial = res.TLS.PeerCertificates[0].SerialNumber.String()
		return res.StatusCode == 200
	})
	return serial
}

func TestACME(t *testing.T) {
	port := redistest.FreePort(t)
	a := startAuthority(t, port)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	defer origin.Close()
	for name, args := range map[string][]string{
		"in a folder":        nil,
		"in the shared tier": {"--redis", redistest.Start(t).URL()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("FOREBAY_SECRET", "a secret that all share")
			config := acmeConfig(t, a, origin.URL, filepath.Join(t.TempDir(), "certificates"))
			before := a.orders()
			args := append([]string{"serve", "--config", config}, args...)
			first, _, _ := start(t, append(args, "--addr", "127.0.0.1:"+strconv.Itoa(port))...)
			serial := speaks(t, a, first)
			if n := a.orders() - before; n != 1 {
				t.Errorf("%d orders", n)
			}
			if !strings.HasPrefix(first, "https://") {
				t.Error(first)
			}
			// Another gateway uses what the first has obtained: none is ordered, and port 443 does not lead to it.
			second, _, _ := start(t, args...)
			if other := speaks(t, a, second); other != serial {
				t.Errorf("another certificate: %s and %s", serial, other)
			}
			if n := a.orders() - before; n != 1 {
				t.Errorf("%d orders for two gateways", n)
			}
			// A name that is not ours has no certificate.
			_, err := tls.Dial("tcp", strings.TrimPrefix(first, "https://"), &tls.Config{InsecureSkipVerify: true, ServerName: "www.other.example"})
			if err == nil {
				t.Error("a handshake with a name that no certificate is for")
			}
		})
	}
}

func TestAFailedCertificateIsSaid(t *testing.T) {
	a := startAuthority(t, redistest.FreePort(t)) // looks where nobody listens
	origin := httptest.NewServer(http.NotFoundHandler())
	defer origin.Close()
	_, admin, _ := start(t, "serve", "--config", acmeConfig(t, a, origin.URL, t.TempDir()))
	eventually(t, "health does not say it", func() bool {
		res, err := http.Get(admin + "/health")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return strings.Contains(string(b), "the certificate of www.gateway.example cannot be obtained")
	})
}
