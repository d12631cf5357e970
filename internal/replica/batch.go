package replica

import (
	"context"
	"sync"
	"time"
)

// batchWait is how long a read waits for the one in flight, on top of the tier's budget.
const batchWait = 5 * time.Millisecond

// A batch lets strict readers that come at the same time read the log together. One read is in flight, and every
// reader that comes meanwhile shares the next: a strict reader needs one that was sent after it came. Each for
// itself, they would all be sent the same records, one answer behind the other.
type batch struct {
	readLog func(context.Context) error // one read of the log to its end

	mu     sync.Mutex  // guards the fields below
	flying *sharedRead // in flight
	next   *sharedRead // waits for that
}

type sharedRead struct {
	done chan struct{}
	err  error // written before done is closed
}

// Confirm reads the log to its end, in a read that is sent after the call began and may be shared. Its caller waits
// with ctx; visit is its visit to the tier, in which the read runs if this caller leads it. Who follows ends with
// the leader's, which began before: a channel that all wait at would cost more than the rest of a hit.
func (r *Replica) Confirm(ctx, visit context.Context) error { return r.batch.read(ctx, visit) }

func (b *batch) read(ctx, visit context.Context) error {
	one, before, leads := b.join()
	if leads {
		if _, hurried := ctx.Deadline(); !hurried {
			b.lead(visit, one, before)
			return one.err
		}
		go b.lead(visit, one, before) // the tier's budget bounds it
	}
	select {
	case <-one.done:
		return one.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lead reads for every reader that shares the read.
func (b *batch) lead(visit context.Context, one, before *sharedRead) {
	if before != nil {
		wait := time.NewTimer(batchWait)
		defer wait.Stop()
		select {
		case <-before.done:
		case <-wait.C:
		}
	}
	b.mu.Lock()
	b.flying, b.next = one, nil
	b.mu.Unlock()
	one.err = b.readLog(context.WithoutCancel(visit)) // for all readers, not for the first
	b.mu.Lock()
	if b.flying == one {
		b.flying = nil
	}
	b.mu.Unlock()
	close(one.done)
}

func (b *batch) join() (one, before *sharedRead, leads bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		return b.next, nil, false
	}
	b.next = &sharedRead{done: make(chan struct{})}
	return b.next, b.flying, true
}
