package httpcache

import (
	"sync"
	"sync/atomic"
)

// A delivery answers the client whose request leads a load. The load runs in that client's goroutine,
// which most often has nothing to do but wait for it: waking another for each miss costs more than the
// rest of the cache. Where the client must be answered before the load ends, because a body grows or
// time is up, it is answered beside it.
type delivery struct {
	do    func() bool
	begun atomic.Bool
	way   sync.WaitGroup // the goroutine

	result   bool // these two are written before the goroutine ends
	panicked any
}

func newDelivery(do func() bool) *delivery { return &delivery{do: do} }

// startAsync begins to answer in a goroutine, unless that has begun. finish waits for it.
func (d *delivery) startAsync() {
	if d == nil || d.begun.Load() {
		return
	}
	d.way.Add(1) // before it is seen to have begun
	if !d.begun.CompareAndSwap(false, true) {
		d.way.Done()
		return
	}
	go func() {
		defer d.way.Done()
		defer func() { d.panicked = recover() }()
		d.result = d.do()
	}()
}

// finish answers, or waits until that is done; a panic goes on in the client's own goroutine.
func (d *delivery) finish() bool {
	if d.begun.CompareAndSwap(false, true) {
		return d.do()
	}
	d.way.Wait()
	if d.panicked != nil {
		panic(d.panicked)
	}
	return d.result
}
