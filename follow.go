package forebay

import (
	"context"
	"errors"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

const (
	// confirmedFor is how long a check of the log vouches for what this node knows (rule 7).
	confirmedFor = 2 * time.Second
	// followAgain is how soon a follower looks again after a failure.
	followAgain = 100 * time.Millisecond
	// trimEvery is how often a node trims the log.
	trimEvery = time.Minute
)

// confirmed reports whether a check of the log that was sent less than two seconds ago has been
// read. A cache without a shared tier knows everything there is to know.
func (c *Cache) confirmed() bool {
	return c.shared == nil || c.caughtUp.Load() && c.now()-c.confirmedAt.Load() < int64(confirmedFor)
}

// ready reports whether the shared tier may be read: the ledger has caught up once and is not far behind,
// and nothing that this node has invalidated is still waiting to be appended (rule 9).
func (c *Cache) ready() bool {
	return c.shared != nil && !c.ledger.behind.Load() && c.caughtUp.Load() && c.journal.empty()
}

// errBehind says that there is more than one answer of the log holds. The follower reads it alone:
//
//  1. Another node invalidates faster than one answer after the other can be read.
//  2. Each strict reader here is given the same page, reads it, and asks for the next.
//  3. The more of them wait, the longer each page takes: none comes to the end.
var errBehind = errors.New("forebay: this node is still reading the log")

// confirm reads the log from the head to its end.
func (c *Cache) confirm(ctx context.Context) error {
	asked, _ := c.ledger.place()
	sent := c.now()
	r, err := c.log.Read(ctx, asked)
	if err != nil {
		return err
	}
	return c.absorb(ctx, asked, r, sent)
}

// readOn reads the log from the head to its end, however many answers that takes.
func (c *Cache) readOn(ctx context.Context) (err error) {
	for err = c.confirm(ctx); errors.Is(err, errBehind) && ctx.Err() == nil; err = c.confirm(ctx) {
	}
	return err
}

// absorb reads an answer of the log, sent for at a time, into the ledger, and does what it calls for:
// when it returns without an error, the ledger knows the log to its end.
func (c *Cache) absorb(ctx context.Context, asked shared.Stamp, r shared.Reading, sent int64) error {
	switch c.ledger.take(asked, r) {
	case moved:
		return c.confirm(ctx)
	case lost:
		return c.restart(ctx, asked)
	}
	if r.More && c.ledger.behind.Load() {
		return errBehind
	} else if r.More {
		return c.confirm(ctx) // another has read further
	}
	if c.shared != nil && r.Run != c.ledger.writtenBy() {
		// The server is not the one that wrote the newest record: it began anew, or is another. What
		// it lost is unknown; the fence that append puts there says so to everybody.
		head, _ := c.ledger.place()
		return c.restart(ctx, head)
	}
	c.vouch(sent)
	c.reappend()
	return nil
}

// vouch remembers the latest check.
func (c *Cache) vouch(sent int64) {
	for at := c.confirmedAt.Load(); sent > at && !c.confirmedAt.CompareAndSwap(at, sent); at = c.confirmedAt.Load() {
	}
	c.caughtUp.Store(true)
}

// restart reads the log from its beginning, because it does not join on to what this node knows, as
// seen at a head. Of several callers that see it, one does it; the others confirm what he has read,
// without his lock: to confirm may mean to restart again.
func (c *Cache) restart(ctx context.Context, seenAt shared.Stamp) error {
	select {
	case c.restarting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if head, _ := c.ledger.place(); head != seenAt {
		<-c.restarting
		return c.confirm(ctx)
	}
	defer func() { <-c.restarting }()
	sent := c.now()
	r, err := c.log.Rejoin(ctx, seenAt, c.ledger.leftEpochs()) // rule 12
	if err != nil {
		return err
	}
	c.ledger.restart(r)
	if r.More {
		return errBehind
	}
	c.vouch(sent)
	c.reappend()
	return nil
}

// reappend gives what this node itself had acknowledged in earlier epochs to the journal again: an
// old master may have been the only one to know it (rule 10).
func (c *Cache) reappend() {
	head, _ := c.ledger.place()
	for mode, targets := range c.acknowledged.before(head.Epoch, c.ledger.retention) {
		c.journal.note(targets, mode, c.ledger.note(targets, mode)) // a request must not wait for the disk: flush saves it
	}
}

// follow owns this node's knowledge of the log: it waits at the doorbell, reads, and appends what
// waits in the journal.
func (c *Cache) follow(ctx context.Context) {
	trim := time.Now()
	for ctx.Err() == nil {
		err := c.readOn(ctx)
		if err == nil {
			err = c.flush(ctx)
		}
		if err == nil && time.Since(trim) > trimEvery {
			trim = time.Now()
			err = c.shared.Trim(ctx, c.ledger.retention)
		}
		if err == nil {
			head, _ := c.ledger.place()
			err = c.shared.Follow(ctx, head.ID)
		}
		if err != nil {
			select {
			case <-time.After(followAgain):
			case <-ctx.Done():
			}
		}
	}
}

// flush appends what waits in the journal, oldest first. Its file is written afterwards: a slow disk keeps nobody
// from the shared tier.
func (c *Cache) flush(ctx context.Context) error {
	err := c.appendWaiting(ctx)
	c.saved(c.journal.save())
	return err
}

func (c *Cache) appendWaiting(ctx context.Context) error {
	for {
		batch := c.journal.oldest()
		if len(batch) == 0 {
			return nil
		}
		if _, err := c.append(ctx, batch...); err != nil {
			return err
		}
		c.journal.done(batch)
	}
}

// saved says it once when the journal's file begins to fail, and when it works again.
func (c *Cache) saved(err error) {
	switch failing := err != nil; {
	case failing == c.unsaved.Swap(failing):
	case failing:
		c.logger.Error("forebay: invalidations wait in memory alone: a crash would lose them, until the disk takes them", "error", err)
	default:
		c.logger.Info("forebay: the journal's file is whole again")
	}
}
