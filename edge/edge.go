// Package edge speaks to the caches above this one, CDNs: it tells them in their own fields what they may keep, and has them
// remove what an invalidation covers, after the nodes have.
//
//	invalidation → the log → every node applies it → the CDN is asked to remove it → again, a moment later → a probe looks
//
// The log of invalidations is the queue: one node at a time, which holds a lease, reads it from where the last has come to. So
// what is to be purged survives every process, is purged once for all nodes and at the account's rate, and what comes
// faster than that is purged together.
package edge

import (
	"context"
	"errors"
	"time"
)

// A Purger is a CDN. Package cdn has those of Cloudflare, Fastly and CloudFront. It is safe for concurrent use, and heeds the
// deadline of its context.
type Purger interface {
	// Purge asks the CDN to remove all that carries one of the tags, at most [Limits.Tags]; soft: to fetch it again, and serve
	// it until it has. It returns the CDN's own name of the purge. Its errors are a [*RefusedError], a [*BusyError],
	// or tell of the way.
	Purge(ctx context.Context, tags []string, soft bool) (id string, err error)
	// Done reports whether the CDN says that a purge has ended.
	Done(ctx context.Context, id string) (bool, error)
	// Limits are what the CDN takes.
	Limits() Limits
}

// Limits are what a CDN takes.
type Limits struct {
	Tags      int  // in a purge
	PerMinute int  // purges of the account
	Soft      bool // it knows soft purges; otherwise they remove
}

// A RefusedError is a CDN's answer that will not change by itself: a wrong token or zone, or a purge that it does not take.
type RefusedError struct {
	Status int
	Reason string // in the CDN's words
}

func (e *RefusedError) Error() string {
	return "the CDN refuses the purge: " + e.Reason
}

// A BusyError says that the CDN takes no purge now, and when it will.
type BusyError struct {
	After  time.Duration // 0: it did not say
	Reason string
}

func (e *BusyError) Error() string { return "the CDN takes no purge now: " + e.Reason }

// refused reports whether trying again is of no use, until somebody changes something.
func refused(err error) bool {
	var r *RefusedError
	return errors.As(err, &r)
}
