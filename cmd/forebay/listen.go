package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/internal/framing"
	"github.com/forebay-cache/forebay/internal/lane"
	"github.com/forebay-cache/forebay/redis"
)

type listenFlags struct {
	Addr      string  `placeholder:"HOST:PORT" help:"Public listener. Default 127.0.0.1:8080; when PORT is set, 0.0.0.0:$PORT."`
	Admin     string  `default:"127.0.0.1:9191" placeholder:"HOST:PORT|off" help:"Admin listener. Changing anything from beyond loopback needs FOREBAY_ADMIN_TOKEN."`
	MCPToken  string  `env:"FOREBAY_MCP_TOKEN" hidden:""`
	Drills    bool    `help:"Let an operator take the shared tier away for a while: forebay drill."`
	Activity  string  `placeholder:"FILE" help:"Keeps what happened and what operators did across restarts: 1,000 items. Default: memory."`
	AccessLog string  `default:"off" enum:"off,json,combined" placeholder:"off|json|combined" help:"One record for each request, on standard output."`
	LogSample float64 `name:"access-log-sample" default:"1" placeholder:"0-1" help:"The share of requests that have a record. Those that the server failed all have one."`
	Health    string  `name:"health-path" placeholder:"PATH" help:"Answer health checks at this path of the public listener too, such as /healthz. Default: not."`
	logFlags
}

// logFlags say what is logged, and how.
type logFlags struct {
	LogLevel  string `default:"info" enum:"debug,info,warn,error" placeholder:"debug|info|warn|error" help:"From which level on the log, on standard error, is written."`
	LogFormat string `default:"text" enum:"text,json" placeholder:"text|json" help:"Form of the log."`
}

// logger writes to w.
func (f logFlags) logger(w io.Writer) *slog.Logger {
	var o slog.HandlerOptions
	var level slog.Level
	if level.UnmarshalText([]byte(f.LogLevel)) == nil { // kong has checked it
		o.Level = level
	}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, &o))
	}
	return slog.New(slog.NewTextHandler(w, &o))
}

// accessLogging is what the flags say.
func (f listenFlags) accessLogging() accessLogging { return accessLogging{f.AccessLog, f.LogSample} }

// withHealth answers health checks at the path of the flag, before anything else.
func (f listenFlags) withHealth(health, next http.Handler) http.Handler {
	if f.Health == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != f.Health || r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath, r.Method = "/health", "", http.MethodGet
		health.ServeHTTP(w, r)
	})
}

