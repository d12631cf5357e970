package forebay

import (
	"context"
	"fmt"

	"github.com/forebay-cache/forebay/shared"
)

// Put stores a value that the caller has just written to the origin: it invalidates the key on
// every node, then stores the value with that place in the log. A later invalidation wins.
func (f *Func[P, V]) Put(ctx context.Context, p P, v V) (Receipt, error) {
	key, reason := f.key(ctx, p)
	switch reason {
	case NoReason:
	case ReasonClosed, ReasonOff:
		return Receipt{}, nil // nothing can be stored, so there is nothing to replace
	case ReasonNoCaller:
		return Receipt{}, fmt.Errorf("%w: %s is private, and the context names no caller (Options.Caller)", ErrTarget, f.space.name)
	default:
		return Receipt{}, fmt.Errorf("%w: %s: the parameter has no key", ErrTarget, f.space.name)
	}
	c := f.space.cache
	receipt, number, err := c.invalidate(ctx, Remove, []Target{Key(key)})
	if err != nil {
		return receipt, err
	}
	e := &entry{value: v, key: key, space: f.space.space}
	if head, _ := c.replica.Place(); !receipt.Deferred {
		e.stamp = shared.Stamp{Epoch: head.Epoch, ID: receipt.ID}
	}
	k := f.keepOf(ctx, p, v)
	e.tags = k.Tags
	e.number.Store(number)
	e.times(c.now(), k)
	e.weigh(f.space.weigh(e.value))
	c.store(e, "")
	return receipt, nil
}

func (f *Func[P, V]) keepOf(ctx context.Context, p P, v V) Keep {
	if f.keep == nil {
		return Keep{}
	}
	return f.keep(ctx, p, v)
}

// Invalidate removes the entries of the parameters: see [Cache.Invalidate].
func (f *Func[P, V]) Invalidate(ctx context.Context, ps ...P) (Receipt, error) {
	targets, err := f.targets(ctx, ps)
	if err != nil {
		return Receipt{}, err
	}
	return f.space.cache.Invalidate(ctx, targets...)
}

// Expire is the softer Invalidate: see [Cache.Expire].
func (f *Func[P, V]) Expire(ctx context.Context, ps ...P) (Receipt, error) {
	targets, err := f.targets(ctx, ps)
	if err != nil {
		return Receipt{}, err
	}
	return f.space.cache.Expire(ctx, targets...)
}

func (f *Func[P, V]) targets(ctx context.Context, ps []P) ([]Target, error) {
	var out []Target
	for _, p := range ps {
		key, reason := f.key(ctx, p)
		switch reason {
		case NoReason:
			out = append(out, Key(key))
		case ReasonClosed, ReasonOff:
		default:
			return nil, fmt.Errorf("%w: %s: a parameter has no key (%s)", ErrTarget, f.space.name, reason)
		}
	}
	return out, nil
}

// Refresh loads the parameter now, whatever is stored, and stores the answer. It joins a load that
// runs already; where that must not have begun before, invalidate instead.
func (f *Func[P, V]) Refresh(ctx context.Context, p P) (V, error) {
	key, reason := f.key(ctx, p)
	if reason != NoReason {
		r := f.bypass(ctx, p, reason)
		return r.Value, r.Err
	}
	r := f.fetch(ctx, key, p, call{}, nil, ReasonRefreshed, BeginOptions{})
	return r.Value, r.Err
}
