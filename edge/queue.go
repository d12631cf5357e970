package edge

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
	"golang.org/x/time/rate"
)

// Options configure [Open].
type Options struct {
	// Cache is the one whose invalidations are passed on.
	Cache *forebay.Cache
	// Purger is the CDN; nil: nothing is purged, and the queue tells how far the nodes have come.
	Purger Purger
	// Vendor is the CDN's name, for people.
	Vendor string
	// Settle is how long after the first purge the second one follows: what a node had sent before it applied the invalidation
	// may reach the CDN after the first. Default 1 s.
	Settle time.Duration
	// Apply is how long a turn waits for the nodes to say that they have applied its invalidations. Default 2 s.
	Apply time.Duration
	// Probe looks through the edge after each turn; nil: nobody does.
	Probe func(context.Context) Probe
	// Logger gets what fails. Default slog.Default().
	Logger *slog.Logger
}

// A Queue purges a CDN for every invalidation of its cache, in the order: the log, the nodes, the CDN. Each node of a cache
// has one, and one of them works. It is safe for concurrent use. [Open] starts it; [Queue.Close] ends it.
type Queue struct {
	o     Options
	rate  *rate.Limiter
	token string        // of the lease
	bell  chan struct{} // the log has grown

	cancel  context.CancelFunc
	work    sync.WaitGroup
	unwatch func()

	counts  counts
	leads   atomic.Bool
	problem atomic.Pointer[problem] // nil: none
}

// A problem is why the queue does not go on.
type problem struct {
	text    string
	since   time.Time
	refused bool // by the CDN: it stands until a purge is taken
}

const (
	leaseName = "edge"
	stateName = "edge"
	leaseLife = 10 * time.Second
	// lookEvery is how soon a node that does not work tries whether nobody does, and one that works looks at the log unasked.
	lookEvery = 2 * time.Second
	// Pauses after a failure, growing.
	firstPause = 500 * time.Millisecond
	lastPause  = 30 * time.Second
	// callFor bounds one call of the CDN, and doneFor its purge.
	callFor = 10 * time.Second
	doneFor = 10 * time.Minute
)

// Open starts a queue. It asks nobody anything yet.
func Open(ctx context.Context, o Options) *Queue {
	if o.Settle == 0 {
		o.Settle = time.Second
	}
	if o.Apply == 0 {
		o.Apply = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	q := &Queue{o: o, token: rand.Text(), bell: make(chan struct{}, 1), cancel: cancel}
	reports := newReporter(o.Cache)
	q.unwatch = o.Cache.Observe(forebay.ObserverFunc(func(e forebay.Event) {
		switch e.Kind {
		case forebay.EventInvalidate, forebay.EventLearn, forebay.EventFence:
			ring(q.bell)
			ring(reports.bell)
		}
	}))
	if o.Purger != nil {
		perMinute := max(o.Purger.Limits().PerMinute, 1)
		q.rate = rate.NewLimiter(rate.Every(time.Minute/time.Duration(perMinute)), max(perMinute/12, 1)) // five seconds' worth at once
		q.work.Go(func() { q.run(working) })
	}
	q.work.Go(func() { reports.run(working) })
	return q
}

// ring never waits.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// Close ends the queue. What waits is done by the next node that leads, or after the next start. It is safe to call twice.
func (q *Queue) Close() error {
	q.unwatch()
	q.cancel()
	q.work.Wait()
	if q.leads.Swap(false) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return q.o.Cache.Yield(ctx, leaseName, q.token)
	}
	return nil
}

