package httpcache

import (
	"context"
	"errors"
	"math"
	"net/http"
	"sync"
	"time"
)

// A body is the content of a response while it arrives and afterwards. One writes it; any number read
// it, each from its first byte and at a pace of its own. It is safe for concurrent use.
//
// Up to its limit everything stays, and nobody waits for anybody. A body that outgrows it will not be
// stored and becomes a window: the writer waits for the fastest reader, and for the others as long as
// patience; a reader that is then still half a window behind is cut off.
//
// What it takes in memory beyond a window is reserved in a budget: from when it comes until it is whole and
// nobody reads it.
type body struct {
	budget *bodies // nil: none

	mu      sync.Mutex // guards the fields below
	limit   int
	held    int64  // of the budget
	pins    int    // goroutines that send the whole body to a client
	data    []byte // what was written since base; never overwritten, so readers may keep slices
	base    int64  // what the window has dropped
	sealed  bool   // all of it is there, …
	whole   bool   // … and its readers know
	err     error
	trailer http.Header
	readers map[*reader]struct{}
	served  bool          // somebody has begun to read, or nobody will
	grew    chan struct{} // closed and renewed when a reader that waits can go on; nil: nobody waits
	unread  func()        // called when the last reader leaves a body that will not be stored, …
	linger  time.Duration // … or has left one that may be for so long
	first   *time.Timer   // gives up waiting for the first reader; nil: nobody waits for it
}

var (
	errTooSlow   = errors.New("httpcache: the reader fell too far behind a body that is too large to keep")
	errTooLarge  = errors.New("httpcache: the body is too large to be joined")
	errTruncated = errors.New("httpcache: the body broke off")

	// errNotTheRest: see [exchange.wholeAgain].
	errNotTheRest = errors.New("httpcache: the answer is not the rest of what is stored")
)

// newBody returns an empty body.
func newBody(limit int) *body { return &body{limit: limit} }

// grow makes room for what the origin announced, or -1.
func (b *body) grow(length int64) {
	if length > 0 && length <= int64(b.limit) {
		b.data = make([]byte, 0, length)
	}
}

// narrow makes a window of a body that will not be stored after all.
func (b *body) narrow(limit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = limit
	b.wake()
}

// firstReadWithin leaves a body that nobody begins to read, as its last reader would.
func (b *body) firstReadWithin(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.served || b.whole || b.err != nil {
		return
	}
	b.first = time.AfterFunc(d, func() {
		b.mu.Lock()
		left := b.unread
		if b.served || b.whole || b.err != nil {
			left = nil
		}
		b.mu.Unlock()
		if left != nil {
			left()
		}
	})
}

// begun stops waiting for the first reader: the timer would keep the body. The lock is held.
func (b *body) begun() {
	if b.first != nil {
		b.first.Stop()
		b.first = nil
	}
}

// wholeBody returns a body that is there.
func wholeBody(data []byte, trailer http.Header) *body {
	return &body{data: data, limit: len(data), sealed: true, whole: true, trailer: trailer}
}

// wake lets everybody look again. The lock is held.
func (b *body) wake() {
	if b.grew != nil {
		close(b.grew)
		b.grew = nil
	}
}

// changed is closed at the next change. The lock is held.
func (b *body) changed() <-chan struct{} {
	if b.grew == nil {
		b.grew = make(chan struct{})
	}
	return b.grew
}

// patience is how long the readers of a body too large to keep wait for the slowest of them.
const patience = time.Second

// write appends; p is copied. It waits only where the body has outgrown its limit.
func (b *body) write(ctx context.Context, p []byte) error {
	for cut := false; len(p) > 0; {
		n, wait, err := b.append(p, cut)
		if err != nil {
			return err
		}
		p, cut = p[n:], false
		if wait == nil {
			continue
		}
		timer := time.NewTimer(patience)
		select {
		case <-wait:
		case <-timer.C:
			cut = true
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		timer.Stop()
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *body) append(p []byte, cut bool) (n int, wait <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, nil, b.err
	}
	if len(b.data)+len(p) > b.limit && !b.slide(cut) {
		return 0, b.changed(), nil
	}
	n = min(len(p), max(b.limit-len(b.data), 0))
	b.data = append(b.data, p[:n]...)
	b.wake()
	return n, nil, nil
}

// slide makes room by dropping what every reader has read; with cut, what the fastest has read, and
// then a reader that is behind is cut off. It returns false if there is no room. The lock is held.
func (b *body) slide(cut bool) bool {
	half := b.base + int64(b.limit)/2
	slowest, fastest := int64(math.MaxInt64), b.base
	for r := range b.readers {
		if !r.cut {
			slowest, fastest = min(slowest, r.at), max(fastest, r.at)
		}
	}
	if fastest >= half && slowest < half && cut {
		slowest = half
	}
	if fastest < half || slowest < half {
		return len(b.data) < b.limit
	}
	for r := range b.readers {
		r.cut = r.cut || r.at < slowest
	}
	drop := min(slowest-b.base, int64(len(b.data)))
	b.data = append(make([]byte, 0, b.limit), b.data[drop:]...)
	b.base += drop
	return true
}

// prepare gets a body that has all its bytes ready to be stored: whoever finds it has it whole. Who reads it still waits
// for the end, so that a client that has read it and asks again gets a hit.
func (b *body) prepare(trailer http.Header) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trailer, b.sealed = trailer, true
	if cap(b.data)-len(b.data) > len(b.data)/8 {
		b.data = append(make([]byte, 0, len(b.data)), b.data...)
	}
}

