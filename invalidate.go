package forebay

import (
	"context"
	"errors"
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
// again (for [Class.Stale]) or when that fails. A Strict class takes it for a removal.
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
	done := c.replica.Invalidate(ctx, mode, targets)
	return Receipt{ID: done.ID, Deferred: done.Deferred}, done.Number, nil
}

// invalidateFor is the default of [Options.InvalidateFor].
const invalidateFor = 2 * time.Second

// class returns a class by its name, or nil.
func (c *Cache) class(name string) *class {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.classes[name]
}
