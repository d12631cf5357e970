package forebay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// A Receipt says what became of an invalidation.
type Receipt struct {
	// ID is its place in the log: that of the last of its records.
	ID shared.ID
	// Deferred: it counts on this node, and will be appended to the log when that can be reached.
	Deferred bool
}

// Invalidate removes what the targets cover. Once it returns, a read on this node that starts later gets
// nothing that was loaded before. So it is on every other node for a Strict class, if the receipt does not
// say Deferred: then the log could not be reached within [Options.InvalidateFor], and other nodes learn
// of it when it can, strict reads too. Where that must not pass unnoticed, use [MustAcknowledge]. More
// than 256 targets wait 250 ms for the log at most. Any other error than [ErrDeferred] means that nothing
// was invalidated.
func (c *Cache) Invalidate(ctx context.Context, targets ...Target) (Receipt, error) {
	r, _, err := c.invalidate(ctx, Remove, targets)
	return r, err
}

// Expire is the softer Invalidate: what the targets cover may still be served while it is loaded
// anew (for [Class.Stale]) or when that fails. A Strict class takes it for a removal.
func (c *Cache) Expire(ctx context.Context, targets ...Target) (Receipt, error) {
	r, _, err := c.invalidate(ctx, Expire, targets)
	return r, err
}

// invalidate also returns the number that the invalidation took.
func (c *Cache) invalidate(ctx context.Context, mode Mode, targets []Target) (Receipt, uint64, error) {
	receipt, number, err := c.record(ctx, mode, targets)
	if err == nil && number != 0 {
		c.sweepFor(targets, mode)
		c.tell(Event{Kind: EventInvalidate, Targets: slices.Clone(targets), Mode: mode, Receipt: receipt})
	}
	if err == nil && receipt.Deferred && (c.options.Acknowledged || ctx.Value(acknowledgeKey{}) != nil) {
		err = ErrDeferred
	}
	return receipt, number, err
}

type acknowledgeKey struct{}

// MustAcknowledge returns a context in which an invalidation that is deferred is an error, [ErrDeferred].
// It counts on this node all the same, and will reach the log.
func MustAcknowledge(ctx context.Context) context.Context {
	return context.WithValue(ctx, acknowledgeKey{}, true)
}

// record makes an invalidation count here, and everywhere by the log. Number 0: there was no target.
func (c *Cache) record(ctx context.Context, mode Mode, targets []Target) (Receipt, uint64, error) {
	var refused []error
	for _, t := range targets {
		refused = append(refused, checkTarget(t, c.class))
	}
	if err := errors.Join(refused...); err != nil {
		return Receipt{}, 0, err
	}
	if len(targets) == 0 {
		return Receipt{}, 0, nil
	}
	targets = slices.Clone(targets)
	for i, t := range targets {
		if t.Kind == shared.KindPattern && !strings.Contains(t.Name, "*") {
			targets[i] = Key(t.Name)
		}
	}
	number := c.ledger.note(targets, mode)
	receipt := Receipt{}
	var err error
	if receipt.ID, err = c.acknowledge(ctx, deferred{Mode: mode, Targets: targets, Number: number}); err != nil {
		receipt.Deferred = true
		c.saved(c.journal.add(targets, mode, number))
	}
	return receipt, number, nil
}

const (
	invalidateFor = 2 * time.Second
	againFirst    = 10 * time.Millisecond // how soon an invalidation tries again, growing …
	againLast     = 100 * time.Millisecond
)

// acknowledge appends an invalidation, and tries again for as long as [Options.InvalidateFor] says: a tier
// that does not answer for a moment is no reason for other nodes not to know. What may have been appended
// is appended again, which does no harm. When the caller leaves, or its time is up, an attempt is not cut off,
// because what was written to the origin was written; but there is no further one.
func (c *Cache) acknowledge(ctx context.Context, d deferred) (shared.ID, error) {
	begun, gone := c.now(), ctx.Done()
	ctx = context.WithoutCancel(ctx)
	if len(d.Targets) > appendBatch {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, appendFor)
		defer cancel()
	}
	id, err := c.append(ctx, d)
	budget := int64(c.options.InvalidateFor)
	for pause := againFirst; err != nil && c.shared != nil && ctx.Err() == nil && !c.closed.Load(); pause = min(2*pause, againLast) {
		// Where the log has taken nothing for longer than that, or has been away, everybody knows.
		now := c.now()
		if now-begun >= budget || c.refusedFor(now) >= budget || now-c.confirmedAt.Load() >= budget {
			return id, err
		}
		select {
		case <-time.After(pause):
		case <-gone:
			return id, err
		}
		id, err = c.append(ctx, d)
	}
	return id, err
}

// refusedFor is how long the log has taken nothing that was to be appended.
func (c *Cache) refusedFor(now int64) int64 {
	if since := c.refusing.Load(); since != 0 {
		return now - since
	}
	return 0
}

// class returns a class by its name, or nil.
func (c *Cache) class(name string) *class {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.classes[name]
}

const (
	// appendBatch is how many records are appended in one step: a server does one thing at a time, and
	// everybody else waits meanwhile.
	appendBatch = 256
	// appendFor bounds how long an invalidation of more targets waits for the log. Then it is deferred.
	appendFor = 250 * time.Millisecond
)

// append writes invalidations to the log. It returns the last record's place. An error means that it is
// not known whether the log has them.
func (c *Cache) append(ctx context.Context, all ...deferred) (last shared.ID, err error) {
	var records []shared.Record
	for _, d := range all {
		by := c.ledger.by(d.Number)
		for _, t := range d.Targets {
			records = append(records, c.ledger.ring.SignRecord(shared.Record{Target: t, Mode: d.Mode, By: by}))
		}
	}
	defer func() {
		if err == nil {
			c.refusing.Store(0)
		} else {
			c.refusing.CompareAndSwap(0, max(c.now(), 1))
		}
	}()
	epoch := ""
	for len(records) > 0 {
		if err := ctx.Err(); err != nil {
			return shared.ID{}, err
		}
		n := min(len(records), appendBatch)
		r, err := c.appendSome(ctx, records[:n])
		if err != nil {
			return shared.ID{}, err
		}
		if epoch != "" && r.Epoch != epoch {
			return shared.ID{}, shared.ErrAway // what was appended before may have been lost with its epoch
		}
		records, epoch, last = records[n:], r.Epoch, r.Appended[n-1]
	}
	var settled []uint64
	for _, d := range all {
		settled = append(append(settled, d.stands...), d.Number)
	}
	c.ledger.settle(settled...)
	return last, nil
}

// appendSome writes records to the log and reads its answer, up to them, into the ledger: only what was
// read back is acknowledged.
func (c *Cache) appendSome(ctx context.Context, records []shared.Record) (shared.Reading, error) {
	asked, _ := c.ledger.place()
	sent := c.now()
	r, err := c.log.Append(ctx, asked.ID, records)
	if err != nil {
		return r, err
	}
	if len(r.Appended) != len(records) {
		return r, fmt.Errorf("forebay: the log has appended %d records of %d", len(r.Appended), len(records))
	}
	if err := c.absorb(ctx, asked, r, sent); err != nil {
		return r, err
	}
	if head, _ := c.ledger.place(); head.Epoch != r.Epoch || head.ID.Compare(r.Appended[len(records)-1]) < 0 {
		return r, shared.ErrAway // the log that has them is not the one that this node follows now
	}
	if c.shared != nil {
		c.acknowledged.add(records, r.Epoch)
	}
	return r, nil
}
