package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// By TLS, with a certificate that the system trusts, and as a user who may do what docs/operations.md says
// and nothing else.
func TestTLSAndAUserOfFewRights(t *testing.T) {
	cert, key := certificate(t)
	t.Setenv("SSL_CERT_FILE", cert)
	port := freePort(t)
	s := redistest.Start(t, "--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	rights := []string{"ACL", "SETUSER", "cache", "on", ">secret", "resetkeys", "~forebay:*", "-@all"}
	for _, command := range documentedRights(t) {
		rights = append(rights, "+"+strings.ToLower(command))
	}
	if said := s.Do(rights...); said != "+OK" {
		t.Fatal(said)
	}
	url := fmt.Sprintf("rediss://cache:secret@127.0.0.1:%d", port)
	o := &shop{}
	singing := func(o *forebay.Options) { o.Canary = 100 * time.Millisecond }
	a, b := start(t, url, o, singing), start(t, url, o, singing)
	a.twoTier()
	b.twoTier()
	get(t, a.loose, "k")
	a.settled()
	if r := b.loose.Do(ctx, "k"); r.Tier != forebay.TierShared {
		t.Errorf("the other node has it from %s", r.Tier)
	}
	for _, target := range []forebay.Target{forebay.Key(a.strict.Key("k")), forebay.Tag("tag-k"), forebay.Pattern("strict:*")} {
		v := o.write("k")
		if r := a.invalidate(target); r.Deferred {
			t.Errorf("%v: deferred", target)
		}
		if got := get(t, b.strict, "k"); got != v {
			t.Errorf("%v: %d, want %d", target, got, v)
		}
	}
	eventually(t, 10*time.Second, "each hears the other's canary", func() bool { return len(a.cache.Stats().Nodes) == 2 })
	if s := a.cache.Stats(); s.Mode != forebay.TwoTier || s.Shared.Failed > 0 {
		t.Errorf("%s, %d writes failed: %s%s", s.Mode, s.Shared.Failed, s.Shared.Problem, s.Shared.Canary)
	}
	if denied := s.Do("ACL", "LOG"); denied != "*0" {
		t.Errorf("the server refused something: %s", denied)
	}
}

// documentedRights are the commands that docs/operations.md says the user needs.
func documentedRights(t *testing.T) (commands []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^The user needs: .*$`).FindString(string(text))
	for _, m := range regexp.MustCompile("`([A-Z|]+)`").FindAllStringSubmatch(line, -1) {
		commands = append(commands, m[1])
	}
	if len(commands) == 0 {
		t.Fatal("the page names no command")
	}
	return commands
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// certificate writes one for the loopback address that vouches for itself.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "forebay test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
