package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/gateway"
)

// A certificate is read from two files, and read again when they change; or it is an authority's.
type certificate struct {
	now  atomic.Pointer[tls.Certificate]
	from *authority // nil: the files'
}

// certificateOf reads the files of a configuration, or makes one for development; nil: there is no TLS.
func certificateOf(l gateway.Listen, selfSigned bool) (*certificate, error) {
	c := &certificate{}
	switch {
	case l.Cert != "":
		return c, c.load(l.Cert, l.Key)
	case selfSigned:
		return c, c.make(l.Addr)
	}
	return nil, nil
}

// selfSignedFor is how long a certificate that was made is valid: one for development needs no more.
const selfSignedFor = 10 * 24 * time.Hour

// make makes a certificate that nobody trusts, for this machine's own names and the host of an address.
func (c *certificate) make(addr string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "forebay, self-signed"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(selfSignedFor),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if host, _, err := net.SplitHostPort(addr); err == nil && host != "" {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	c.now.Store(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	return nil
}

// manage has an authority obtain the certificates of names, if there is one: the listener is there.
func (c *certificate) manage(ctx context.Context, public net.Addr, names []string) error {
	if c == nil || c.from == nil {
		return nil
	}
	return c.from.manage(ctx, public, names)
}

// problem says what is wrong with the authority's certificates; nil where there is none.
func (c *certificate) problem() func() error {
	if c == nil || c.from == nil {
		return nil
	}
	return c.from.problem
}

func (c *certificate) close() {
	if c != nil {
		c.from.close()
	}
}

func (c *certificate) scheme() string {
	if c == nil {
		return "http"
	}
	return "https"
}

// load reads the files. What they hold is used for handshakes from now on; an error changes nothing.
func (c *certificate) load(cert, key string) error {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("the certificate %s with the key %s: %w", cert, key, err)
	}
	c.now.Store(&pair)
	return nil
}

// config is for the listener. Key exchange is left to the library: post-quantum where the client can.
func (c *certificate) config() *tls.Config {
	if c == nil {
		return nil
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now.Load(), nil },
	}
	if c.from != nil {
		return c.from.tls(config)
	}
	return config
}

// A tlsListener speaks TLS on the connections of another.
type tlsListener struct {
	net.Listener
	config *tls.Config
}

// Accept implements [net.Listener]. The handshake comes with the first read.
func (l tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(c, l.config), nil
}

// A secure connection is one of those, which requests find in their context. net/http would know it by its type, but other
// listeners stand around the one that speaks TLS; it takes HTTP/2 by its first bytes, which a client sends that has agreed
// on it (ALPN).
type secure struct {
	conn *tls.Conn
	once sync.Once
	held tls.ConnectionState
}

func (s *secure) state() *tls.ConnectionState {
	s.once.Do(func() { s.held = s.conn.ConnectionState() })
	return &s.held
}

type secureKey struct{}

// withSecure is for [http.Server.ConnContext].
func withSecure(ctx context.Context, c net.Conn) context.Context {
	for {
		if found, ok := c.(*tls.Conn); ok {
			return context.WithValue(ctx, secureKey{}, &secure{conn: found})
		}
		around, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return ctx
		}
		c = around.NetConn()
	}
}

// securely tells requests that they came by TLS.
func securely(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, ok := r.Context().Value(secureKey{}).(*secure); ok && r.TLS == nil {
			r.TLS = s.state()
		}
		next.ServeHTTP(w, r)
	})
}
