package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/forebay-cache/forebay"
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
	name      string
	to        *url.URL
	held      *httputil.ReverseProxy // for loads, whose answers others may share
	passing   *httputil.ReverseProxy // for one client: flushes each write
	upstream  *upstream
	condition condition
	via       via  // in requests
	public    bool // loads too say on whose behalf they are
	made      made
	child     childWay // counts where made has a token

	requests, streams *places
}

// newOrigin prepares the way to an origin.
func newOrigin(c Config, u Upstream, child childWay, pseudonym string, logger *slog.Logger) (*origin, error) {
	if err := u.check(); err != nil {
		return nil, fmt.Errorf("origin %s: %w", u.Name, err)
	}
	to, err := parseServer(u.Servers[0])
	if err != nil {
		return nil, err
	}
	if to.Scheme != "https" {
		to.Scheme = "http"
	}
	up, err := newUpstream(u, logger)
	if err != nil {
		return nil, fmt.Errorf("origin %s: %w", u.Name, err)
	}
	made, suffix := madeOf(c, u, child.token), ""
	if u.Name != defaultName {
		suffix = " " + u.Name
	}
	o := &origin{
		name: u.Name, requests: newPlaces("origin_requests"+suffix, made.requests), streams: newPlaces("origin_streams"+suffix, made.streams),
		to: to, upstream: up, condition: condition{logger: logger}, via: newVia(pseudonym), public: made.public, made: made, child: child,
	}
	o.held = &httputil.ReverseProxy{
		Transport: &bounded{up, o.requests, o.streams}, BufferPool: &buffers, Rewrite: o.rewriteHeld, ModifyResponse: o.received, ErrorHandler: o.failed,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	passing := *o.held
	passing.FlushInterval, passing.Rewrite = -1, o.rewritePassing
	o.passing = &passing
	return o, nil
}

// made is what an origin is made of.
type made struct {
	upstream          Upstream
	requests, streams int
	public            bool
	token             string    // that is shown to parents; empty: these are servers of an API
	files             [3]string // what the files of its TLS hold
}

func madeOf(c Config, u Upstream, token string) made {
	limits := c.Limits.withDefaults()
	if len(c.Parents) == 0 || u.Name != defaultName {
		token = ""
	}
	m := made{token: token, upstream: u, requests: limits.Requests, streams: limits.Streams, public: c.Profile == httpcache.RFC}
	if u.Requests > 0 {
		m.requests = u.Requests
	}
	for i, name := range []string{u.TLS.CA, u.TLS.Cert, u.TLS.Key} {
		if name != "" {
			text, _ := os.ReadFile(name) // who uses it says what is wrong
			m.files[i] = string(text)
		}
	}
	return m
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := w.Header(); h["Content-Type"] == nil {
		h["Content-Type"] = nil // then net/http invents none for an answer that has none
	}
	if httpcache.Held(w) {
		o.load(w, r)
	} else {
		o.passing.ServeHTTP(w, r)
	}
}

// rewriteHeld makes the origin's request out of one that several clients may share: it says nothing of
// the first of them.
func (o *origin) rewriteHeld(p *httputil.ProxyRequest) {
	o.rewrite(p)
	if o.public {
		addRelay(p)
	}
}

func (o *origin) rewritePassing(p *httputil.ProxyRequest) {
	o.rewrite(p)
	addRelay(p)
}

func (o *origin) rewrite(p *httputil.ProxyRequest) {
	p.SetURL(o.to)
	way := wayOf(p.In)
	if way != nil && way.KeepHost || o.made.token != "" {
		p.Out.Host = p.In.Host
	}
	if o.made.token != "" {
		o.child.sign(p.Out.Header)
	}
	p.SetXForwarded()
	for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Host"} {
		if lines := p.In.Header[name]; lines != nil { // the door's
			p.Out.Header[name] = lines
		}
	}
	p.Out.URL.RawQuery = p.In.URL.RawQuery // the key has every byte of it
	p.Out.Trailer = p.In.Trailer           // filled when the body has been read
	if way != nil {
		way.Request.apply(p.Out.Header)
	}
	if id := requestIDOf(p.In); id != "" {
		p.Out.Header[requestIDField] = []string{id}
	}
	p.Out.Header["Via"] = append(slices.Clone(p.In.Header["Via"]), o.via.of(p.In.ProtoMajor, p.In.ProtoMinor))
}

