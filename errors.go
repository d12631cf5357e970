package forebay

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotFound says that the origin has no answer for the parameter. A load returns it (or an
	// error that [Options.IsNotFound] recognises); the cache keeps it for [Class.NotFound].
	ErrNotFound = errors.New("forebay: not found")

	// ErrLoadTimeout says that a load took longer than [Class.LoadTimeout] and nothing stale could
	// be served. The key is free again: the next call loads again.
	ErrLoadTimeout = errors.New("forebay: load timed out")

	// ErrNotCached says that a call which must not load ([WithOnlyIfCached]) found nothing that may be served.
	ErrNotCached = errors.New("forebay: not cached")

	// ErrConfig is matched by every error about options, names and types that [Open] and [Wrap]
	// return. The message names each mistake with its place.
	ErrConfig = errors.New("forebay: wrong configuration")

	// ErrDeferred says that an invalidation that must be acknowledged counts on this node and will reach
	// the log, but has not: other nodes may serve what is older, strict classes too.
	ErrDeferred = errors.New("forebay: the invalidation is not acknowledged yet")

	// ErrObsolete says that the answer of a joined fill was invalidated after the caller had come: it
	// began before, and the caller must not see it. Begin again.
	ErrObsolete = errors.New("forebay: the joined load was invalidated")

	// ErrTarget is matched by the errors of an invalidation that was not accepted: nothing was
	// invalidated, and the message says what to name instead.
	ErrTarget = errors.New("forebay: invalidation refused")
)

// A BusyError says that the class had its [Class.MaxLoads] loads running for as long as the caller
// could wait, and nothing stale could be served. Over HTTP it is a 503 with Retry-After.
type BusyError struct {
	Class      string
	MaxLoads   int
	RetryAfter time.Duration

	impatient bool // the load did not wait for its turn, because something stale could be served
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("forebay: class %s has its %d loads running: try again in %s, or raise MaxLoads", e.Class, e.MaxLoads, e.RetryAfter)
}

// A PanicError is what the callers of a load get when the load panicked: the process lives on.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("forebay: load panicked: %v", e.Value) }

// configError joins the mistakes found in one place; nil if there is none.
func configError(where string, mistakes []error) error {
	if len(mistakes) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", ErrConfig, where, errors.Join(mistakes...))
}
