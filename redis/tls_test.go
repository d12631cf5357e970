package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/shared"
)

// By TLS, with a certificate that the system trusts, and as a user who may do what docs/operations.md says
// and nothing else.
func TestTLSAndAUserOfFewRights(t *testing.T) {
	t.Parallel()
	port, args := byTLS(t)
	s := redistest.Start(t, args...)
	rights := []string{"ACL", "SETUSER", "cache", "on", ">secret", "resetkeys", "~forebay:*", "-@all"}
	for _, command := range documentedRights(t) {
		rights = append(rights, "+"+strings.ToLower(command))
	}
	if said := s.Do(rights...); said != "+OK" {
		t.Fatal(said)
	}
	url := fmt.Sprintf("rediss://cache:secret@127.0.0.1:%d", port)
	o := &shop{}
	singing := func(o *forebay.Options) { o.SelfTest = 100 * time.Millisecond }
	a, b := start(t, url, o, singing), start(t, url, o, singing)
	a.twoTier()
	b.twoTier()
	get(t, a.loose, "k")
	a.settled()
	if r := b.loose.Do(ctx, "k"); r.Tier != forebay.TierShared {
		t.Errorf("the other node has it from %s", r.Tier)
	}
	for _, target := range []shared.Target{forebay.Key(a.strict.Key("k")), forebay.Tag("tag-k"), forebay.Pattern("strict:*")} {
		v := o.write("k")
		if r := a.invalidate(target); r.Deferred {
			t.Errorf("%v: deferred", target)
		}
		if got := get(t, b.strict, "k"); got != v {
			t.Errorf("%v: %d, want %d", target, got, v)
		}
	}
	eventually(t, 10*time.Second, "each sees the other's self-test", func() bool { return len(a.cache.Stats().Nodes) == 2 })
	if s := a.cache.Stats(); s.Mode != forebay.TwoTier || s.Shared.Failed > 0 {
		t.Errorf("%s, %d writes failed: %s%s", s.Mode, s.Shared.Failed, s.Shared.Problem, s.Shared.SelfTest)
	}
	if denied := s.Do("ACL", "LOG"); denied != "*0" {
		t.Errorf("the server refused something: %s", denied)
	}
}

// A cluster by TLS, as a user.
func TestAClusterByTLS(t *testing.T) {
	t.Parallel()
	const masters = 2
	var hosts []string
	var each [][]string
	for range 2 * masters {
		port, args := byTLS(t)
		hosts, each = append(hosts, fmt.Sprint("127.0.0.1:", port)), append(each, append(args, "--tls-cluster", "yes", "--tls-replication", "yes"))
	}
	for _, s := range redistest.Cluster(t, masters, each...) {
		s.Do("ACL", "SETUSER", "cache", "on", ">secret", "~forebay:*", "+@all")
	}
	shares(t, "rediss://cache:secret@"+strings.Join(hosts, ",")+"?cluster=true")
}

// Sentinels that want a password, and a master that wants another.
func TestSentinelsWithPasswords(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do("ACL", "SETUSER", "cache", "on", ">secret", "~forebay:*", "+@all")
	shares(t, "redis+sentinel://cache:secret@"+s.Sentinel("main", "requirepass watch")+"/main?sentinel_password=watch")
}

// shares proves that two nodes use the tier at a URL, values and log.
func shares(t *testing.T, url string) {
	t.Helper()
	o := &shop{}
	a, b := start(t, url, o), start(t, url, o)
	a.twoTier()
	b.twoTier()
	for i := range 10 {
		key := fmt.Sprint("k", i)
		get(t, a.loose, key)
		a.settled()
		if r := b.loose.Do(ctx, key); r.Tier != forebay.TierShared {
			t.Errorf("%s: the other node has it from %s", key, r.Tier)
		}
		v := o.write(key)
		if r := a.invalidate(forebay.Tag("tag-" + key)); r.Deferred {
			t.Errorf("%s: deferred", key)
		}
		if got := get(t, b.strict, key); got != v {
			t.Errorf("%s: %d, want %d", key, got, v)
		}
	}
}

// scratch is a folder for what all tests share.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "forebay-redis-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

// trusted is a certificate that the system trusts, which is read once a process: hence one for all tests.
var trusted = sync.OnceValues(func() (cert, key string) {
	cert, key = filepath.Join(scratch, "cert.pem"), filepath.Join(scratch, "key.pem")
	if err := errors.Join(certificate(cert, key), os.Setenv("SSL_CERT_FILE", cert)); err != nil {
		panic(err)
	}
	return cert, key
})

// byTLS returns a free port and the arguments of a server that speaks TLS there.
func byTLS(t *testing.T) (port int, args []string) {
	t.Helper()
	cert, key := trusted()
	port = redistest.FreePort(t)
	return port, []string{"--tls-port", strconv.Itoa(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no"}
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

// certificate writes one for the loopback address that vouches for itself.
func certificate(cert, key string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "forebay test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: public}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}
