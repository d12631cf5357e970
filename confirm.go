package forebay

import (
	"context"
	"sync"
	"time"
)

// togetherFor bounds how long a reading waits for the one before it: what it costs a request beside the tier's
// budget.
const togetherFor = 5 * time.Millisecond

// A confirmer lets Strict reads that come at the same time read the log together. One reading is under way, and
// whoever comes meanwhile shares the next: a Strict read needs one that was sent after it came. Each for
// itself, they would all be sent the same records, one answer behind the other.
type confirmer struct {
	mu   sync.Mutex    // guards what follows
	now  *confirmation // under way
	next *confirmation // waits for that
}

type confirmation struct {
	done chan struct{}
	err  error // written before done is closed
}

// confirm reads the log to its end with read, in a call that begins after this one.
func (k *confirmer) confirm(ctx context.Context, read func(context.Context) error) error {
	c, before, leads := k.join()
	if leads {
		if _, hurried := ctx.Deadline(); !hurried {
			k.lead(ctx, c, before, read)
			return c.err
		}
		go k.lead(ctx, c, before, read) // it is bounded by the tier's budget
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lead reads for all who share a confirmation.
func (k *confirmer) lead(ctx context.Context, c, before *confirmation, read func(context.Context) error) {
	if before != nil {
		short := time.NewTimer(togetherFor)
		defer short.Stop()
		select {
		case <-before.done:
		case <-short.C:
		}
	}
	k.mu.Lock()
	k.now, k.next = c, nil
	k.mu.Unlock()
	c.err = read(context.WithoutCancel(ctx)) // it is for all
	k.mu.Lock()
	if k.now == c {
		k.now = nil
	}
	k.mu.Unlock()
	close(c.done)
}

func (k *confirmer) join() (c, before *confirmation, leads bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.next != nil {
		return k.next, nil, false
	}
	k.next = &confirmation{done: make(chan struct{})}
	return k.next, k.now, true
}
