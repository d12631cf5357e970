package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/forebay-cache/forebay"
	"golang.org/x/time/rate"
)

// Limits bound what a gateway has a limited number of. For each, 0 means the default.
type Limits struct {
	Connections int // of clients. Default: half of the descriptors that the process may have open
	Requests    int // at the origin at once. Default: a quarter of the descriptors, at most 1,024
	Changes     int // requests a second of one client that may change something, each of which invalidates. Default: 1,000
	Misses      int // requests a second of one client that are not answered from what is stored; hits are free. Default: no bound
	Streams     int // of those, that have become streams: events, upgrades. Default: an eighth of the descriptors, at most 1,024
}

// withDefaults shares the descriptors out, so that a cached answer always finds one.
func (l Limits) withDefaults() Limits {
	descriptors := 1024
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err == nil {
		descriptors = int(min(r.Cur, 1<<20))
	}
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = max(d, 8)
		}
	}
	set(&l.Connections, descriptors/2)
	set(&l.Requests, min(descriptors/4, 1024))
	set(&l.Streams, min(descriptors/8, 1024))
	set(&l.Changes, 1000)
	return l
}

// places are a bounded number of something, and a bounded queue before them.
type places struct {
	name    string
	free    chan struct{} // has room for each that is taken
	waiting atomic.Int64
	refused atomic.Uint64
}

func newPlaces(name string, n int) *places { return &places{name: name, free: make(chan struct{}, n)} }

const (
	placeWithin = 5 * time.Second
	queueFactor = 4 // how many may wait for each place
)

// take waits for a place for a while. Its error is a [forebay.BusyError], or the context's.
func (p *places) take(ctx context.Context) error {
	if p.tryTake() {
		return nil
	}
	if p.waiting.Add(1) > int64(cap(p.free)*queueFactor) {
		p.waiting.Add(-1)
		return p.busy()
	}
	defer p.waiting.Add(-1)
	patience := time.NewTimer(placeWithin)
	defer patience.Stop()
	select {
	case p.free <- struct{}{}:
		return nil
	case <-patience.C:
		return p.busy()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *places) tryTake() bool {
	select {
	case p.free <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p *places) give() { <-p.free }

func (p *places) busy() error {
	p.refused.Add(1)
	return &forebay.BusyError{Class: p.name, MaxLoads: cap(p.free), RetryAfter: time.Second}
}

func (p *places) limit() forebay.Limit {
	return forebay.Limit{Name: p.name, Used: int64(len(p.free)), Max: int64(cap(p.free)), Refused: p.refused.Load()}
}

// A bounded transport sends requests while there are places for them. A request has one until its answer has been read;
// one that becomes a stream takes a stream's, so that streams, which have no end of their own, never have the places
// of all others.
type bounded struct {
	transport         http.RoundTripper
	requests, streams *places
}

// RoundTrip implements [http.RoundTripper]. Without a place its error is a [forebay.BusyError].
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := b.requests.take(r.Context()); err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	res, err := b.transport.RoundTrip(r)
	if err != nil {
		b.requests.give()
		return nil, err
	}
	trimNames(res.Header)
	p := &place{ReadCloser: res.Body, of: b.requests}
	if isStream(res) {
		if !b.streams.tryTake() {
			p.Close()
			return nil, b.streams.busy()
		}
		b.requests.give()
		p.of = b.streams
	}
	res.Body = p
	if conn, ok := p.ReadCloser.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		res.Body = struct {
			*place
			io.Writer
		}{p, conn}
	}
	return res, nil
}

// A place is the body of an answer, which gives its place back when it is closed.
type place struct {
	io.ReadCloser
	of    *places
	given atomic.Bool
}

func (p *place) Close() error {
	if !p.given.Swap(true) {
		p.of.give()
	}
	return p.ReadCloser.Close()
}

// A perClient bounds how often each client may do something.
type perClient struct {
	each int // a second; 0: as often as it likes

	mu sync.Mutex // guards the fields below
	by map[string]*rate.Limiter
}

const (
	maxClients  = 10_000 // that are told apart
	clientBurst = 10     // seconds' worth at once
)

func (c *perClient) allow(client string) bool {
	if c.each <= 0 {
		return true
	}
	if host, _, err := net.SplitHostPort(client); err == nil {
		client = host
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.by[client]
	if l == nil {
		if c.by == nil || len(c.by) >= maxClients {
			c.by = make(map[string]*rate.Limiter)
		}
		l = rate.NewLimiter(rate.Limit(c.each), c.each*clientBurst)
		c.by[client] = l
	}
	return l.Allow()
}
