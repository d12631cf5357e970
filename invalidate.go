package forebay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// A Receipt says what became of an invalidation.
type Receipt struct {
	// ID is its place in the log: that of the last of its records.
	ID ID
	// Deferred: it counts on this node, and will be appended to the log when that can be reached.
	Deferred bool
}

// Invalidate removes what the targets cover: once it returns, a read on this node that starts later
// gets nothing that was loaded before, and neither does any other node of a Strict class. More than
// 256 targets wait 250 ms for the log at most, and are deferred then. An error means that nothing was
// invalidated.
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
	return receipt, number, err
}

// record makes an invalidation count here, and everywhere by the log. Number 0: there was no target.
func (c *Cache) record(ctx context.Context, mode Mode, targets []Target) (Receipt, uint64, error) {
	var refused []error
	for _, t := range targets {
		refused = append(refused, t.check(c.class))
	}
	if err := errors.Join(refused...); err != nil {
		return Receipt{}, 0, err
	}
	if len(targets) == 0 {
		return Receipt{}, 0, nil
	}
	targets = slices.Clone(targets)
	for i, t := range targets {
		if t.Kind == KindPattern && !strings.Contains(t.Name, "*") {
			targets[i] = Key(t.Name)
		}
	}
	number := c.ledger.note(targets, mode)
	receipt := Receipt{}
	ctx = context.WithoutCancel(ctx)
	if len(targets) > appendBatch {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, appendFor)
		defer cancel()
	}
	var err error
	if receipt.ID, err = c.append(ctx, deferred{Mode: mode, Targets: targets, Number: number}); err != nil {
		receipt.Deferred = true
		if err := c.journal.add(targets, mode, number); err != nil {
			c.logger.Error("forebay: an invalidation waits in memory alone: a crash would lose it", "error", err)
		}
	}
	return receipt, number, nil
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
func (c *Cache) append(ctx context.Context, all ...deferred) (last ID, err error) {
	var records []Record
	var numbers []uint64
	for _, d := range all {
		for _, t := range d.Targets {
			records, numbers = append(records, Record{Target: t, Mode: d.Mode}), append(numbers, d.Number)
		}
	}
	defer c.appending.begin(records)()
	epoch := ""
	for len(records) > 0 {
		if err := ctx.Err(); err != nil {
			return ID{}, err
		}
		n := min(len(records), appendBatch)
		r, err := c.appendSome(ctx, records[:n], numbers[:n])
		if err != nil {
			return ID{}, err
		}
		if epoch != "" && r.Epoch != epoch {
			return ID{}, ErrAway // what was appended before may have been lost with its epoch
		}
		records, numbers, epoch, last = records[n:], numbers[n:], r.Epoch, r.Appended[n-1]
	}
	for _, d := range all {
		c.ledger.settle(append(d.stands, d.Number)...)
	}
	return last, nil
}

// appendSome writes records to the log and reads its answer, up to them, into the ledger: only what was
// read back is acknowledged.
func (c *Cache) appendSome(ctx context.Context, records []Record, numbers []uint64) (Reading, error) {
	asked, _ := c.ledger.place()
	sent := c.now()
	r, err := c.log.Append(ctx, asked.ID, records)
	if err != nil {
		return r, err
	}
	own := make(map[ID]uint64, len(r.Appended))
	last := ID{}
	for i, id := range r.Appended {
		own[id], last = numbers[i], id
	}
	if err := c.absorb(ctx, asked, r, own, sent); err != nil {
		return r, err
	}
	if head, _ := c.ledger.place(); head.Epoch != r.Epoch || head.ID.Compare(last) < 0 {
		return r, ErrAway // the log that has them is not the one that this node follows now
	}
	if c.shared != nil {
		c.acknowledged.add(records, r.Epoch)
	}
	return r, nil
}
