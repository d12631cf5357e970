package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/internal/certstore"
	"github.com/forebay-cache/forebay/shared"
	"github.com/mholt/acmez/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// An authority obtains certificates and renews them (ACME, RFC 8555). Names are proven on the public listener itself, within
// the handshake (TLS-ALPN-01, RFC 8737): port 443 of each name must lead there.
type authority struct {
	cache  *certmagic.Cache
	config *certmagic.Config
	issuer *certmagic.ACMEIssuer
	stop   context.CancelFunc

	mu     sync.Mutex // guards failed
	failed map[string]error
}

// newAuthority knows the certificates that are stored already. The others come when the listener is there: see manage.
func newAuthority(l gateway.Listen, tier shared.Tier, secret string, logger *slog.Logger) (*authority, error) {
	storage, err := storageOf(l.ACME, tier, secret)
	if err != nil {
		return nil, err
	}
	log := zap.New(zapToSlog{logger.Handler(), nil})
	a := &authority{failed: map[string]error{}}
	a.cache = certmagic.NewCache(certmagic.CacheOptions{Logger: log, GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.config, nil }})
	a.config = certmagic.New(a.cache, certmagic.Config{Storage: storage, Logger: log, OnEvent: a.note})
	template := certmagic.ACMEIssuer{
		CA: l.ACME.Directory, Email: l.ACME.Email, Agreed: true, DisableHTTPChallenge: true, Logger: log,
	}
	if template.CA == "" {
		template.CA = certmagic.LetsEncryptProductionCA
	}
	if l.ACME.CA != "" {
		pem, err := os.ReadFile(l.ACME.CA)
		if err != nil {
			return nil, err
		}
		template.TrustedRoots = x509.NewCertPool()
		if !template.TrustedRoots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", l.ACME.CA)
		}
	}
	if template.TrustedRoots != nil || l.ACME.Directory != "" {
		template.TestCA = template.CA // otherwise one that failed is tried at Let's Encrypt's staging first
	}
	a.issuer = certmagic.NewACMEIssuer(a.config, template)
	return a, nil
}

// storageOf is the shared tier where there is one, so that all gateways share what one has obtained; otherwise a folder.
func storageOf(o gateway.ACME, tier shared.Tier, secret string) (certmagic.Storage, error) {
	if tier != nil {
		return certstore.New(tier, []byte(secret))
	}
	if o.Storage != "" {
		return &certmagic.FileStorage{Path: o.Storage}, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, errors.New("there is no folder to keep certificates in: name one with listen: acme: storage: in --config")
	}
	return &certmagic.FileStorage{Path: filepath.Join(dir, "forebay", "certificates")}, nil
}

// manage obtains what is missing and renews what ends, from now on. What fails is tried again.
func (a *authority) manage(ctx context.Context, public net.Addr, names []string) error {
	_, port, err := net.SplitHostPort(public.String())
	if err != nil {
		return err
	}
	// The listener is there, so the library finds the port taken and leaves the challenge to it.
	if a.issuer.AltTLSALPNPort, err = strconv.Atoi(port); err != nil {
		return err
	}
	a.issuer.ListenHost, _, _ = net.SplitHostPort(public.String())
	a.config.Issuers = []certmagic.Issuer{a.issuer}
	managing, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.stop = stop
	return a.config.ManageAsync(managing, names)
}

// note remembers which certificates could not be obtained or renewed.
func (a *authority) note(_ context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch event {
	case "cert_failed":
		a.failed[name], _ = data["error"].(error)
	case "cert_obtained":
		delete(a.failed, name)
	}
	return nil
}

// problem is what is wrong with the certificates, if anything is.
func (a *authority) problem() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []error
	for _, name := range slices.Sorted(maps.Keys(a.failed)) {
		all = append(all, fmt.Errorf("the certificate of %s cannot be obtained: %w", name, a.failed[name]))
	}
	return errors.Join(all...)
}

// tls takes the place of a certificate's own configuration.
func (a *authority) tls(to *tls.Config) *tls.Config {
	to.GetCertificate = a.config.GetCertificate
	to.NextProtos = append(to.NextProtos, acmez.ACMETLS1Protocol)
	return to
}

// close ends the renewals.
func (a *authority) close() {
	if a == nil {
		return
	}
	if a.stop != nil {
		a.stop()
	}
	a.cache.Stop()
}

// zapToSlog has the library's log in ours.
type zapToSlog struct {
	slog.Handler
	fields []zapcore.Field
}

var zapLevels = map[zapcore.Level]slog.Level{zapcore.DebugLevel: slog.LevelDebug, zapcore.InfoLevel: slog.LevelInfo, zapcore.WarnLevel: slog.LevelWarn}

func slogLevel(l zapcore.Level) slog.Level {
	if level, ok := zapLevels[l]; ok {
		return level
	}
	return slog.LevelError
}

// Enabled implements [zapcore.Core].
func (z zapToSlog) Enabled(l zapcore.Level) bool {
	return z.Handler.Enabled(context.Background(), slogLevel(l))
}

// With implements [zapcore.Core].
func (z zapToSlog) With(fields []zapcore.Field) zapcore.Core {
	return zapToSlog{z.Handler, append(z.fields[:len(z.fields):len(z.fields)], fields...)}
}

// Check implements [zapcore.Core].
func (z zapToSlog) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if z.Enabled(e.Level) {
		return to.AddCore(e, z)
	}
	return to
}

// Write implements [zapcore.Core].
func (z zapToSlog) Write(e zapcore.Entry, fields []zapcore.Field) error {
	all := zapcore.NewMapObjectEncoder()
	for _, f := range append(z.fields[:len(z.fields):len(z.fields)], fields...) {
		f.AddTo(all)
	}
	r := slog.NewRecord(time.Now(), slogLevel(e.Level), "certificates: "+e.Message, 0)
	for name, value := range all.Fields {
		r.AddAttrs(slog.Any(name, value))
	}
	return z.Handle(context.Background(), r)
}

// Sync implements [zapcore.Core].
func (z zapToSlog) Sync() error { return nil }
