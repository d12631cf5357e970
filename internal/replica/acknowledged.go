package replica

import (
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// acknowledged remembers which of this node's invalidations were acknowledged in which epoch, so that they can be
// appended again when it ends: its log may have been that of a dying master.
//
// It is a part of the ledger, under its lock, so that the copy never is in an epoch without what it owes to that:
//
//  1. A's invalidation is acknowledged by a dying master. B, which follows the new one already, stores what it had begun to
//     load before.
//  2. A reads the new log: what it has invalidated has no place there.
//  3. Before A appends it again, a reader of A finds B's entry: it would be valid.
type acknowledged struct {
	latest string // the epoch that was asked for last
	held   map[ackKey]ack
	owed   []owed // what the journal has not yet
}

// owed is an invalidation that has taken a number again.
type owed struct {
	targets []shared.Target
	mode    shared.Mode
	number  uint64
}

type ackKey struct {
	target shared.Target
	mode   shared.Mode
}

type ack struct {
	epoch string
	at    time.Time
}

// maxAcknowledged bounds them; beyond it keys and patterns are remembered by their class, and everything else as
// everything.
const maxAcknowledged = 10_000

func (a *acknowledged) add(records []shared.Record, epoch string) {
	if a.held == nil {
		a.held = map[ackKey]ack{}
	}
	for _, r := range records {
		a.held[ackKey{r.Target, r.Mode}] = ack{epoch, time.Now()}
	}
	if len(a.held) <= maxAcknowledged {
		return
	}
	coarser := map[ackKey]ack{}
	for k, v := range a.held {
		t := shared.Target{Kind: shared.KindAll}
		if class := k.target.Class(); class != "" {
			t = shared.Target{Kind: shared.KindClass, Name: class}
		}
		coarser[ackKey{t, shared.Remove}] = v
	}
	a.held = coarser
}

// takeEarlier takes out what was acknowledged in epochs other than this one, by mode, where an entry from before it
// can still be of use.
func (a *acknowledged) takeEarlier(epoch string, life time.Duration) map[shared.Mode][]shared.Target {
	if a.latest == epoch {
		return nil
	}
	a.latest = epoch
	out := map[shared.Mode][]shared.Target{}
	for k, v := range a.held {
		if v.epoch == epoch {
			continue
		}
		delete(a.held, k)
		if time.Since(v.at) < life {
			out[k.mode] = append(out[k.mode], k.target)
		}
	}
	return out
}

// acknowledge remembers that the log has records of this node up to a place, if the copy is in that log still and has read
// so far.
func (l *ledger) acknowledge(records []shared.Record, last shared.Stamp) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head.Epoch != last.Epoch || l.head.ID.Compare(last.ID) < 0 {
		return false
	}
	if l.shared {
		l.acknowledged.add(records, last.Epoch)
	}
	return true
}

// oweLocked has what was acknowledged in earlier epochs count as not appended again, from the moment on at which the copy
// is in another (rule 10). The lock is held.
func (l *ledger) oweLocked() {
	for mode, targets := range l.acknowledged.takeEarlier(l.head.Epoch, l.keeps()) {
		l.acknowledged.owed = append(l.acknowledged.owed, owed{targets, mode, l.noteLocked(targets, mode)})
		l.owing.Add(1)
	}
}

// takeOwed is what the journal has to have.
func (l *ledger) takeOwed() []owed {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.acknowledged.owed
	l.acknowledged.owed = nil
	return out
}
