package forebay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Receipt says what became of an invalidation.
type Receipt struct {
	// ID is its place in the log: that of the last of its records.
	ID ID
	// Deferred: it counts on this node, and will be appended to the log when that can be reached.
	Deferred bool
}

// Invalidate removes what the targets cover: once it returns, a read on this node that starts later
// gets nothing that was loaded before, and neither does any other node of a Strict class. An error
// means that nothing was invalidated.
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
	records := make([]Record, len(targets))
	for i, t := range targets {
		if t.Kind == KindPattern && !strings.Contains(t.Name, "*") {
			targets[i] = Key(t.Name)
		}
		records[i] = Record{Target: targets[i], Mode: mode}
	}
	number := c.ledger.note(targets, mode)
	id, err := c.append(ctx, records, number)
	if err != nil {
		return Receipt{}, 0, err
	}
	receipt := Receipt{ID: id}
	select {
	case c.sweep <- struct{}{}:
	default:
	}
	c.tell(Event{Kind: EventInvalidate, Targets: targets, Mode: mode, Receipt: receipt})
	return receipt, number, nil
}

// class returns a class by its name, or nil.
func (c *Cache) class(name string) *class {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.classes[name]
}

// append writes records to the log and reads its answer, up to them, into the ledger. It returns
// the last record's place.
func (c *Cache) append(ctx context.Context, records []Record, number uint64) (ID, error) {
	asked, _ := c.ledger.place()
	r, err := c.log.Append(ctx, asked.ID, records)
	if err != nil {
		return ID{}, fmt.Errorf("forebay: append to the log: %w", err)
	}
	own := make(map[ID]uint64, len(r.Appended))
	last := ID{}
	for _, last = range r.Appended {
		own[last] = number
	}
	c.ledger.take(asked, r, own)
	return last, nil
}
