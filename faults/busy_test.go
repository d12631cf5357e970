package faults

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
)

// Busy keys are asked for all the time by every node, live for a moment, and are never invalidated: of each,
// one load at a time is all that the nodes need, and who holds the lease makes it.
const (
	busyKeys = 8
	busyLoad = 400 * time.Millisecond
	busyTTL  = 10 * time.Millisecond

	// leaseLife is how long a lease outlives a holder who does not renew it.
	leaseLife = 3 * time.Second
)

// busy is the origin's view of them.
type busy struct {
	t    *testing.T
	seen *atomic.Bool // something that proves the cache wrong

	mu      sync.Mutex // guards the fields below
	leased  [busyKeys]int
	loads   int
	quiet   time.Time // no server, and no way to it, was broken since
	twice   string    // the first time that two holders of one lease loaded
	touched bool      // something is broken now
}

// load makes one load. leased says that the node which makes it holds the lease.
func (b *busy) load(ctx context.Context, i int, leased bool) error {
	b.begin(i, leased)
	defer b.end(i, leased)
	select {
	case <-time.After(busyLoad):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *busy) begin(i int, leased bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loads++
	if !leased {
		return
	}
	if b.leased[i]++; b.leased[i] > 1 && !b.touched && time.Since(b.quiet) > 2*leaseLife && b.twice == "" {
		b.seen.Store(true)
		b.twice = fmt.Sprintf("busy key %d is loaded by two nodes that hold its lease", i)
	}
}

func (b *busy) end(i int, leased bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if leased {
		b.leased[i]--
	}
}

// breaks notes that a server, or the way to it, is broken until mended is called: a lease may be lost.
func (b *busy) breaks() (mended func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.touched = true
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.touched, b.quiet = false, time.Now()
	}
}

func (b *busy) check() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.twice != "" {
		b.t.Errorf("not linearizable: %s", b.twice)
	}
	b.t.Logf("%d loads of busy keys", b.loads)
}

type leasedKey struct{}

// noting returns a context whose loads know whether they hold the lease.
func noting(ctx context.Context) context.Context {
	var held atomic.Bool
	return forebay.WithTrace(context.WithValue(ctx, leasedKey{}, &held), &forebay.Trace{Step: func(_ context.Context, s forebay.Step) {
		if s.Stage == forebay.StageLease {
			held.Store(s.Found == "taken")
		}
	}})
}

func holdsLease(ctx context.Context) bool {
	held, _ := ctx.Value(leasedKey{}).(*atomic.Bool)
	return held != nil && held.Load()
}

// askBusy asks for the busy keys until ctx ends.
func (n checkNode) askBusy(ctx context.Context) {
	var all sync.WaitGroup
	for i := range busyKeys {
		all.Go(func() {
			for ctx.Err() == nil {
				n.busy.Get(noting(ctx), i)
				time.Sleep(busyTTL)
			}
		})
	}
	all.Wait()
}
