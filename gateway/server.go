package gateway

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// A server is one of an origin's.
type server struct {
	text      string // its address, as the file has it
	at        *url.URL
	transport atomic.Pointer[http.Transport] // another where its name leads elsewhere: see watchName
	dial      func() *http.Transport
	pending   atomic.Int64

	mu       sync.Mutex // guards the fields below
	failures int        // in a row
	until    time.Time  // it is left alone
	out      int        // times in a row that it was left alone
	sick     bool       // its health check fails
	since    time.Time  // it is well again: at first it gets less
}

const (
	ejectAfter = 5 // failures in a row
	ejectFirst = time.Second
	ejectMost  = 30 * time.Second
	slowStart  = 10 * time.Second
)

func newServer(text string, at *url.URL, secure *tls.Config, timeout time.Duration) *server {
	s := &server{text: text, at: at, dial: func() *http.Transport { return newTransport(at, secure, timeout) }}
	s.transport.Store(s.dial())
	if at.Scheme != "https" {
		plain := *at
		plain.Scheme = "http"
		s.at = &plain
	}
	return s
}

// send sends a request here, and learns from what comes.
func (s *server) send(r *http.Request) (*http.Response, error) {
	if r.URL.Host != s.at.Host || r.URL.Scheme != s.at.Scheme {
		r = r.WithContext(r.Context())
		to := *r.URL
		if r.Host == r.URL.Host {
			r.Host = s.at.Host
		}
		to.Host, to.Scheme = s.at.Host, s.at.Scheme
		r.URL = &to
	}
	s.pending.Add(1)
	res, err := s.transport.Load().RoundTrip(r)
	if r.Context().Err() == nil {
		s.learn(err == nil && res.StatusCode != http.StatusBadGateway && res.StatusCode != http.StatusServiceUnavailable && res.StatusCode != http.StatusGatewayTimeout)
	}
	if err != nil {
		s.pending.Add(-1)
		return nil, err
	}
	res.Body = counted(res, s)
	return res, nil
}

// learn counts failures in a row. A server that only fails is left alone for a while, each time for longer.
func (s *server) learn(good bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if good {
		if s.out > 0 {
			s.since = time.Now()
		}
		s.failures, s.out = 0, 0
		return
	}
	now := time.Now()
	if now.Before(s.until) {
		return // it was under way when the server was given up
	}
	if s.failures++; s.failures >= ejectAfter {
		s.until = now.Add(min(ejectFirst<<min(s.out, 10), ejectMost))
		s.out++
		s.failures = ejectAfter - 1 // one more failure after that is enough
	}
}

// checked is told how a health check went, and reports whether that is a change.
func (s *server) checked(good bool) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = s.sick == good
	if s.sick = !good; changed && good {
		s.since, s.failures, s.out, s.until = time.Now(), 0, 0, time.Time{}
	}
	return changed
}

// weight is how much of its share a server gets now: 0 where it is left alone, and less than 1 when it has just come back.
func (s *server) weight(now time.Time) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sick || now.Before(s.until) {
		return 0
	}
	if back := now.Sub(s.since); back < slowStart {
		return max(0.1, float64(back)/float64(slowStart))
	}
	return 1
}

// ejected reports whether a server is left alone, because its requests failed.
func (s *server) ejected(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Before(s.until)
}

// counted gives a server's pending request back with the body of its answer, once.
func counted(res *http.Response, s *server) io.ReadCloser {
	p := &pendingBody{ReadCloser: res.Body, of: s}
	if conn, ok := res.Body.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		return struct {
			*pendingBody
			io.Writer
		}{p, conn}
	}
	return p
}

type pendingBody struct {
	io.ReadCloser
	of    *server
	ended atomic.Bool
}

// Read implements [io.Reader]. The end of the body is the end of the request: its client may have it before it is closed.
func (p *pendingBody) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	if err != nil {
		p.end()
	}
	return n, err
}

func (p *pendingBody) end() {
	if !p.ended.Swap(true) {
		p.of.pending.Add(-1)
	}
}

// Close implements [io.Closer].
func (p *pendingBody) Close() error {
	p.end()
	return p.ReadCloser.Close()
}

// watch asks a server for its health until ctx ends.
func (u *upstream) watch(ctx context.Context, s *server) {
	every := u.Health.Every
	if every <= 0 {
		every = defaultHealthEvery
	}
	client := &http.Client{Transport: roundTripperFunc(func(r *http.Request) (*http.Response, error) { return s.transport.Load().RoundTrip(r) }), Timeout: min(every, headerTimeout), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		good, why := ask(ctx, client, s.at, u.Health.Path)
		if ctx.Err() != nil {
			return
		}
		if s.checked(good) {
			if good {
				u.logger.Info("gateway: a server is well again", "origin", u.name(), "server", s.text)
			} else {
				u.logger.Warn("gateway: a server is not well, and gets no requests while others are", "origin", u.name(), "server", s.text, "why", why)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

type roundTripperFunc func(*http.Request) (*http.Response, error)

func (f roundTripperFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func ask(ctx context.Context, client *http.Client, at *url.URL, path string) (good bool, why string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.Scheme+"://"+at.Host+path, nil)
	if err != nil {
		return false, err.Error()
	}
	r.Header.Set("User-Agent", "forebay health check")
	res, err := client.Do(r)
	if err != nil {
		return false, err.Error()
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols { // its body has no end, not even that of the context
		return false, "it switches to another protocol, which nobody asked for"
	}
	io.CopyN(io.Discard, res.Body, 64<<10) // so that its connection can be used again
	return res.StatusCode < 400, res.Status
}
