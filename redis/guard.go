package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/shared"
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
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) || errors.Is(err, shared.ErrAway) },
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

// A visit is a request's time with the tier: one budget for whatever it asks. What requests wait for shares a
// visit with whatever began within the same few milliseconds: timers for each would cost as much as the rest of
// the operation. Such an operation does not end with its caller, but a little later.
type visit struct {
	*budget
	joinable time.Time // until then
}

type visitKey struct{}

// Visit implements [shared.Tier].
func (t *Tier) Visit(ctx context.Context) context.Context {
	if v := visitOf(ctx); v != nil {
		return v
	}
	return t.visit()
}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

func (v *visit) Value(key any) any {
	if key == (visitKey{}) {
		return v
	}
	return v.budget.Value(key)
}

// begun reports whether so much of the budget is spent that what begins now may fail for that alone.
func (v *visit) begun() bool { return time.Now().After(v.joinable) }

// joinPart is for how much of a budget other operations may join it: what the last of them may lack of
// their own.
const joinPart = 10

// visit returns the one that begins now.
func (t *Tier) visit() *visit {
	here, now := t.session.Load(), time.Now()
	if v := here.latest.Load(); v != nil && now.Before(v.joinable) {
		return v
	}
	v := &visit{newBudget(here.ctx, t.o.Budget), now.Add(t.o.Budget / joinPart)}
	here.latest.Store(v)
	return v
}

// guard runs an operation within its budget and lets the breaker know. While the breaker is not
// closed, or the connection is lost, it returns [shared.ErrAway] at once. A caller whose own deadline is sooner waits until then.
func guard[T any](ctx context.Context, t *Tier, whole time.Duration, op func(context.Context, clients) (T, error)) (T, error) {
	var none T
	client := t.client.Load()
	if client == nil || !t.usable() {
		return none, shared.ErrAway
	}
	v := visitOf(ctx)
	if v != nil {
		whole = t.o.Budget
	}
	until, ok := ctx.Deadline()
	hurried := ok && time.Until(until) < whole
	if !hurried && (whole <= t.o.Budget || ctx.Done() == nil) {
		return try(t, client, v, whole, op)
	}
	return tryUntil(ctx, t, client, v, whole, op)
}

// try runs an operation within the visit's budget, or within one of its own.
func try[T any](t *Tier, client *clients, v *visit, whole time.Duration, op func(context.Context, clients) (T, error)) (T, error) {
	if v == nil && whole == t.o.Budget {
		v = t.visit()
	}
	if v != nil {
		return execute(t, client, v.budget, v.begun(), op)
	}
	limit := newBudget(t.session.Load().ctx, whole)
	defer limit.stop()
	return execute(t, client, limit, false, op)
}

// tryUntil is try, and its caller leaves when the request ends: the operation goes on, because what becomes of it
// says how the server is.
func tryUntil[T any](request context.Context, t *Tier, client *clients, v *visit, whole time.Duration, op func(context.Context, clients) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	answered := make(chan answer, 1)
	if !t.own(func() {
		value, err := try(t, client, v, whole, op)
		answered <- answer{value, err}
	}) {
		return none, shared.ErrAway
	}
	select {
	case a := <-answered:
		return a.value, a.err
	case <-request.Done():
		return none, request.Err()
	}
}

// own runs a function in a goroutine that [Tier.Close] waits for. It returns false once the tier is closed.
func (t *Tier) own(run func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.probing.Go(run)
	}
	return !t.closed
}

// errHurried says that the request had spent most of its budget before.
var errHurried = fmt.Errorf("%w: the request's time for it is up", shared.ErrAway)

// errLate says that the budget was spent while this process did not run: see [budget].
var errLate = fmt.Errorf("%w: this process was late itself", shared.ErrAway)

// execute runs an operation within a budget. begun: the request has spent some of it before.
func execute[T any](t *Tier, client *clients, limit *budget, begun bool, op func(context.Context, clients) (T, error)) (value T, err error) {
	_, err = t.breaker.Execute(func() (struct{}, error) {
		var err error
		value, err = op(limit, *client)
		switch {
		case err == nil:
			t.late.Store(false)
		case errors.Is(err, context.Canceled):
			err = shared.ErrAway // the tier was lost meanwhile
		case !errors.Is(err, context.DeadlineExceeded):
		case begun:
			err = errHurried
		case limit.late() && !t.late.Swap(true):
			err = errLate // once: a server that hangs is not excused by a process that is late again and again
		}
		return struct{}{}, err
	})
	if err != nil {
		t.counts.errors.Add(1)
		if client.values != client.log && !errors.Is(err, context.Canceled) {
			t.trouble.Store(&trouble{time.Now(), err})
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || demoted(err) {
		// A request asks more than once, and must not pay more than once: everybody goes on without the
		// tier, and neither does one that waits for it now, until it has answered the prober in time.
		t.lost()
	}
	return value, err
}

// A session lasts from when the tier is connected until it is lost. What requests wait for ends with it.
type session struct {
	ctx    context.Context
	end    context.CancelFunc
	latest atomic.Pointer[visit]
}

func newSession() *session {
	ctx, end := context.WithCancel(mayDial(context.Background(), dialNever))
	return &session{ctx: ctx, end: end}
}

type dialKey struct{}

// dialFor says which goroutine may open a connection: a request that finds none must fail, not wait for one.
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
		conn, err = t.sockets.keep((&tls.Dialer{NetDialer: d, Config: cfg}).DialContext(ctx, "tcp", addr))
	} else {
		conn, err = t.sockets.keep(d.DialContext(ctx, "tcp", addr))
	}
	if err != nil || who == dialToFollow {
		return conn, err
	}
	t.dials.Add(1)
	return &watchedConn{Conn: conn, lost: t.lost}, nil
}

// lost keeps requests away until the prober has an answer again, and releases those that wait.
func (t *Tier) lost() {
	t.up.Store(false)
	t.session.Swap(newSession()).end()
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
	if err == nil {
		return n, nil
	}
	var timeout net.Error
	if !(errors.As(err, &timeout) && timeout.Timeout()) {
		c.once.Do(c.lost)
	}
	return n, err
}
