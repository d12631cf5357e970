// Package redis is the shared tier on Redis (from 6.2) and Valkey: values, leases, and the log of
// invalidations as a stream.
//
// It is a guest in the request: every operation has a budget, a breaker keeps requests away from a
// server that does not answer, and only a goroutine of the tier's own ever dials.
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/shared"
	"github.com/redis/rueidis"
	"github.com/sony/gobreaker/v2"
)

// Options configure [Open].
type Options struct {
	// URL is redis://[user:password@]host:port[/db], or host:port alone; redis://host:port,host:port?cluster=true; or
	// redis+sentinel://[user:password@]host:port,host:port/master[/db], with ?sentinel_user= and
	// ?sentinel_password= where the sentinels want them. With rediss and rediss+sentinel, by TLS.
	URL string
	// Client is the options of a rueidis client of yours, instead of URL: credentials that change, a TLS configuration, a name. How
	// it dials, pipelines, waits and tries again is the tier's own: its promises depend on that. Default nil.
	Client *rueidis.ClientOption
	// Namespace begins every key. Caches with the same namespace are nodes of one. Default "forebay".
	Namespace string
	// Budget bounds what one operation may cost a request. Default 50 ms.
	Budget time.Duration
	// Logger gets one record for each change of state. Default slog.Default().
	Logger *slog.Logger
}

// A Tier is the shared tier on one server. It is safe for concurrent use.
type Tier struct {
	o        Options
	endpoint endpoint
	client   atomic.Pointer[clients]
	breaker  *gobreaker.CircuitBreaker[struct{}]

	up      atomic.Bool // the last probe was answered, and no connection was lost since
	session atomic.Pointer[session]
	dials   atomic.Uint64 // connections that carry requests, ever
	run     atomic.Pointer[serverRun]
	clock   atomic.Pointer[sight]

	late    atomic.Bool // the latest operation ended late, for this process's own sake
	trouble atomic.Pointer[trouble]
	counts  counts
	drills  atomic.Int64 // that keep requests away

	foreignSaid atomic.Int64 // when it was said last, see foreign

	wake chan struct{} // rings the prober

	mu     sync.Mutex // guards the fields below
	state  shared.State
	closed bool

	sockets sockets
	stop    context.CancelFunc
	probing sync.WaitGroup
}

var _ shared.Tier = (*Tier)(nil)

const (
	defaultBudget    = 50 * time.Millisecond
	defaultNamespace = "forebay"
)

