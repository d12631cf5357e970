package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	limit "golang.org/x/time/rate"
)

// Bounds of HTTP/3. A client's windows are memory of ours; a stream that stands still ends with its connection.
const (
	quicIdle             = 60 * time.Second
	quicStreamWindow     = 1 << 20
	quicConnectionWindow = 4 << 20
	// validateBeyond is how many new connections a second are taken without a round trip that proves their address (RFC
	// 9000, section 8.1.2).
	validateBeyond = 1000
	bindAgain      = 200 * time.Millisecond
)

// A quicServer serves HTTP/3 beside a listener of TCP, on the same port of UDP. Where that cannot be had, HTTP/2 goes on.
type quicServer struct {
	addr   *net.UDPAddr
	server *http3.Server
	config *quic.Config
	logger *slog.Logger

	max      func() int // connections
	open     atomic.Int64
	refused  atomic.Uint64
	serving  atomic.Bool
	stopping atomic.Bool
}

// newQUICServer serves what mayBeEarly allows before the handshake is complete: anybody may have recorded such a request,
// and send it again (RFC 8470).
func newQUICServer(public net.Addr, secure *tls.Config, h http.Handler, mayBeEarly func(*http.Request) bool, max func() int, logger *slog.Logger) *quicServer {
	at, ok := public.(*net.TCPAddr)
	if !ok {
		return nil
	}
	q := &quicServer{addr: &net.UDPAddr{IP: at.IP, Port: at.Port, Zone: at.Zone}, max: max, logger: logger}
	q.config = &quic.Config{
		Allow0RTT: true, MaxIdleTimeout: quicIdle, MaxIncomingStreams: maxStreams, MaxStreamReceiveWindow: quicStreamWindow, MaxConnectionReceiveWindow: quicConnectionWindow,
		InitialStreamReceiveWindow: quicStreamWindow / 4, InitialConnectionReceiveWindow: quicStreamWindow,
	}
	q.server = &http3.Server{
		Handler: sized(unlessEarly(h, mayBeEarly)), TLSConfig: http3.ConfigureTLSConfig(secure), QUICConfig: q.config, MaxHeaderBytes: maxHeader, IdleTimeout: idleTimeout, Port: at.Port,
		Logger: slog.New(slog.DiscardHandler), // what clients do wrong
	}
	return q
}

// sized finds out whether a request that says nothing of its length has a body: HTTP/3 shows that by the end of the stream
// alone, which most often has come with the fields. One without is like any other without.
func sized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength >= 0 || r.Body == nil || r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		control := http.NewResponseController(w)
		control.SetReadDeadline(time.Now().Add(readHeaderTimeout))
		var first [1]byte
		n, err := io.ReadFull(r.Body, first[:])
		control.SetReadDeadline(time.Time{})
		switch {
		case n > 0:
			r.Body = struct {
				io.Reader
				io.Closer
			}{io.MultiReader(bytes.NewReader(first[:]), r.Body), r.Body}
		case err == io.EOF:
			r.Body, r.ContentLength = http.NoBody, 0
		}
		next.ServeHTTP(w, r)
	})
}

// unlessEarly tells a client to ask again when its handshake is complete, unless asking twice does no harm.
func unlessEarly(next http.Handler, may func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil && !r.TLS.HandshakeComplete && !may(r) {
			w.Header().Set("Cache-Status", "forebay; detail=too-early")
			httpcache.WriteProblem(w, http.StatusTooEarly, "the handshake is not complete: ask again", 0)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// announced says on other connections that HTTP/3 is served, while it is (Alt-Svc, RFC 7838).
func (q *quicServer) announced(next http.Handler) http.Handler {
	field := []string{`h3=":` + strconv.Itoa(q.addr.Port) + `"; ma=86400`}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q.serving.Load() && r.ProtoMajor < 3 {
			w.Header()["Alt-Svc"] = field
		}
		next.ServeHTTP(w, r)
	})
}

// serve returns when ctx ends, or when it is stopped. A successor waits for the port until the one before it leaves it.
func (q *quicServer) serve(ctx context.Context, successor bool) {
	for said := false; ctx.Err() == nil && !q.stopping.Load(); {
		conn, err := net.ListenUDP("udp", q.addr)
		if err == nil {
			q.on(conn)
			return
		}
		if !successor {
			q.logger.Warn("HTTP/3 is not served, HTTP/2 goes on: the port cannot be had for UDP", "addr", q.addr.String(), "error", cause(err))
			return
		}
		if !said {
			said = true
			q.logger.Info("HTTP/3 begins when the process before this one leaves its port", "addr", q.addr.String())
		}
		select {
		case <-time.After(bindAgain):
		case <-ctx.Done():
		}
	}
}

func (q *quicServer) on(conn *net.UDPConn) {
	defer conn.Close()
	fast := limit.NewLimiter(validateBeyond, validateBeyond)
	transport := &quic.Transport{Conn: conn, VerifySourceAddress: func(net.Addr) bool { return !fast.Allow() }}
	defer transport.Close()
	listener, err := transport.ListenEarly(q.server.TLSConfig, q.config)
	if err != nil {
		q.logger.Warn("HTTP/3 is not served, HTTP/2 goes on", "error", err)
		return
	}
	q.serving.Store(true)
	err = q.server.ServeListener(boundQUIC{listener, q})
	q.serving.Store(false)
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		q.logger.Warn("HTTP/3 is served no more, HTTP/2 goes on", "error", err)
	}
}

// stop answers the requests under way, until ctx ends.
func (q *quicServer) stop(ctx context.Context) {
	q.stopping.Store(true)
	q.serving.Store(false)
	if q.server.Shutdown(ctx) != nil {
		q.server.Close()
	}
}

func (q *quicServer) limits() []forebay.Limit {
	if q == nil {
		return nil
	}
	return []forebay.Limit{{Name: "quic_connections", Used: q.open.Load(), Max: int64(q.max()), Refused: q.refused.Load()}}
}

// boundQUIC bounds the connections.
type boundQUIC struct {
	*quic.EarlyListener
	of *quicServer
}

// excessiveLoad is H3_EXCESSIVE_LOAD (RFC 9114, section 8.1).
const excessiveLoad = 0x107

// Accept implements [http3.QUICListener].
func (b boundQUIC) Accept(ctx context.Context) (*quic.Conn, error) {
	for {
		conn, err := b.EarlyListener.Accept(ctx)
		if err != nil {
			return nil, err
		}
		if b.of.open.Add(1) <= int64(b.of.max()) {
			context.AfterFunc(conn.Context(), func() { b.of.open.Add(-1) })
			return conn, nil
		}
		b.of.open.Add(-1)
		b.of.refused.Add(1)
		conn.CloseWithError(excessiveLoad, "too many connections")
	}
}
