package redis

import (
	"context"
	"errors"
	"sync"
	"time"
)

// beats is how many parts a budget is counted in.
const beats = 5

// A budget is the time that an operation has, or several that begin together. It is counted in beats of this
// process and not by the clock: while the process does not run, because its CPU quota is spent or the machine
// is busy, the server's answer may lie there unread, and the server is not to blame. So a budget ends
// late where the process was late, and says so.
type budget struct {
	context.Context
	end   context.CancelCauseFunc
	begun time.Time
	whole time.Duration

	mu    sync.Mutex // guards the fields below
	timer *time.Timer
	next  time.Time // the beat
	left  int       // beats
}

func newBudget(parent context.Context, whole time.Duration) *budget {
	b := &budget{begun: time.Now(), whole: whole, left: beats}
	b.Context, b.end = context.WithCancelCause(parent)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next = b.begun.Add(whole / beats)
	b.timer = time.AfterFunc(whole/beats, b.beat)
	return b
}

func (b *budget) beat() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.Context.Err() != nil {
		return
	}
	if b.left--; b.left <= 0 {
		b.end(context.DeadlineExceeded)
		return
	}
	each, now := b.whole/beats, time.Now()
	if now.Sub(b.next) > each/2 { // else it is the timer's own inexactness, which must not add up
		b.next = now
	}
	b.next = b.next.Add(each)
	b.timer.Reset(b.next.Sub(now))
}

// stop ends it before its time.
func (b *budget) stop() {
	b.end(context.Canceled)
	b.timer.Stop()
}

// Deadline is not known: the process may be late. The client then waits by Done.
func (b *budget) Deadline() (time.Time, bool) { return time.Time{}, false }

func (b *budget) Err() error {
	err := b.Context.Err()
	if err != nil && errors.Is(context.Cause(b.Context), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}

// spent reports whether it has ended by its beats.
func (b *budget) spent() bool { return errors.Is(b.Err(), context.DeadlineExceeded) }

// late reports whether this process did not run for a part of it.
func (b *budget) late() bool { return time.Since(b.begun) > b.whole+b.whole/2 }
