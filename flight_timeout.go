package forebay

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A loadContext ends with its load: by the flight's timer, which is set again when the origin is asked and when
// a value has grown. That of a growing value has no deadline: it may take as long as it likes, if only it
// goes on.
type loadContext struct {
	context.Context
	until atomic.Int64 // UnixNano; 0: no deadline
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

// setTimeout gives the load its context. When that ends so does the flight: a load that does not heed it
// must not hold its key for longer.
func (fs *flights) setTimeout(f *flight, ctx context.Context, grows bool) {
	load := &loadContext{}
	var cancel context.CancelCauseFunc
	load.Context, cancel = context.WithCancelCause(ctx)
	stop := func(why error) {
		cancel(why)
		fs.end(f, nil, fs.timeoutError(f))
	}
	f.ctx = load
	f.cancel = func() { go stop(nil) } // the caller may hold the lock
	if t := f.space.class.LoadTimeout; t > 0 {
		f.late = time.AfterFunc(t, func() { stop(context.DeadlineExceeded) })
		f.more = func() {
			if f.late.Reset(t); !grows {
				load.until.Store(time.Now().Add(t).UnixNano())
			}
		}
		if !grows {
			load.until.Store(time.Now().Add(t).UnixNano())
		}
	}
	if f.late == nil || grows {
		fs.endless[f] = struct{}{}
	}
	f.release = func() {
		if f.late != nil {
			f.late.Stop()
		}
		cancel(nil)
	}
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
		return &BusyError{Class: c.Name, MaxLoads: c.MaxLoads, RetryAfter: retryAfter}
	}
	return fmt.Errorf("%w: %s after %s", ErrLoadTimeout, f.space.name, c.LoadTimeout)
}

// retryAfter is what a refused caller is told to wait.
const retryAfter = time.Second