// addRelay hands on what a trusted proxy said of the client, and adds that proxy.
func addRelay(p *httputil.ProxyRequest) {
	r, ok := p.In.Context().Value(relayKey{}).(*onBehalf)
	if !ok {
		return
	}
	proto, host := p.Out.Header["X-Forwarded-Proto"], p.Out.Header["X-Forwarded-Host"]
	for name, lines := range r.claims {
		p.Out.Header[name] = lines
	}
	p.Out.Header["X-Forwarded-Proto"], p.Out.Header["X-Forwarded-Host"] = proto, host
	if r.peer == "" {
		return
	}
	chain := append(slices.Clone(r.claims["X-Forwarded-For"]), r.peer)
	p.Out.Header["X-Forwarded-For"] = []string{strings.Join(chain, ", ")}
	if lines := r.claims["Forwarded"]; lines != nil { // RFC 7239
		node := r.peer
		if strings.Contains(node, ":") {
			node = `"[` + node + `]"`
		}
		p.Out.Header["Forwarded"] = []string{strings.Join(append(slices.Clone(lines), "for="+node), ", ")}
	}
}

// A via has the members of Via: the version of the message as it came, and which proxy passed it on.
type via struct{ http10, http11, http2, http3 string }

func newVia(pseudonym string) via {
	return via{"1.0 " + pseudonym, "1.1 " + pseudonym, "2 " + pseudonym, "3 " + pseudonym}
}

var viaClient = newVia("forebay") // in answers: the pseudonym is between the gateway and its origin

func (v via) of(major, minor int) string {
	switch {
	case major > 2:
		return v.http3
	case major > 1:
		return v.http2
	case minor > 0:
		return v.http11
	}
	return v.http10
}

// received looks at an answer's head before anything else does.
func (o *origin) received(res *http.Response) error {
	if res.StatusCode != http.StatusSwitchingProtocols && (res.StatusCode < 200 || res.StatusCode > 999) {
		return fmt.Errorf("the origin answered with the status %03d, which is not valid", res.StatusCode)
	}
	if res.StatusCode == http.StatusSwitchingProtocols && !switchesAsAsked(res) {
		return errors.New("the origin switches to a protocol that nobody asked for") // an error closes the connection
	}
	o.condition.answered()
	delete(res.Header, "Alt-Svc") // it speaks of the origin's own ports (RFC 7838)
	if way := wayOf(res.Request); way != nil {
		way.Response.apply(res.Header)
	}
	res.Header["Via"] = append(res.Header["Via"], viaClient.of(res.ProtoMajor, res.ProtoMinor))
	for name := range res.Trailer {
		if httpcache.HeaderOnly(name) {
			delete(res.Trailer, name)
		}
	}
	return nil
}

// switchesAsAsked reports whether a 101 is the answer to its request's upgrade. Any other has no end: nothing that
// follows it closes the connection.
func switchesAsAsked(res *http.Response) bool {
	asked := res.Request.Header.Get("Upgrade")
	return asked != "" && strings.EqualFold(res.Header.Get("Upgrade"), asked) && httpcache.HasMember(res.Header["Connection"], "upgrade")
}

// trimNames takes the space between a field's name and its colon away (RFC 9112, section 5.1): with it, a no-store
// would be another field, that nobody reads.
func trimNames(h http.Header) {
	for name, lines := range h {
		if trimmed := strings.TrimRight(name, " \t"); trimmed != name {
			delete(h, name)
			trimmed = http.CanonicalHeaderKey(trimmed)
			h[trimmed] = append(h[trimmed], lines...)
		}
	}
}

// isStream reports whether an answer has no end of its own.
func isStream(res *http.Response) bool {
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	return res.StatusCode == http.StatusSwitchingProtocols || strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}

// failed answers for an origin that did not.
func (o *origin) failed(w http.ResponseWriter, r *http.Request, err error) {
	upload := uploadFailure(r.Context())
	var slow net.Error
	var busy *forebay.BusyError
	switch {
	case errors.As(err, &busy): // the gateway's own bound
	case upload != nil && errors.As(upload, &slow) && slow.Timeout():
		httpcache.WriteProblem(w, http.StatusRequestTimeout, "the request's body stood still for too long", 0)
		return
	case upload != nil:
		httpcache.WriteProblem(w, http.StatusBadRequest, "the request's body broke off, or is not framed as it says", 0)
		return
	case r.Context().Err() == nil:
		o.condition.noAnswer(r.Method, r.URL.Path, err)
	}
	if !httpcache.Fail(w, err) {
		httpcache.WriteError(w, r, err)
	}
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

func (o *origin) close() { o.upstream.close() }

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
