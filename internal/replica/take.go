package replica

import (
	"strconv"
	"strings"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/shared"
)

// A takeResult says how an answer of the log joins on to the ledger.
type takeResult uint8

const (
	took  takeResult = iota
	stale            // nothing was taken: the ledger has gone on to another epoch since the question; ask again
	gap              // nothing was taken: the record at the head is not there; restart must follow
)

// take reads an answer of the log into the ledger. asked is the head that the log was asked from. The
// ledger may have moved on since it asked: what it has read already is passed over.
func (l *ledger) take(asked shared.Stamp, r shared.Reading) takeResult {
	l.mu.Lock()
	defer l.mu.Unlock()
	ok := len(r.Records) > 0 && asked != (shared.Stamp{}) && asked == (shared.Stamp{Epoch: r.Records[0].Epoch, ID: r.Records[0].ID})
	switch {
	case ok && asked.Epoch == l.head.Epoch:
		before, learned := l.head, l.learned
		if l.replaying {
			learned = nil
		}
		l.takeLocked(r, learned)
		l.oweLocked()
		if atEnd := l.head.ID == r.Records[len(r.Records)-1].ID; atEnd && (!r.More || l.head != before) {
			l.behind.Store(r.More) // otherwise this answer is older than what another goroutine has read
			l.replaying = l.replaying && r.More
		}
		return took
	case asked != l.head:
		return stale
	}
	return gap
}

// restart reads a log that does not join on to what the ledger knows, from its beginning: nothing
// that was loaded before is known to be valid any more (rule 3).
func (l *ledger) restart(r shared.Reading) {
	if len(r.Records) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// The places of the lost log mean nothing in this one; its numbers still do, on this node.
	for _, table := range []map[string]*mark{l.keys, l.tags, l.classes, l.patterns} {
		for _, m := range table {
			m.remove.id, m.expire.id = shared.ID{}, shared.ID{}
		}
	}
	l.all.remove.id, l.all.expire.id = shared.ID{}, shared.ID{}
	n := l.number.Load() + 1
	if l.head != (shared.Stamp{}) && l.learned != nil {
		l.learned(shared.Record{ID: r.Records[0].ID, Epoch: r.Records[0].Epoch, Fence: true})
	}
	l.leaveLocked(l.head.Epoch, "")
	l.head, l.floor = shared.Stamp{}, place{n: n, id: r.Records[0].ID}
	l.takeLocked(r, nil)
	l.replaying = r.More
	l.behind.Store(r.More)
	l.number.Store(max(n, l.number.Load()))
	l.oweLocked()
}

func (l *ledger) takeLocked(r shared.Reading, learned func(shared.Record)) {
	for _, rec := range r.Records {
		if l.head.Epoch == rec.Epoch && rec.ID.Compare(l.head.ID) <= 0 {
			continue
		}
		rec = l.trusted(rec)
		if rec.Unreadable {
			l.unreadable++
		}
		l.applyLocked(rec)
		if _, own := l.own(rec); learned != nil && !own {
			learned(rec)
		}
	}
	l.pruneLocked()
}

// trusted returns a record as it is, or the removal of everything for one that cannot be read, or that no node with
// one of the keys wrote: that is right whatever it was.
func (l *ledger) trusted(rec shared.Record) shared.Record {
	if l.keyring != nil && !rec.Fence && !l.keyring.Wrote(rec) {
		rec.Unreadable = true
	}
	if rec.Unreadable {
		rec.Target, rec.Mode, rec.By = shared.Target{Kind: shared.KindAll}, shared.Remove, ""
	}
	return rec
}

func (l *ledger) applyLocked(rec shared.Record) {
	n, own := l.own(rec)
	if !own {
		n = l.number.Load() + 1
	}
	switch {
	case rec.Fence:
		l.floor = place{n: n, id: rec.ID}
	default:
		l.markLocked(rec.Target, rec.Mode, place{n: n, id: rec.ID})
	}
	if l.head.Epoch != rec.Epoch {
		l.leaveLocked(l.head.Epoch, rec.Epoch)
	}
	l.head, l.run = shared.Stamp{Epoch: rec.Epoch, ID: rec.ID}, rec.Run
	if !own {
		l.number.Store(n)
	}
}

// by is the By of an invalidation of this node, by which the node recognizes its own records:
//
//  1. A node invalidates, under a number, and its record is in the log.
//  2. Its follower reads the record before the append is answered.
//  3. Taken for another node's, the record would count as later than what a Put has just stored.
func (l *ledger) by(number uint64) string { return l.me + strconv.FormatUint(number, 36) }

// own returns the number that an invalidation of this node took, and counts by already.
func (l *ledger) own(r shared.Record) (uint64, bool) {
	digits, ok := strings.CutPrefix(r.By, l.me)
	if !ok {
		return 0, false
	}
	digits, _, _ = strings.Cut(digits, codec.SignMark)
	n, err := strconv.ParseUint(digits, 36, 64)
	return n, err == nil
}
