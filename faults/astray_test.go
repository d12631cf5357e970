package faults

import (
	"sync"
	"time"
)

// astray knows when a node followed a log that no other node follows, or lost one that no other has read:
// what docs/log.md says is left. What such a node reads promises nothing then, and what was acknowledged to
// it counts for everybody soon after.
type astray struct {
	mu    sync.Mutex // guards the fields below
	spans []lostSpan
}

type lostSpan struct {
	from, to time.Time // to is zero while it lasts
	who      func(node int) bool
}

func everyNode(int) bool { return true }

// leave begins a time in which nodes are astray, which ends with back.
func (a *astray) leave(who func(node int) bool) (back func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := len(a.spans)
	a.spans = append(a.spans, lostSpan{from: time.Now(), who: who})
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.spans[i].to = time.Now()
	}
}

// during reports whether a node was astray at some time of an operation.
func (a *astray) during(node int, begun, ended time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := len(a.spans) - 1; i >= 0; i-- {
		s := a.spans[i]
		if !s.to.IsZero() && s.to.Before(begun) {
			return false // they do not overlap, and this is the latest of the rest
		}
		if s.from.Before(ended) && s.who(node) {
			return true
		}
	}
	return false
}
