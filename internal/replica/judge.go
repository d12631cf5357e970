package replica

import "github.com/forebay-cache/forebay/shared"

// A Verdict is what the log says of an entry.
type Verdict uint8

const (
	Valid   Verdict = iota
	Expired         // may be served while it is loaded again, or when that fails
	Removed
)

// Place returns the head and the number, which a load needs from before it begins (rule 2).
func (r *Replica) Place() (shared.Stamp, uint64) { return r.ledger.place() }

// Epoch is the one that the copy is in.
func (r *Replica) Epoch() string { return r.ledger.epoch() }

// Judge says what has happened to an entry of this node since the number at which it was last known to be valid,
// and at which number this is true. class and tags may be empty where they are not known yet.
func (r *Replica) Judge(key, class string, tags []string, since uint64) (Verdict, uint64) {
	l := &r.ledger
	l.mu.RLock()
	defer l.mu.RUnlock()
	now := l.number.Load()
	if l.floor.n > since {
		return Removed, now
	}
	v := Valid
	for m := range l.marksLocked(key, class, tags) {
		if m.remove.n > since {
			return Removed, now
		}
		if m.expire.n > since {
			v = Expired
		}
	}
	return v, now
}

// JudgeStamp says what has happened to an entry of the shared tier since its stamp, and at which number this is
// true. ahead: the entry was loaded beyond what this node has read of the log.
func (r *Replica) JudgeStamp(key, class string, tags []string, stamp shared.Stamp) (v Verdict, number uint64, ahead bool) {
	l := &r.ledger
	l.mu.RLock()
	defer l.mu.RUnlock()
	// What this node has invalidated and the log does not have yet has no place to compare with. The
	// entry is therefore judged, and later known, as of just before the oldest of those:
	//
	//  1. A notes its invalidation, under the next number.
	//  2. B reads the older entry from the shared tier; the mark has no place in the log yet.
	//  3. A's invalidation is acknowledged. Had B's entry the number of now, it would be valid forever.
	number = l.number.Load()
	if len(l.pending) > 0 {
		number = l.pending[0] - 1
	}
	if stamp.Epoch != l.head.Epoch || stamp.ID.Compare(l.floor.id) < 0 {
		return Removed, number, false
	}
	for m := range l.marksLocked(key, class, tags) {
		if stamp.ID.Compare(m.remove.id) < 0 || m.remove.n > number {
			return Removed, number, false
		}
		if stamp.ID.Compare(m.expire.id) < 0 || m.expire.n > number {
			v = Expired
		}
	}
	return v, number, l.head.ID.Compare(stamp.ID) < 0
}

// marksLocked yields the marks of every target that covers an entry.
func (l *ledger) marksLocked(key, class string, tags []string) func(func(*mark) bool) {
	return func(yield func(*mark) bool) {
		if !yield(&l.all) {
			return
		}
		if m := l.classes[class]; m != nil && !yield(m) {
			return
		}
		if m := l.keys[key]; m != nil && !yield(m) {
			return
		}
		for _, t := range tags {
			if m := l.tags[t]; m != nil && !yield(m) {
				return
			}
		}
		for p, m := range l.patterns {
			if shared.MatchPattern(p, key) && !yield(m) {
				return
			}
		}
	}
}