// withProfiles adds the profiles of the process (net/http/pprof) to the operators' side, for who may operate.
func withProfiles(a *admin.Admin, next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	profiles := a.Guard(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/debug/pprof/") {
			profiles.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

const defaultAddr = "127.0.0.1:8080"

// drills returns what a drill needs, if they are enabled.
func (f listenFlags) drills(tier *redis.Tier) *admin.Drills {
	if !f.Drills || tier == nil {
		return nil
	}
	return &admin.Drills{Tier: tier}
}

// operators is what the admin needs to know of its listener; nil where it is off.
func (f listenFlags) operators(l net.Listener, tier *redis.Tier) admin.Options {
	o := admin.Options{Token: os.Getenv("FOREBAY_ADMIN_TOKEN"), Loopback: isLoopback(l), ActivityFile: f.Activity, Drills: f.drills(tier)}
	if tier != nil {
		o.Shared = tier
	}
	if l != nil {
		o.Address = "http://" + dialable(l.Addr())
	}
	return o
}

// listen opens both listeners; the admin one is nil when it is off.
func (f listenFlags) listen(inFile string) (l listeners, err error) {
	if l.inherited, err = inherit(); err != nil {
		return l, err
	}
	addr := cmp.Or(f.Addr, inFile, defaultAddr)
	if port := os.Getenv("PORT"); f.Addr == "" && port != "" {
		addr = "0.0.0.0:" + port
	}
	if l.public, err = l.open("public", addr); err != nil {
		return l, usageError{fmt.Errorf("--addr %s: %w: choose another with --addr HOST:PORT", addr, cause(err))}
	}
	if f.Admin == "off" {
		return l, nil
	}
	if l.operators, err = l.open("admin", f.Admin); err != nil {
		l.public.Close()
		return l, usageError{fmt.Errorf("--admin %s: %w: choose another with --admin HOST:PORT, or --admin off", f.Admin, cause(err))}
	}
	return l, nil
}

// listeners are a process's own.
type listeners struct {
	*inherited
	public, operators net.Listener // operators: nil where it is off
}

// open takes what was inherited, or listens.
func (l listeners) open(name, addr string) (net.Listener, error) {
	if one := l.by[name]; one != nil {
		return one, nil
	}
	return net.Listen("tcp", addr)
}

// named are those that a successor gets.
func (l listeners) named() map[string]net.Listener {
	out := map[string]net.Listener{"public": l.public}
	if l.operators != nil {
		out["admin"] = l.operators
	}
	return out
}

// cause takes the operation and address off, which the message already names.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func isLoopback(l net.Listener) bool {
	if l == nil {
		return false
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

// dialable is an address on which this process reaches its own listener.
func dialable(a net.Addr) string {
	addr, ok := a.(*net.TCPAddr)
	if ok && addr.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", addr.Port)
	}
	return a.String()
}

// Timeouts of the listeners. Answers have none, because they may stream.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	idleTimeout       = 120 * time.Second
	writeIdle         = 60 * time.Second
	maxHeader         = 64 << 10
	stopTimeout       = 20 * time.Second
)

// servers runs several listeners as one: all stop when one fails or ctx ends.
type servers struct {
	stopping  func() // called when they begin to stop
	logger    *slog.Logger
	accessLog accessLogging
	out       io.Writer
	all       []server
	own       listeners
	keeps     string // what only one process can have, so that there is no successor; "": nothing
	leaving   atomic.Bool
	quic      *quicServer // nil: HTTP/3 is off
	lane      *lane.Lane  // nil: it is off
}

type server struct {
	*http.Server
	listener net.Listener
}

func (s *servers) add(l net.Listener, h http.Handler) {
	if s.accessLog.format != "off" {
		h = accessLog(h, s.accessLog, s.out)
	}
	s.all = append(s.all, server{&http.Server{
		Handler: s.farewell(h), ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: newServerLog(s.logger),
	}, l})
}

// handOver has a successor take the listeners over when that is asked for. The channel is closed when it serves.
func (s *servers) handOver(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	go onHandover(ctx, func() {
		select {
		case <-done:
			return
		default:
		}
		err := fmt.Errorf("%s is for one process: stop this one, and start another", s.keeps)
		if s.keeps == "" {
			err = succeed(ctx, s.own.named())
		}
		if err != nil {
			s.logger.Error("handing over failed: this process goes on", "error", err)
			return
		}
		s.logger.Info("a successor serves: this process ends with the requests that it has")
		close(done)
	})
	return done
}

// leave accepts no more, and lets clients end their connections with an answer. It returns how many servers still run.
func (s *servers) leave(failed <-chan error, left int) int {
	s.leaving.Store(true)
	for _, srv := range s.all {
		if srv.listener == net.Listener(s.lane) {
			s.lane.Leave() // its connections have yet to be answered
			continue
		}
		srv.listener.Close()
		<-failed
		left--
	}
	if s.quic != nil { // the successor waits for its port
		ctx, cancel := context.WithTimeout(context.Background(), farewell)
		s.quic.stop(ctx)
		cancel()
	}
	time.Sleep(farewell)
	return left
}

// farewell closes connections with their next answer, once the process leaves.
func (s *servers) farewell(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.leaving.Load() && r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// addGateway is add for what passes bodies of any length: each read and each write has its own deadline
// instead of the whole, and HTTP/2 is spoken without TLS too.
func (s *servers) addGateway(l net.Listener, g *gateway.Gateway, c *clients, secure *tls.Config, fast *lane.Options, h http.Handler) error {
	var listener net.Listener = patientListener{c.listener(l)}
	if secure != nil {
		listener, h = tlsListener{listener, secure}, securely(h)
	}
	if s.quic != nil {
		h = s.quic.announced(h)
	}
	listener = plainListener{listener, g.Refused}
	if fast == nil {
		listener = framing.Listener(listener)
	} else {
		var err error
		if s.lane, err = lane.Listen(listener, *fast); err != nil {
			return err
		}
		listener = s.lane
	}
	s.add(listener, patientStreams(framing.Handler(h, http.HandlerFunc(g.RefuseFraming))))
	srv := s.all[len(s.all)-1].Server
	srv.ReadTimeout, srv.ConnState = 0, c.track
	if fast != nil {
		srv.ConnState = func(conn net.Conn, state http.ConnState) {
			c.track(conn, state)
			lane.ConnState(conn, state)
		}
	}
	srv.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		if secure != nil {
			ctx = withSecure(ctx, conn)
		}
		return framing.ConnContext(lane.ConnContext(ctx, conn), conn)
	}
	srv.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: idleTimeout, PingTimeout: 15 * time.Second}
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return nil
}

// serveHTTP3 has what addGateway adds served by HTTP/3, too.
func (s *servers) serveHTTP3(g *gateway.Gateway, secure *tls.Config) {
	first := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.all[0].Handler.ServeHTTP(w, r) })
	s.quic = newQUICServer(s.own.public.Addr(), secure, first, g.MayBeEarly, g.MaxConnections, s.logger)
}

// maxStreams is how many requests a connection of HTTP/2 may have under way.
const maxStreams = 128

// serve returns when everything has stopped: requests in flight are answered, for a while.
func (s *servers) serve(ctx context.Context) error {
	log.SetFlags(0)
	log.SetOutput(serverLog{s.logger}) // net/http's client writes to the process's own
	failed := make(chan error, len(s.all))
	for _, srv := range s.all {
		go func() { failed <- srv.Serve(srv.listener) }()
	}
	var first error
	left := len(s.all)
	s.own.served()
	notifyReady()
	var quic sync.WaitGroup
	if s.quic != nil {
		quic.Go(func() { s.quic.serve(ctx, s.own.ready != nil) })
	}
	succeeded := s.handOver(ctx)
	select {
	case <-ctx.Done():
		notifySystemd("STOPPING=1")
	case <-succeeded:
		left = s.leave(failed, left)
	case first = <-failed:
		left--
	}
	patience, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	s.stopping()
	if s.quic != nil {
		s.quic.stop(patience)
	}
	for _, srv := range s.all {
		if srv.Shutdown(patience) != nil {
			srv.Close()
		}
	}
	for range left {
		<-failed
	}
	if s.lane != nil {
		s.lane.Wait()
	}
	quic.Wait()
	if errors.Is(first, http.ErrServerClosed) {
		return nil
	}
	return first
}
