package forebay

import (
	"time"

	"github.com/forebay-cache/forebay/internal/replica"
	"github.com/maypok86/otter/v2"
)

// The near tier holds decoded values in this process, bounded in bytes. Its clock is coarse,
// because it only removes: whether an entry may be served is decided by the entry's own times.
type near struct {
	tier    *otter.Cache[string, *entry]
	clock   *otter.CoarseClock
	replica *replica.Replica
	bytes   uint64
}

// coarse is the resolution of the clock that removes expired entries.
const coarse = time.Second

func newNear(bytes uint64, r *replica.Replica, evicted func(*entry)) (*near, error) {
	n := &near{clock: otter.NewCoarseClock(coarse), replica: r, bytes: bytes}
	var err error
	n.tier, err = otter.New(&otter.Options[string, *entry]{
		MaximumWeight: bytes,
		Weigher:       func(_ string, e *entry) uint32 { return e.weight },
		Clock:         n.clock,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(o otter.Entry[string, *entry]) time.Duration {
			// The clock is late by up to its resolution at either end.
			return time.Duration(o.Value.dead-o.Value.created) + 2*coarse
		}),
		OnAtomicDeletion: func(d otter.DeletionEvent[string, *entry]) {
			d.Value.space.class.entries.Add(-1)
			if d.Cause == otter.CauseOverflow {
				evicted(d.Value)
			}
		},
	})
	return n, err
}

// get returns the entry of a key and what may be done with it; nil if there is nothing to serve.
// The key may be the caller's scratch memory: it is not kept.
func (n *near) get(key string, now int64) (*entry, state) {
	e, ok := n.tier.GetIfPresent(key)
	if !ok {
		return nil, isDead
	}
	if e.number.Load() == n.replica.Number() {
		if now < e.refreshFrom {
			return e, isFresh
		}
		return e, e.stateAt(now, replica.Valid)
	}
	return n.judge(e, now)
}

// judge asks the ledger, which has moved since the entry was last judged. A dead entry is returned
// with its state, so that the caller can say why there was no hit.
func (n *near) judge(e *entry, now int64) (*entry, state) {
	v, number := n.replica.Judge(e.key, e.space.class.Name, e.tags, e.number.Load())
	switch v {
	case replica.Valid:
		// Two callers may store their numbers in either order; the older one only costs a look.
		e.number.Store(number)
	case replica.Removed:
		n.drop(e)
	}
	return e, e.stateAt(now, v)
}

// put stores an entry, unless it was invalidated since its load began. That is judged and done in one step
// for the key, so that an older load never takes the place of a newer answer:
//
//  1. The old load's entry is judged valid.
//  2. An invalidation comes, and a new load, or [Func.Put], stores its entry.
//  3. The old entry would be put over it.
func (n *near) put(e *entry) (stored bool) {
	n.tier.Compute(e.key, func(old *entry, found bool) (*entry, otter.ComputeOp) {
		if v, _ := n.replica.Judge(e.key, e.space.class.Name, e.tags, e.number.Load()); v != replica.Valid {
			return old, otter.CancelOp
		}
		stored = true
		e.space.class.entries.Add(1)
		return e, otter.WriteOp
	})
	return stored
}

// replace puts an entry in the place of another, unless that has gone meanwhile, or was invalidated.
func (n *near) replace(old, e *entry) (replaced bool) {
	n.tier.ComputeIfPresent(e.key, func(there *entry) (*entry, otter.ComputeOp) {
		if v, _ := n.replica.Judge(e.key, e.space.class.Name, e.tags, e.number.Load()); there != old || v != replica.Valid {
			return there, otter.CancelOp
		}
		replaced = true
		e.space.class.entries.Add(1)
		return e, otter.WriteOp
	})
	return replaced
}

// drop removes the entry, unless another has taken its place.
func (n *near) drop(e *entry) {
	n.tier.ComputeIfPresent(e.key, func(old *entry) (*entry, otter.ComputeOp) {
		if old != e {
			return old, otter.CancelOp
		}
		return nil, otter.InvalidateOp
	})
}

// sweep removes what invalidations left behind, so that it takes no room. Reads never need it.
func (n *near) sweep(stop <-chan struct{}) {
	for _, e := range n.tier.All() {
		select {
		case <-stop:
			return
		default:
		}
		n.judge(e, e.created)
	}
}

// close empties the tier, so that nothing is a hit any more.
func (n *near) close() {
	n.tier.InvalidateAll()
	n.tier.StopAllGoroutines()
	n.clock.Stop()
}
