package forebay

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A loadContext is what a load runs in. It has the values of the request that leads it, and ends with the load alone:
// by the flight's timer, which is set again when the origin is asked and when a value has grown. That of a growing
// value has no deadline: it may take as long as it likes, if only it goes on.
type loadContext struct {
	context.Context
	values context.Context // the request's
	loads  loads
	until  atomic.Int64 // UnixNano; 0: no deadline
}

func (c *loadContext) Deadline() (time.Time, bool) {
	until := c.until.Load()
	return time.Unix(0, until), until != 0
}

func (c *loadContext) Err() error {
	err := c.Context.Err()
	if err != nil && errors.Is(context.Cause(c.Context), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}

func (c *loadContext) Value(key any) any {
	if key == (loadsKey{}) {
		return &c.loads
	}
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}

// setTimeout gives the load its context. When that ends so does the flight: a load that does not heed it
// must not hold its key for longer.
func (fs *flights) setTimeout(f *flight, request context.Context) {
	f.load.values, f.load.loads = request, loadsWith(request, f)
	f.load.Context, f.end = context.WithCancelCause(context.Background())
	f.ctx = &f.load
	if t := f.space.class.now().LoadTimeout; t > 0 {
		f.timeout = t
		f.late = time.AfterFunc(t, f.timeUp)
		f.more()
	}
	if f.late == nil || f.grows {
		fs.endless[f] = struct{}{}
	}
}

// more gives the load its whole time again.
func (f *flight) more() {
	t := f.timeout
	if f.late == nil {
		return
	}
	if f.late.Reset(t); !f.grows {
		f.load.until.Store(time.Now().Add(t).UnixNano())
	}
}

func (f *flight) timeUp() { f.stop(context.DeadlineExceeded) }

func (f *flight) stop(why error) {
	f.end(why)
	fs := f.space.cache.flights
	fs.end(f, nil, fs.timeoutError(f))
}

// cancel ends the load. The caller may hold the lock.
func (f *flight) cancel() { go f.stop(nil) }

// release frees the context, once the load has ended.
func (f *flight) release() {
	if f.late != nil {
		f.late.Stop()
	}
	f.end(nil)
}

func (fs *flights) timeoutError(f *flight) error {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	c := f.space.class
	if fs.cut {
		return fmt.Errorf("%w: %s: the cache was closed meanwhile", ErrLoadTimeout, c.Name)
	}
	if errors.Is(context.Cause(f.ctx), context.Canceled) {
		return context.Canceled
	}
	if f.queued && !f.loading {
		return &BusyError{Class: c.Name, MaxLoads: c.now().MaxLoads, RetryAfter: retryAfter}
	}
	return fmt.Errorf("%w: %s after %s", ErrLoadTimeout, f.space.name, f.timeout)
}

// retryAfter is what a refused caller is told to wait.
const retryAfter = time.Second
