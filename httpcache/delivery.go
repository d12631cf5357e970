package httpcache

import "sync/atomic"

// A delivery answers the client whose request leads a load. The load runs in that client's goroutine,
// which most often has nothing to do but wait for it: waking another for each miss costs more than the
// rest of the cache. Where the client must be answered before the load ends, because a body grows or
// time is up, it is answered beside it.
type delivery struct {
	do    func() bool
	begun atomic.Bool
	done  chan struct{}

	result   bool // these two are written before done is closed
	panicked any
}

func newDelivery(do func() bool) *delivery { return &delivery{do: do, done: make(chan struct{})} }

// beside begins to answer in a goroutine, unless that has begun. finish waits for it.
func (d *delivery) beside() {
	if d == nil || !d.begun.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer close(d.done)
		defer func() { d.panicked = recover() }()
		d.result = d.do()
	}()
}

// finish answers, or waits until that is done; a panic goes on in the client's own goroutine.
func (d *delivery) finish() bool {
	if d.begun.CompareAndSwap(false, true) {
		return d.do()
	}
	<-d.done
	if d.panicked != nil {
		panic(d.panicked)
	}
	return d.result
}
