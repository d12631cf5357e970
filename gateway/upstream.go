package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Upstream is an origin as the file has it: one API, on one server or several that are alike.
type Upstream struct {
	Name     string
	Servers  []string      // http://, https://, h2c://, each with a port or without; unix:/path
	Balance  string        // round-robin (the default), least-pending, or hash: by host and URL
	Health   HealthCheck   // default: none, and servers that fail are found by what they do
	Retries  int           // further servers that a request may be sent to. Default 1; negative: none
	Timeout  time.Duration // until the head of an answer. Default 1 minute
	Requests int           // at once. Default: that of Limits
	TLS      UpstreamTLS
}

// A HealthCheck asks each server of an origin whether it is well.
type HealthCheck struct {
	Path  string
	Every time.Duration // default 5 s
}

// UpstreamTLS is how an origin's servers are known, and how they know the gateway.
type UpstreamTLS struct {
	CA         string // file of certificates; default: the system's
	Cert, Key  string // files of the gateway's own
	ServerName string // default: the host of the URL
}

const (
	balanceRoundRobin   = "round-robin"
	balanceLeastPending = "least-pending"
	balanceHash         = "hash"

	defaultHealthEvery = 5 * time.Second
	defaultName        = "default"
)

// check returns every mistake, each with the field that it is in.
func (u Upstream) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(u.Servers) == 0 {
		wrong("servers: name at least one, such as http://10.0.0.1:5000")
	}
	for i, text := range u.Servers {
		if at, err := parseServer(text); err != nil {
			wrong("servers[%d]: %w", i, err)
		} else if slices.Contains(u.Servers[:i], text) {
			wrong("servers[%d]: %s is there twice", i, text)
		} else if first, err := parseServer(u.Servers[0]); err == nil && first.Path != at.Path {
			wrong("servers[%d]: %s has another path than the first: servers of one origin are alike", i, text)
		}
	}
	if !slices.Contains([]string{"", balanceRoundRobin, balanceLeastPending, balanceHash}, u.Balance) {
		wrong("balance: %q is not one of round-robin, least-pending, hash", u.Balance)
	}
	if u.Health.Path != "" && !strings.HasPrefix(u.Health.Path, "/") {
		wrong("health.path: %q: write /health", u.Health.Path)
	}
	if (u.TLS.Cert == "") != (u.TLS.Key == "") {
		wrong("tls: cert and key belong together")
	}
	return errors.Join(errs...)
}

// parseServer reads the address of a server: an origin's URL, or unix:/path.
func parseServer(text string) (*url.URL, error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("%q: write unix:/run/api.sock", text)
		}
		return &url.URL{Scheme: "unix", Host: "localhost", Opaque: path}, nil
	}
	return parseOrigin(text)
}

// An upstream is the servers of an origin in use: a transport that chooses one for each request.
type upstream struct {
	Upstream
	servers []*server
	retry   budget
	logger  *slog.Logger
	turn    turn

	stop    context.CancelFunc
	working sync.WaitGroup
}

func newUpstream(u Upstream, logger *slog.Logger) (*upstream, error) {
	if u.Timeout <= 0 {
		u.Timeout = headerTimeout
	}
	switch {
	case u.Retries == 0:
		u.Retries = 1
	case u.Retries < 0:
		u.Retries = 0
	}
	secure, err := u.TLS.config()
	if err != nil {
		return nil, err
	}
	out := &upstream{Upstream: u, logger: logger, retry: newBudget()}
	for _, text := range u.Servers {
		at, err := parseServer(text)
		if err != nil {
			return nil, err
		}
		out.servers = append(out.servers, newServer(text, at, secure, u.Timeout))
	}
	ctx, stop := context.WithCancel(context.Background())
	out.stop = stop
	for _, s := range out.servers {
		if u.Health.Path != "" {
			out.working.Go(func() { out.watch(ctx, s) })
		}
		if s.named() {
			out.working.Go(func() { out.watchName(ctx, s) })
		}
	}
	return out, nil
}

func (u *upstream) close() {
	u.stop()
	u.working.Wait()
	for _, s := range u.servers {
		s.transport.Load().CloseIdleConnections()
	}
}

// config reads the files; nil where nothing is set.
func (t UpstreamTLS) config() (*tls.Config, error) {
	if t == (UpstreamTLS{}) {
		return nil, nil
	}
	c := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls.ca: %s holds no certificate in PEM", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// newTransport is the way to one server.
func newTransport(at *url.URL, secure *tls.Config, timeout time.Duration) *http.Transport {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Resolver: resolver}
	t := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: timeout, TLSClientConfig: secure,
		ExpectContinueTimeout: time.Second, IdleConnTimeout: originIdle, MaxIdleConns: maxIdle, MaxIdleConnsPerHost: maxIdle,
		MaxResponseHeaderBytes: maxFields, DisableCompression: true, ForceAttemptHTTP2: true,
	}
	switch at.Scheme {
	case "h2c":
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	case "unix":
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", at.Opaque)
		}
	}
	return t
}

// RoundTrip implements [http.RoundTripper]: it sends a request to a server, and, where that failed and it may, to another.
func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	if w := wayOf(r); w != nil && w.Timeout > 0 {
		return within(r, w.Timeout, u.send)
	}
	return u.send(r)
}

func (u *upstream) send(r *http.Request) (*http.Response, error) {
	if len(u.servers) == 1 {
		return u.servers[0].send(r)
	}
	u.retry.earn()
	body := keep(r)
	var tried []*server
	for {
		s := u.pick(r, tried)
		res, err := s.send(aimed(r, body))
		if !u.again(r, body, res, err, len(tried)) {
			body.release()
			return res, err
		}
		if tried = append(tried, s); res != nil {
			res.Body.Close()
		}
	}
}

// again reports whether a request goes to another server: only before anything of an answer has gone on, and what may have
// had an effect only where it was certainly not sent.
func (u *upstream) again(r *http.Request, body *keptBody, res *http.Response, err error, tries int) bool {
	if tries >= u.Retries || tries+1 >= len(u.servers) || r.Context().Err() != nil {
		return false
	}
	var dial *net.OpError
	unsent := errors.As(err, &dial) && dial.Op == "dial"
	repeatable := body == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions)
	failed := err != nil || res.StatusCode == http.StatusBadGateway || res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusGatewayTimeout
	return failed && (unsent || repeatable) && u.retry.spend()
}

// aimed is the request for one try.
func aimed(r *http.Request, body *keptBody) *http.Request {
	if body != nil {
		r = r.WithContext(r.Context())
		r.Body = body
	}
	return r
}

// name is what messages call it.
func (u *upstream) name() string { return cmp.Or(u.Name, defaultName) }
