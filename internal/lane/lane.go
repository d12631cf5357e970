// Package lane answers requests below net/http: those whose bytes are the bytes of a request that net/http has been given
// before, and whose answer would be the same. What it sends is what net/http sent then, with the age of now.
//
// It never reads what a request means. It compares the head, byte for byte but for a few fields that choose nothing (see
// [PassedOver]), with heads whose answers it has seen twice; the handler that gave the answer says ([Again]) whether it
// still holds. Everything else goes to net/http, as it came.
package lane

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/forebay-cache/forebay/internal/framing"
)

// Options configure [Listen].
type Options struct {
	Bytes   uint64                   // of what is remembered of answers, bodies apart
	First   time.Duration            // for the first request of a connection
	Idle    time.Duration            // between requests
	Sample  func(now time.Time) bool // reports whether a request has to go through net/http; nil: none has
	Counter func(r *http.Request, status int) Counter
	// Raw is the descriptor of a connection on which nothing stands that reads or writes otherwise. May be nil, or return
	// nil: then the connection is read with Read, which costs a system call more for each request.
	Raw func(net.Conn) syscall.RawConn
	// State is told of connections that net/http does not have yet, or has had idle while they were answered here: that
	// they are idle.
	State  func(net.Conn, http.ConnState)
	Logger *slog.Logger
}

// A Counter counts answers of one kind.
type Counter interface {
	Add(took time.Duration, bytes int)
}

// A Lane is the listener of an [http.Server]. It gives the server those connections that have sent what is for net/http,
// and serves them further, between requests, when the server reads from them.
type Lane struct {
	below net.Listener
	o     Options
	table *table
	base  time.Time

	handed chan net.Conn
	failed chan error
	done   chan struct{}
	off    atomic.Bool // everything is for net/http
	stop   sync.Once

	mu      sync.Mutex // guards conns
	conns   map[*conn]struct{}
	working sync.WaitGroup

	answers, differ atomic.Uint64
}

// Listen serves the connections of l until Close.
func Listen(l net.Listener, o Options) (*Lane, error) {
	t, err := newTable(o.Bytes)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	lane := &Lane{below: framing.Listener(l), o: o, table: t, base: time.Now(), handed: make(chan net.Conn), failed: make(chan error), done: make(chan struct{}), conns: map[*conn]struct{}{}}
	lane.working.Go(lane.acceptAll)
	lane.working.Go(lane.sweep)
	return lane, nil
}

func (l *Lane) now() int64 { return int64(time.Since(l.base)) }

// Addr implements [net.Listener].
func (l *Lane) Addr() net.Addr { return l.below.Addr() }

// Accept implements [net.Listener]: it returns connections with a request for net/http.
func (l *Lane) Accept() (net.Conn, error) {
	select {
	case c := <-l.handed:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *Lane) acceptAll() {
	for {
		accepted, err := l.below.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // net/http knows which ones pass, and waits
			select {
			case l.failed <- err:
				continue
			case <-l.done:
				return
			}
		}
		c := l.newConn(accepted.(*framing.Conn))
		if l.add(c) {
			go l.serve(c)
		} else {
			c.Close()
		}
	}
}

// add is false where the lane is closed.
func (l *Lane) add(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done:
		return false
	default:
	}
	l.conns[c] = struct{}{}
	l.working.Add(1)
	return true
}

func (l *Lane) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// serve has a connection until there is something for net/http.
func (l *Lane) serve(c *conn) {
	defer l.working.Done()
	defer func() {
		if p := recover(); p != nil {
			l.o.Logger.Error("lane: a connection panicked", "panic", p, "stack", string(debug.Stack()))
			c.Close()
		}
	}()
	if l.o.State != nil {
		l.o.State(c, http.StateIdle)
	}
	if at, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil { // it may wait for what a proxy says
		c.peer = at.Addr().Unmap()
	}
	if c.serve() != nil {
		c.Close()
		return
	}
	select {
	case l.handed <- c:
	case <-l.done:
		c.Close()
	}
}

// Leave accepts no more connections, and answers no more requests itself: net/http does, on those that there are.
func (l *Lane) Leave() error {
	l.off.Store(true)
	return l.below.Close()
}

// Close ends the connections that net/http does not have. It is safe to call twice.
func (l *Lane) Close() error {
	err := l.Leave()
	l.stop.Do(func() {
		l.mu.Lock()
		close(l.done)
		l.mu.Unlock()
		for _, c := range l.all() {
			c.wake()
		}
	})
	return err
}

// Wait returns when nothing of a closed lane runs any more.
func (l *Lane) Wait() {
	l.working.Wait()
	l.table.close()
}

func (l *Lane) all() []*conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*conn, 0, len(l.conns))
	for c := range l.conns {
		out = append(out, c)
	}
	return out
}

func (l *Lane) closed() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// Stats are what the lane has done.
type Stats struct {
	Answers uint64 // requests answered
	Differ  uint64 // answers of net/http that were not what the lane would have sent: it has forgotten those
	Known   int    // heads whose answers are known
	Bytes   uint64
}

// Stats returns what the lane has done so far.
func (l *Lane) Stats() Stats {
	return Stats{Answers: l.answers.Load(), Differ: l.differ.Load(), Known: l.table.answers.EstimatedSize(), Bytes: l.table.answers.WeightedSize()}
}

// An Again is an answer that the same request gets for as long as it holds.
type Again interface {
	// Next is the answer of now. ok is false where the request has to go through net/http.
	Next(from netip.Addr, now time.Time) (next Next, ok bool)
	// Count counts an answer that is sent.
	Count(Next)
	// Length is that of the body; -1 where there is none.
	Length() int
	// Reads reports whether the answer depends on a field of the request.
	Reads(name string) bool
}

// Next is what changes from one answer to the next: its age and what is left of its freshness, in seconds. The body is the
// same as before; here it is read.
type Next struct {
	Body     []byte
	Age, TTL int64
	Spared   time.Duration // what it would have taken without the cache
}

type connKey struct{}

// ConnContext is for [http.Server.ConnContext]: it lets [Offer] find the connection.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

// Offer says, before the head of an answer is sent, that it may be sent again. The answer has a Date and, in Cache-Status,
// how long it stays fresh. For a request that did not come through a lane it does nothing.
func Offer(r *http.Request, a Again) {
	if c, ok := r.Context().Value(connKey{}).(*conn); ok && r.ProtoMajor == 1 {
		c.offer(r, a)
	}
}

// ConnState is for [http.Server.ConnState].
func ConnState(c net.Conn, state http.ConnState) {
	if c, ok := c.(*conn); ok && state == http.StateIdle {
		c.settle()
		c.idle.Store(true)
	}
}