// Open opens the tier. Its error is about the options; a server that cannot be reached, or not be
// used, is joined when it can: [Tier.State] says what is wrong meanwhile. Open waits for the first
// answer for a moment.
func Open(ctx context.Context, o Options) (*Tier, error) {
	if o.Namespace == "" {
		o.Namespace = defaultNamespace
	}
	if o.Budget == 0 {
		o.Budget = defaultBudget
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if strings.ContainsAny(o.Namespace, "*?[]{}\\ ") {
		return nil, fmt.Errorf("redis: namespace %q: must not hold spaces or any of *?[]{}\\", o.Namespace)
	}
	t := &Tier{o: o, wake: make(chan struct{}, 1)}
	t.session.Store(newSession())
	var err error
	if t.endpoint, err = t.parse(); err != nil {
		return nil, err
	}
	t.breaker = newBreaker(t.changed)
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	t.stop = stop
	first := make(chan struct{})
	t.probing.Go(func() { t.probe(working, first) })
	select {
	case <-first:
	case <-ctx.Done():
	}
	return t, nil
}

// changed says when the tier goes away and when it is back, and not each try in between.
func (t *Tier) changed(from, to gobreaker.State) {
	switch {
	case from == gobreaker.StateClosed:
		t.o.Logger.Warn("forebay: the shared tier does not answer: requests go on without it")
	case to == gobreaker.StateClosed:
		t.o.Logger.Info("forebay: the shared tier answers again")
	}
}

// parse reads the URL and configures the client: one connection carries all requests, so that what is
// known of it is known of them.
func (t *Tier) parse() (endpoint, error) {
	e, err := t.endpointOf()
	if err != nil {
		return e, fmt.Errorf("redis: %w", withoutSecret(err, t.o.URL))
	}
	e.logKey = t.logKey()
	o := &e.server
	o.ForceSingleClient = true
	o.DisableCache = true
	o.DisableRetry = true
	o.PipelineMultiplex = -1
	o.BlockingPoolSize = 2
	o.MaxFlushDelay = flushDelay
	o.Dialer.Timeout = dialTimeout
	o.Dialer.KeepAlive = keepAlive
	o.ConnWriteTimeout = writeTimeout
	o.DialCtxFn = t.dial
	return e, nil
}

// withoutSecret keeps a URL's password out of logs.
func withoutSecret(err error, url string) error {
	if url == "" {
		return err
	}
	return fmt.Errorf("%s", strings.ReplaceAll(err.Error(), url, "the URL"))
}

// flushDelay lets requests that come together share a write: measured, it halves what a busy node
// pays for a look-up (bench), and costs a lone one nothing that can be seen.
const flushDelay = 20 * time.Microsecond

func (t *Tier) logKey() string             { return t.o.Namespace + ":log" }
func (t *Tier) valueKey(key string) string { return t.o.Namespace + ":e:" + key }
func (t *Tier) leaseKey(key string) string { return t.o.Namespace + ":l:" + key }

// Get implements [shared.Tier].
func (t *Tier) Get(ctx context.Context, key string) (value []byte, err error) {
	start := time.Now()
	value, err = guard(ctx, t, t.o.Budget, func(ctx context.Context, c clients) ([]byte, error) {
		return bytesOf(c.values.Do(ctx, c.values.B().Get().Key(t.valueKey(key)).Build()))
	})
	t.counts.lookup(time.Since(start), err)
	return value, err
}

// GetAndRead implements [shared.Tier].
func (t *Tier) GetAndRead(ctx context.Context, key string, head shared.Stamp) (value []byte, r shared.Reading, err error) {
	start := time.Now()
	both, err := guard(ctx, t, t.o.Budget, func(ctx context.Context, c clients) (valueAndLog, error) {
		value, r, err := t.getAndRead(ctx, c, key, head)
		return valueAndLog{value, r}, err
	})
	t.counts.lookup(time.Since(start), err)
	return both.value, both.log, err
}

type valueAndLog struct {
	value []byte
	log   shared.Reading
}

func (t *Tier) getAndRead(ctx context.Context, c clients, key string, head shared.Stamp) ([]byte, shared.Reading, error) {
	run := t.knownRun()
	if run == nil || c.values != c.log {
		return t.getBeside(ctx, c, key, head)
	}
	replies := c.log.DoMulti(ctx, roleOf(c.log), c.log.B().Get().Key(t.valueKey(key)).Build(), t.xrange(c.log, head.ID))
	value, err := bytesOf(replies[1])
	if err != nil {
		return nil, shared.Reading{}, err
	}
	r, err := t.reading(replies[0], replies[2], run)
	return value, r, err
}

// getBeside reads the value and the log at the same time, where they are not on one connection. Their
// order does not matter: the value is judged by the log, whenever it was read.
func (t *Tier) getBeside(ctx context.Context, c clients, key string, head shared.Stamp) (value []byte, r shared.Reading, err error) {
	var failed error
	var reading sync.WaitGroup
	reading.Go(func() { r, failed = t.readLog(ctx, c.log, head) })
	value, err = bytesOf(c.values.Do(ctx, c.values.B().Get().Key(t.valueKey(key)).Build()))
	reading.Wait()
	return value, r, errors.Join(err, failed)
}

// bytesOf returns a reply's bytes; nil if there is nothing.
func bytesOf(r rueidis.RedisResult) ([]byte, error) {
	b, err := r.AsBytes()
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	return b, err
}

// GetMany implements [shared.Tier].
func (t *Tier) GetMany(ctx context.Context, keys []string) ([][]byte, error) {
	return guard(ctx, t, t.o.Budget, func(ctx context.Context, c clients) ([][]byte, error) {
		gets := make(rueidis.Commands, len(keys)) // one each: they may be on different servers
		for i, k := range keys {
			gets[i] = c.values.B().Get().Key(t.valueKey(k)).Build()
		}
		out := make([][]byte, len(keys))
		for i, reply := range c.values.DoMulti(ctx, gets...) {
			var err error
			if out[i], err = bytesOf(reply); err != nil {
				return nil, err
			}
		}
		return out, nil
	})
}

// nothing is the result of an operation that has none.
type nothing = struct{}

// Set implements [shared.Tier].
func (t *Tier) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := guard(ctx, t, t.o.Budget, func(ctx context.Context, c clients) (nothing, error) {
		set := c.values.B().Set().Key(t.valueKey(key)).Value(rueidis.BinaryString(value))
		if ttl == 0 {
			return nothing{}, c.values.Do(ctx, set.Build()).Error()
		}
		return nothing{}, c.values.Do(ctx, set.PxMilliseconds(max(1, ttl.Milliseconds())).Build()).Error()
	})
	return err
}

// Unlink implements [shared.Tier].
func (t *Tier) Unlink(ctx context.Context, keys ...string) error {
	_, err := guard(ctx, t, t.o.Budget, func(ctx context.Context, c clients) (nothing, error) {
		all := make(rueidis.Commands, len(keys)) // one each: they may be on different servers
		for i, k := range keys {
			all[i] = c.values.B().Unlink().Key(t.valueKey(k)).Build()
		}
		var failed []error
		for _, reply := range c.values.DoMulti(ctx, all...) {
			failed = append(failed, reply.Error())
		}
		return nothing{}, errors.Join(failed...)
	})
	return err
}

// Close implements [shared.Tier].
func (t *Tier) Close() error {
	t.stop()
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.sockets.close() // or the client would wait, for the bell and for a server that is silent
	if c := t.client.Swap(nil); c != nil {
		c.close()
	}
	t.probing.Wait()
	if c := t.client.Swap(nil); c != nil { // the prober was just connecting
		c.close()
	}
	return nil
}
