package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/redis/rueidis"
	"github.com/sony/gobreaker/v2"
)

const (
	dialTimeout  = time.Second
	keepAlive    = time.Second
	writeTimeout = 2 * time.Second

	// Operations that no reader waits for may take longer than the budget.
	appendBudget = 250 * time.Millisecond
	scanBudget   = time.Second

	tripAfter  = 5                      // consecutive failures
	openFor    = 200 * time.Millisecond // before the prober may try
	probeEvery = 250 * time.Millisecond
)

// newBreaker counts timeouts and refusals of the server, not what was called off.
func newBreaker(changed func(from, to gobreaker.State)) *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name: "redis", MaxRequests: 1, Timeout: openFor,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsSuccessful:  func(err error) bool { return err == nil || writesOnly(err) },
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) || errors.Is(err, forebay.ErrAway) },
		OnStateChange: func(_ string, from, to gobreaker.State) { changed(from, to) },
	})
}

// writesOnly recognises refusals that concern writes alone: reading goes on.
func writesOnly(err error) bool {
	var r *rueidis.RedisError
	return errors.As(err, &r) && (strings.HasPrefix(r.Error(), "OOM ") || strings.HasPrefix(r.Error(), "MISCONF "))
}

// usable reports whether requests may ask the server.
func (t *Tier) usable() bool {
	return t.up.Load() && t.breaker.State() == gobreaker.StateClosed && t.drills.Load() == 0
}

// Away takes the tier away on purpose until back is called, at the latest after a while: requests see
// what they see when its server is gone. back is safe to call twice.
func (t *Tier) Away(d time.Duration) (back func()) {
	t.drills.Add(1)
	var once sync.Once
	end := func() { once.Do(func() { t.drills.Add(-1) }) }
	timer := time.AfterFunc(d, end)
	return func() {
		timer.Stop()
		end()
	}
}

// guard runs an operation within its budget and lets the breaker know. While the breaker is not
// closed, or the connection is lost, it returns [forebay.ErrAway] at once.
func (t *Tier) guard(ctx context.Context, budget time.Duration, op func(context.Context, clients) error) error {
	client := t.client.Load()
	if client == nil || !t.usable() {
		return forebay.ErrAway
	}
	_, err := t.breaker.Execute(func() (struct{}, error) {
		limited, cancel := t.deadline(ctx, budget)
		defer cancel()
		err := op(limited, *client)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			err = context.Canceled // the caller's own time was up, not the server's
		case errors.Is(err, context.Canceled):
			err = forebay.ErrAway // the tier was lost meanwhile
		}
		return struct{}{}, err
	})
	if err != nil {
		t.counts.errors.Add(1)
		if client.values != client.log && !errors.Is(err, context.Canceled) {
			t.trouble.Store(&trouble{time.Now(), err})
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		// A request asks more than once, and must not pay more than once: everybody goes on without the
		// tier, also who waits for it now, until it has answered the prober in time.
		t.lost()
	}
	return err
}

// A presence is a time in which the tier is not lost. What requests wait for ends with it.
type presence struct {
	ctx  context.Context
	end  context.CancelFunc
	span atomic.Pointer[span] // the latest
}

// A span is a deadline that operations share.
type span struct {
	ctx   context.Context
	until time.Time // takes in new ones
}

// spanPart is for how much of the budget a shared deadline takes in new operations: what the last of them
// may lack of theirs.
const spanPart = 10

func newPresence() *presence {
	ctx, end := context.WithCancel(mayDial(context.Background(), dialNever))
	return &presence{ctx: ctx, end: end}
}

// deadline limits an operation. What requests wait for shares a context with whatever began within
// the same few milliseconds: a timer for each would cost as much as the rest of the operation. Such an
// operation does not end with its caller, but a little later.
func (t *Tier) deadline(ctx context.Context, budget time.Duration) (context.Context, context.CancelFunc) {
	if budget != t.o.Budget {
		return context.WithTimeout(ctx, budget)
	}
	now, here := time.Now(), t.present.Load()
	if s := here.span.Load(); s != nil && now.Before(s.until) {
		return s.ctx, func() {}
	}
	limited, cancel := context.WithTimeout(here.ctx, budget)
	here.span.Store(&span{ctx: limited, until: now.Add(budget / spanPart)})
	// Its own timer ends it; nobody who shares it may.
	context.AfterFunc(limited, cancel)
	return limited, func() {}
}

// Who may dial: a request that finds no connection must fail, not wait for one.
type dialKey struct{}

type dialFor int

const (
	dialNever    dialFor = iota // a request
	dialToProbe                 // the connection that carries requests
	dialToFollow                // one that waits at the doorbell
)

func mayDial(ctx context.Context, who dialFor) context.Context {
	return context.WithValue(ctx, dialKey{}, who)
}

var errNoDial = errors.New("redis: not connected")

// dial opens a connection for the tier's own goroutines. Every connection that carries requests is
// counted, because the server behind a new one may be another.
func (t *Tier) dial(ctx context.Context, addr string, d *net.Dialer, cfg *tls.Config) (net.Conn, error) {
	who, _ := ctx.Value(dialKey{}).(dialFor)
	if who == dialNever {
		return nil, errNoDial
	}
	var conn net.Conn
	var err error
	if cfg != nil {
		conn, err = (&tls.Dialer{NetDialer: d, Config: cfg}).DialContext(ctx, "tcp", addr)
	} else {
		conn, err = d.DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		return nil, err
	}
	if who == dialToFollow {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.doorbell = conn
		return conn, nil
	}
	t.dials.Add(1)
	return &watchedConn{Conn: conn, lost: t.lost}, nil
}

// lost keeps requests away until the prober has an answer again, and releases those that wait.
func (t *Tier) lost() {
	t.up.Store(false)
	t.present.Swap(newPresence()).end()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// A watchedConn tells when it is closed.
type watchedConn struct {
	net.Conn
	once sync.Once
	lost func()
}

func (c *watchedConn) Close() error {
	c.once.Do(c.lost)
	return c.Conn.Close()
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	var timeout net.Error
	if err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
		c.once.Do(c.lost)
	}
	return n, err
}
