package httpcache

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay"
)

// bodies is the budget of the memory that bodies under way take: those that grow, and those that are
// whole and wait for clients to read them, which no eviction from the near tier frees. Bodies of at most
// smallBody do not count: there are as many as there are requests.
type bodies struct {
	max     int64
	refused atomic.Uint64

	mu      sync.Mutex // guards the fields below
	used    int64
	clients map[*client]struct{}
	freed   chan struct{} // closed and renewed when a reader that waits may look again; nil: nobody waits
}

const (
	smallBody = 64 << 10
	// stalledAfter is how long a client may read nothing while others wait for room.
	stalledAfter = 2 * time.Second
	roomWithin   = 3 * time.Second // how long to wait for room
)

// resize sets the bound.
func (b *bodies) resize(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.max = n
}

// take reserves, if there is room.
func (b *bodies) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.max {
		return false
	}
	b.used += n
	return true
}

func (b *bodies) give(n int64) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// takeWithin reserves, and waits for room: clients that have read nothing for a while are let go.
func (b *bodies) takeWithin(ctx context.Context, n int64) bool {
	ctx, cancel := context.WithTimeout(ctx, roomWithin)
	defer cancel()
	look := time.NewTicker(stalledAfter / 4)
	defer look.Stop()
	for {
		ok, freed := b.takeOrWait(n)
		if ok {
			return true
		}
		b.letGo()
		select {
		case <-freed:
		case <-look.C:
		case <-ctx.Done():
			b.refused.Add(1)
			return false
		}
	}
}

func (b *bodies) takeOrWait(n int64) (ok bool, freed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n <= b.max {
		b.used += n
		return true, nil
	}
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	return false, b.freed
}

// letGo ends the answers to the clients that have read nothing for a while.
func (b *bodies) letGo() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.clients {
		if c.stalled(time.Now()) {
			c.end()
		}
	}
}

// limit is the budget's place in the statistics.
func (b *bodies) limit() forebay.Limit {
	b.mu.Lock()
	defer b.mu.Unlock()
	return forebay.Limit{Name: "bodies_bytes", Used: b.used, Max: b.max, Refused: b.refused.Load()}
}

// A client is one that is sent a large body, in pieces, so that it shows whether it reads.
type client struct {
	bodies *bodies
	w      http.ResponseWriter
	since  atomic.Int64 // when the piece under way was begun, in nanoseconds; 0: none is
	ended  atomic.Bool
}

func (b *bodies) send(w http.ResponseWriter) *client {
	c := &client{bodies: b, w: w}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.clients == nil {
		b.clients = make(map[*client]struct{})
	}
	b.clients[c] = struct{}{}
	return c
}

func (c *client) close() {
	c.bodies.mu.Lock()
	defer c.bodies.mu.Unlock()
	delete(c.bodies.clients, c)
}

func (c *client) stalled(now time.Time) bool {
	since := c.since.Load()
	return since != 0 && now.UnixNano()-since > int64(stalledAfter)
}

// end has the client's write fail, once.
func (c *client) end() {
	if c.ended.CompareAndSwap(false, true) {
		http.NewResponseController(c.w).SetWriteDeadline(time.Now()) // a writer without deadlines has none to offer
	}
}

// piece is what a client must read before the next is sent.
const piece = 64 << 10

// Write sends p piece by piece.
func (c *client) Write(p []byte) (int, error) {
	sent := 0
	defer c.since.Store(0)
	for len(p) > 0 {
		c.since.Store(time.Now().UnixNano())
		n, err := c.w.Write(p[:min(len(p), piece)])
		if sent += n; err != nil {
			return sent, err
		}
		p = p[n:]
	}
	return sent, nil
}

// pin reserves what a whole body takes while it is sent; it is kept once, however many it is sent to.
// It returns false where there is no room.
func (b *body) pin(ctx context.Context, budget *bodies) bool {
	b.mu.Lock()
	n := int64(len(b.data))
	if b.pins > 0 || n <= smallBody || b.held >= n {
		b.pins++
		b.mu.Unlock()
		return true
	}
	b.mu.Unlock()
	if !budget.takeWithin(ctx, n) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pins++
	if b.held > 0 { // another was as fast
		budget.give(n)
		return true
	}
	b.budget, b.held = budget, n
	return true
}

func (b *body) unpin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pins--
	b.settleBudget()
}

// settleBudget gives back what was reserved, when the body grows no more and nobody reads it. The lock
// is held.
func (b *body) settleBudget() {
	if b.held == 0 || b.pins > 0 || len(b.readers) > 0 || !b.whole && b.err == nil {
		return
	}
	b.budget.give(b.held)
	b.held = 0
}

// reserve makes room for a body that grows to n bytes. It returns false where there is none.
func (b *body) reserve(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.budget == nil || n <= smallBody || n <= b.held {
		return true
	}
	n = min(max(n, 2*b.held, 4*smallBody), max(int64(b.limit), n))
	if !b.budget.take(n - b.held) {
		return false
	}
	b.held = n
	return true
}
