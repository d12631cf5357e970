package relay

import (
	"context"
	"sync"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// A log is what a hub reads: that of a tier.
type log interface {
	shared.Log
	Follow(ctx context.Context, head shared.ID) error
}

// A hub reads the log for all children of a gateway. It works only while one asks.
type hub struct {
	log    log
	ctx    context.Context // ends with the hub
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu        sync.Mutex // guards the fields below
	kept      []shared.Record
	run       string
	next      *reading // that has not been sent yet; nil: none is asked for
	reads     bool     // one is under way
	grown     chan struct{}
	waiting   int // children that wait for the log to grow
	listening bool
	woken     time.Time
	closed    bool
}

// keep is how many records a hub remembers: a child that was away for no longer needs no read of its own.
const keep = 8192

// wakeEvery bounds how often children are woken: at once where the log was quiet, and at most so often where it is not.
const wakeEvery = 20 * time.Millisecond

// A reading is one read of the log, for all that had asked when it was sent.
type reading struct {
	done chan struct{}
	err  error
}

func newHub(l log) *hub {
	h := &hub{log: l, grown: make(chan struct{})}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// close ends what the hub does, and waits for it.
func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.work.Wait()
}

// read answers a child. Where what is kept does not go back to its place, the log itself is asked.
func (h *hub) read(ctx context.Context, head shared.Stamp) (shared.Reading, error) {
	if err := h.catchUp(ctx); err != nil {
		return shared.Reading{}, err
	}
	h.mu.Lock()
	for i := len(h.kept) - 1; i >= 0; i-- {
		if r := h.kept[i]; r.Epoch == head.Epoch && r.ID == head.ID {
			out := shared.Reading{Records: append([]shared.Record(nil), h.kept[i:]...), Run: h.run}
			h.mu.Unlock()
			return out, nil
		}
	}
	h.mu.Unlock()
	return h.log.Read(ctx, head)
}

// catchUp returns when a read has ended that was sent after it was called.
//
//  1. A read is under way when a child asks: it says nothing of what came after it was sent.
//  2. So the child waits for the next one, with all that ask meanwhile.
func (h *hub) catchUp(ctx context.Context) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return shared.ErrAway
	}
	r := h.next
	if r == nil {
		r = &reading{done: make(chan struct{})}
		h.next = r
		if !h.reads {
			h.reads = true
			h.work.Go(h.readAll)
		}
	}
	h.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readAll reads for as long as somebody asks. The tier's budget bounds each read.
func (h *hub) readAll() {
	for {
		h.mu.Lock()
		r := h.next
		h.next = nil
		if r == nil {
			h.reads = false
			h.mu.Unlock()
			return
		}
		h.mu.Unlock()
		r.err = h.advance(h.ctx)
		close(r.done)
	}
}

// advance reads the log to its end.
func (h *hub) advance(ctx context.Context) error {
	for {
		at := h.last()
		got, err := h.log.Read(ctx, at)
		if err != nil {
			return err
		}
		h.take(at, got)
		if !got.More || len(got.Records) < 2 {
			return nil
		}
	}
}

// last is the place up to which the log is kept.
func (h *hub) last() shared.Stamp {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.kept) == 0 {
		return shared.Stamp{}
	}
	r := h.kept[len(h.kept)-1]
	return shared.Stamp{Epoch: r.Epoch, ID: r.ID}
}

// take keeps what was read. What does not join on takes the place of all.
func (h *hub) take(from shared.Stamp, r shared.Reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	grew := len(r.Records) > 0
	switch {
	case len(r.Records) > 0 && (shared.Stamp{Epoch: r.Records[0].Epoch, ID: r.Records[0].ID}) == from:
		h.kept = append(h.kept, r.Records[1:]...)
		grew = len(r.Records) > 1
	default:
		h.kept = append([]shared.Record(nil), r.Records...)
	}
	if grew = grew || r.Run != h.run; grew {
		close(h.grown)
		h.grown = make(chan struct{})
	}
	h.run = r.Run
	if len(h.kept) > 2*keep {
		h.kept = append([]shared.Record(nil), h.kept[len(h.kept)-keep:]...)
	}
}

// follow returns when the log has grown beyond a child's place, or ctx ends. One follower serves all children.
func (h *hub) follow(ctx context.Context, head shared.Stamp) {
	h.mu.Lock()
	grown := h.grown
	if n := len(h.kept); n > 0 && h.kept[n-1].ID != head.ID {
		h.mu.Unlock()
		return // it has already
	}
	h.waiting++
	if !h.listening && !h.closed {
		h.listening = true
		h.work.Go(h.listen)
	}
	h.mu.Unlock()
	select {
	case <-grown:
	case <-ctx.Done():
	case <-h.ctx.Done():
	}
	h.mu.Lock()
	h.waiting--
	h.mu.Unlock()
}

// listen follows the log while children wait.
func (h *hub) listen() {
	for {
		listening, cancel := context.WithTimeout(h.ctx, followFor)
		err := h.log.Follow(listening, h.last().ID)
		cancel()
		if err == nil {
			err = h.catchUp(h.ctx)
		}
		h.mu.Lock()
		rest := wakeEvery - time.Since(h.woken)
		h.woken = time.Now()
		over := h.waiting == 0 || h.closed
		h.listening = !over
		h.mu.Unlock()
		if over {
			return
		}
		if err != nil {
			rest = max(rest, 100*time.Millisecond)
		}
		select {
		case <-time.After(rest):
		case <-h.ctx.Done():
		}
	}
}