// run takes turns while this node holds the lease.
func (q *Queue) run(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		wait, heard := lookEvery, q.bell
		switch more, err := q.turn(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			q.fail("the CDN is not purged yet; it is tried again", err)
			wait, heard = after(err, pause), nil
			pause = min(2*pause, lastPause)
		case more:
			pause = firstPause
			continue
		default:
			pause = firstPause
		}
		select {
		case <-heard:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// after is how long to wait after an error: as long as the CDN says, if it does.
func after(err error, pause time.Duration) time.Duration {
	var busy *BusyError
	if errors.As(err, &busy) && busy.After > 0 {
		return min(max(busy.After, firstPause), 10*time.Minute)
	}
	return pause
}

// fail says once what is wrong.
func (q *Queue) fail(what string, err error) {
	now := &problem{err.Error(), time.Now(), refused(err)}
	switch before := q.problem.Load(); {
	case before != nil && before.text == now.text:
		return
	case before != nil:
		now.since = before.since
	}
	q.problem.Store(now)
	q.o.Logger.Warn("edge: "+what, "error", err)
}

// well says that it is over. purged: the CDN has taken a purge.
func (q *Queue) well(purged bool) {
	if p := q.problem.Load(); p == nil || p.refused && !purged {
		return
	}
	if q.problem.Swap(nil) != nil {
		q.o.Logger.Info("edge: the CDN is purged again")
	}
}

// leading takes or prolongs the lease.
func (q *Queue) leading(ctx context.Context) (bool, error) {
	held, err := q.o.Cache.Lead(ctx, leaseName, q.token, leaseLife)
	if err != nil {
		return false, fmt.Errorf("the lease of the purges: %w", err)
	}
	q.leads.Store(held)
	return held, nil
}

// load reads the state. found: there is one.
func (q *Queue) load(ctx context.Context) (s state, found bool, err error) {
	kept, err := q.o.Cache.Kept(ctx, stateName)
	if err != nil {
		return s, false, fmt.Errorf("read the state of the purges: %w", err)
	}
	if kept[0] == nil {
		return s, false, nil
	}
	if err := json.Unmarshal(kept[0], &s); err != nil {
		return state{}, false, nil // of a build that has another: everything is purged
	}
	return s, true, nil
}

func (q *Queue) save(ctx context.Context, s state) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := q.o.Cache.Keep(context.WithoutCancel(ctx), stateName, text); err != nil {
		return fmt.Errorf("keep the state of the purges: %w", err)
	}
	return nil
}

// counts are of calls of the CDN.
type counts struct{ taken, refused, failed atomic.Uint64 }

func (c *counts) note(err error) {
	switch {
	case err == nil:
		c.taken.Add(1)
	case refused(err):
		c.refused.Add(1)
	default:
		c.failed.Add(1)
	}
}

// Calls returns how many purges this node has asked the CDN for: those that it took, refused, and did not take for another reason.
func (q *Queue) Calls() (taken, refused, failed uint64) {
	return q.counts.taken.Load(), q.counts.refused.Load(), q.counts.failed.Load()
}

// Vendor is the CDN's name; empty: nothing is purged.
func (q *Queue) Vendor() string {
	if q.o.Purger == nil {
		return ""
	}
	return q.o.Vendor
}

// Problem says why the queue does not go on, on the node that does the purges.
func (q *Queue) Problem() (why string, is bool) {
	p := q.problem.Load()
	if p == nil {
		return "", false
	}
	return p.text, true
}

// again has the CDN purge the tags once more: those of dead letters, or of what reached it late.
func (q *Queue) again(ctx context.Context, tags []string) error {
	targets := make([]shared.Target, len(tags))
	for i, tag := range tags {
		targets[i] = forebay.Tag(again + tag)
	}
	_, err := q.o.Cache.Invalidate(ctx, targets...)
	return err
}

// Late says that a response was sent to the end after an invalidation of it: the CDN may have stored it after its purges.
// Nothing in the caches is invalidated.
func (q *Queue) Late(ctx context.Context, key string) error {
	if q.o.Purger == nil {
		return nil
	}
	return q.again(ctx, []string{keyTag(key)})
}

// Retry has the dead letters purged again, and returns how many tags that are.
func (q *Queue) Retry(ctx context.Context) (int, error) {
	if q.o.Purger == nil {
		return 0, nil
	}
	s, _, err := q.load(ctx)
	if err != nil {
		return 0, err
	}
	var tags []string
	for _, d := range s.Dead {
		tags = append(tags, d.Tags...)
	}
	if len(tags) == 0 {
		return 0, nil
	}
	tags = reduce(tags)
	return len(tags), q.again(ctx, tags)
}
