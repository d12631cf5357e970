package replica

import (
	"testing"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// ledgerIn is a copy that has read an epoch's first record, of a log that others read too.
func ledgerIn(t *testing.T, epoch string) *Replica {
	t.Helper()
	r := &Replica{now: func() int64 { return 1 }, restarting: make(chan struct{}, 1)}
	r.ledger.init(Options{Tier: shared.NewMemory(), Retention: time.Hour})
	r.ledger.restart(shared.Reading{Epoch: epoch, Records: []shared.Record{{Fence: true, Epoch: epoch, ID: shared.ID{Ms: 1000}}}})
	return r
}

// invalidated has the copy invalidate a key, and the log of its epoch have it.
func invalidated(t *testing.T, r *Replica, key string) (shared.Target, uint64) {
	t.Helper()
	target := shared.Target{Kind: shared.KindKey, Name: key}
	n := r.ledger.note([]shared.Target{target}, shared.Remove)
	head, _ := r.ledger.place()
	rec := shared.Record{Epoch: head.Epoch, ID: shared.ID{Ms: head.ID.Ms + 1}, Target: target, Mode: shared.Remove, By: r.ledger.by(n)}
	if got := r.ledger.take(head, shared.Reading{Epoch: head.Epoch, Records: []shared.Record{{Fence: true, Epoch: head.Epoch, ID: head.ID}, rec}}); got != took {
		t.Fatal(got)
	}
	return target, n
}

// The copy is never in a log without what it owes to it: a reader that comes between "the log is another" and "what this node
// had acknowledged is appended again" finds nothing older.
func TestNoEpochWithoutWhatIsOwed(t *testing.T) {
	for name, moves := range map[string]func(l *ledger, head shared.Stamp, fence shared.Record){
		"a log that does not join on": func(l *ledger, _ shared.Stamp, fence shared.Record) {
			l.restart(shared.Reading{Epoch: fence.Epoch, Records: []shared.Record{fence}})
		},
		"a fence in the log that is read on": func(l *ledger, head shared.Stamp, fence shared.Record) {
			l.take(head, shared.Reading{Epoch: fence.Epoch, Records: []shared.Record{{Epoch: head.Epoch, ID: head.ID}, fence}})
		},
	} {
		t.Run(name, func(t *testing.T) { stillCounts(t, moves) })
	}
}

func stillCounts(t *testing.T, moves func(l *ledger, head shared.Stamp, fence shared.Record)) {
	r := ledgerIn(t, "E1")
	target, n := invalidated(t, r, "k")
	head, _ := r.ledger.place()
	if !r.ledger.acknowledge([]shared.Record{{Target: target, Mode: shared.Remove}}, head) {
		t.Fatal("it was not acknowledged")
	}
	r.ledger.settle(n)
	// Another node, whose clock is ahead, has stored what it began to load before.
	stamp := shared.Stamp{Epoch: "E2", ID: shared.ID{Ms: 9000}}
	moves(&r.ledger, head, shared.Record{Fence: true, Epoch: "E2", ID: stamp.ID})
	if v, _, _ := r.JudgeStamp("k", "c", nil, stamp); v == Valid {
		t.Error("what this node had invalidated is valid in the new log")
	}
	if v, _, _ := r.JudgeStamp("another", "c", nil, stamp); v != Valid {
		t.Error("what it had not is not")
	}
	owed := r.ledger.takeOwed()
	if len(owed) != 1 || len(owed[0].targets) != 1 || owed[0].targets[0] != target || len(r.ledger.takeOwed()) != 0 {
		t.Errorf("%+v is owed", owed)
	}
	r.ledger.settle(owed[0].number)
}

// What a log has acknowledged counts only while the copy is in it: else it would be lost with it, and owed to none.
func TestAcknowledgedInAnEpochThatIsLeft(t *testing.T) {
	r := ledgerIn(t, "E1")
	target, n := invalidated(t, r, "k")
	before, _ := r.ledger.place()
	r.ledger.restart(shared.Reading{Epoch: "E2", Records: []shared.Record{{Fence: true, Epoch: "E2", ID: shared.ID{Ms: 9000}}}})
	if r.ledger.acknowledge([]shared.Record{{Target: target, Mode: shared.Remove}}, before) {
		t.Error("it was acknowledged by a log that is left")
	}
	if v, _, _ := r.JudgeStamp("k", "c", nil, shared.Stamp{Epoch: "E2", ID: shared.ID{Ms: 9000}}); v == Valid {
		t.Error("it still waits, and does not count")
	}
	r.ledger.settle(n)
}
