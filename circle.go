package forebay

import (
	"context"
	"fmt"
)

// loads are those that a context runs in, the innermost first.
type loads struct {
	flight *flight
	outer  *loads
}

type loadsKey struct{}

func loadsWith(ctx context.Context, f *flight) loads {
	outer, _ := ctx.Value(loadsKey{}).(*loads)
	return loads{f, outer}
}

// ErrCircle says that a load asks for what it is loading itself, directly or through another load: it
// would wait for itself.
var ErrCircle = fmt.Errorf("forebay: the load asks for its own answer")

// circle is an error where a key is being loaded by the very load that asks for it.
func circle(ctx context.Context, key string) error {
	for l, _ := ctx.Value(loadsKey{}).(*loads); l != nil; l = l.outer {
		if l.flight.key == key {
			return fmt.Errorf("%w: %s of %s", ErrCircle, key, l.flight.space.name)
		}
	}
	return nil
}

// holdsSlot reports whether a load of the class is what asks: it has one of the class's loads already,
// and must not wait for another.
//
//  1. Four loads of a class that may have four run, and each asks for a further key of the class.
//  2. Each of those waits for a load to end: all wait until their timeout.
func holdsSlot(ctx context.Context, c *class) bool {
	inner, _ := ctx.Value(loadsKey{}).(*loads)
	if inner == nil {
		return false
	}
	for l := inner.outer; l != nil; l = l.outer { // the innermost is the one that asks for a slot
		if l.flight.space.class == c {
			return true
		}
	}
	return false
}