// end makes the body whole, or says why it never will be. The first call counts.
func (b *body) end(err error, trailer http.Header) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return
	}
	b.whole, b.err, b.trailer = err == nil, err, trailer
	b.begun()
	b.wake()
	b.settleBudget()
}

// settle waits until the body is whole or has broken off, and says why; or until it has turned out too large
// to be stored, and can only be read while it arrives.
func (b *body) settle(ctx context.Context) error {
	for {
		settled, more, err := b.settled()
		if settled {
			return err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *body) settled() (ok bool, more <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.whole || b.err != nil || b.unread != nil && b.linger == 0 {
		return true, nil, b.err
	}
	return false, b.changed(), nil
}

// complete returns the whole body. ok is false while it grows, and where it has outgrown its limit.
func (b *body) complete() (data []byte, trailer http.Header, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data, b.trailer, (b.sealed || b.whole) && b.base == 0
}

// failure is why the body broke off, if it has.
func (b *body) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// length is how much was written.
func (b *body) length() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.base + int64(len(b.data))
}

// whenUnread has do called when nobody reads any more, because the body will not be stored.
func (b *body) whenUnread(do func()) {
	b.mu.Lock()
	b.unread, b.linger = do, 0
	b.wake()
	nobody := b.served && len(b.readers) == 0
	b.mu.Unlock()
	if nobody {
		do()
	}
}

// whenUnreadFor has do called when nobody has read for a while, though the body may be stored.
func (b *body) whenUnreadFor(d time.Duration, do func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unread, b.linger = do, d
}

// left is what to call when the last reader has left; nil while there is one. The lock is held.
func (b *body) left() func() {
	if len(b.readers) > 0 || b.whole || b.err != nil {
		return nil
	}
	do := b.unread
	if do == nil || b.linger == 0 {
		return do
	}
	time.AfterFunc(b.linger, func() {
		b.mu.Lock()
		still := len(b.readers) == 0 && !b.whole && b.err == nil
		b.mu.Unlock()
		if still {
			do()
		}
	})
	return nil
}

// A reader reads a body from its beginning. It must be closed.
type reader struct {
	body *body
	at   int64 // how far it has come …
	cut  bool  // … and whether that was too slow; both guarded by the body's mu
}

// read begins to read; it fails where the beginning is gone.
func (b *body) read() (*reader, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.base > 0 {
		return nil, errTooLarge
	}
	r := &reader{body: b}
	if !b.whole && b.err == nil {
		if b.readers == nil {
			b.readers = make(map[*reader]struct{})
		}
		b.readers[r] = struct{}{}
		b.served = true
		b.begun()
	}
	return r, nil
}

// next returns what has come since the last call; more is closed when there may be more, where there
// is nothing now. At the end both are nil, and err says whether the body is whole.
func (r *reader) next() (p []byte, more <-chan struct{}, err error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.cut {
		return nil, nil, errTooSlow
	}
	if p = b.data[r.at-b.base:]; len(p) > 0 {
		r.at += int64(len(p))
		if b.base > 0 || len(b.data) == b.limit && !b.whole {
			b.wake() // the writer may wait for this
		}
		return p[:len(p):len(p)], nil, nil
	}
	if b.whole || b.err != nil {
		return nil, nil, b.err
	}
	return nil, b.changed(), nil
}

func (r *reader) close() {
	b := r.body
	b.mu.Lock()
	delete(b.readers, r)
	left := b.left()
	b.wake()
	b.settleBudget()
	b.mu.Unlock()
	if left != nil {
		left()
	}
}
