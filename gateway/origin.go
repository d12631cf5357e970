package gateway

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/forebay-cache/forebay/httpcache"
)

// Timeouts of the way to the origin. A connection is not used again after originIdle: servers close
// theirs after 5 s (Node) or more, and a request on a closing connection is lost.
const (
	dialTimeout   = 5 * time.Second
	headerTimeout = 60 * time.Second
	originIdle    = 4 * time.Second
	maxIdle       = 256
	maxFields     = 256 << 10
	copyBuffer    = 32 << 10
)

// An origin is the API behind the gateway.
type origin struct {
	proxy     *httputil.ReverseProxy
	streaming *httputil.ReverseProxy // flushes each write
	transport *http.Transport
}

// newOrigin prepares the way to an origin: http, https, or h2c for HTTP/2 without TLS.
func newOrigin(text string, logger *slog.Logger) (*origin, error) {
	to, err := parseOrigin(text)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: headerTimeout,
		ExpectContinueTimeout: time.Second, IdleConnTimeout: originIdle, MaxIdleConns: maxIdle, MaxIdleConnsPerHost: maxIdle,
		MaxResponseHeaderBytes: maxFields, DisableCompression: true, ForceAttemptHTTP2: true,
	}
	if to.Scheme == "h2c" {
		to.Scheme = "http"
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	proxy := &httputil.ReverseProxy{
		Transport: t, BufferPool: &buffers,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.SetXForwarded()
			p.Out.URL.RawQuery = p.In.URL.RawQuery // the key has every byte of it
			p.Out.Trailer = p.In.Trailer           // filled when the body has been read
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				logger.Warn("gateway: the origin did not answer", "method", r.Method, "path", r.URL.Path, "error", err)
			}
			if !httpcache.Fail(w, err) {
				httpcache.WriteError(w, r, err)
			}
		},
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	streaming := *proxy
	streaming.FlushInterval = -1
	return &origin{proxy, &streaming, t}, nil
}

func parseOrigin(text string) (*url.URL, error) {
	if text == "" {
		return nil, fmt.Errorf("no origin: say which API to stand in front of, such as http://127.0.0.1:5000")
	}
	to, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("origin %q: %w", text, err)
	case to.Scheme != "http" && to.Scheme != "https" && to.Scheme != "h2c" || to.Host == "":
		return nil, fmt.Errorf("origin %q: write http://HOST:PORT, https://HOST or h2c://HOST:PORT", text)
	case to.RawQuery != "" || to.Fragment != "" || to.User != nil:
		return nil, fmt.Errorf("origin %q: a query, a fragment or a password cannot be part of it", text)
	}
	return to, nil
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if httpcache.Held(w) {
		o.proxy.ServeHTTP(w, r)
		return
	}
	o.streaming.ServeHTTP(w, r)
}

func (o *origin) close() { o.transport.CloseIdleConnections() }

// A bufferPool lends the buffers that bodies are copied through.
type bufferPool struct{ pool sync.Pool }

var buffers = bufferPool{sync.Pool{New: func() any { return new([copyBuffer]byte) }}}

// Get implements [httputil.BufferPool].
func (b *bufferPool) Get() []byte { return b.pool.Get().(*[copyBuffer]byte)[:] }

// Put implements [httputil.BufferPool].
func (b *bufferPool) Put(p []byte) {
	if cap(p) >= copyBuffer {
		b.pool.Put((*[copyBuffer]byte)(p[:copyBuffer]))
	}
}
