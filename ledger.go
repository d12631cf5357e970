package forebay

import (
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/shared"
)

// A ledger is what a node knows of the log: for each target the place of its last remove and of
// its last expire, and how far it has read.
//
// A place has two coordinates. The number is this node's own: it counts what the node learns, and
// the near tier and the flights use nothing else. The ID is the place in the log, by which entries
// of the shared tier are judged. An invalidation of this node takes its number at once and its ID
// when the log has answered.
type ledger struct {
	// number is the last one taken. Entries judged valid at this number need no second look, so a
	// near hit compares one word. It is stored after the mark it counts, with mu held.
	number atomic.Uint64
	// behind: the log goes on beyond the head, by more than one answer holds. It is stored with mu held.
	behind atomic.Bool

	me        string              // begins the By of this node's records, before the number that each took
	learned   func(shared.Record) // is told each record of another node, under the lock; may be nil
	ring      *codec.Keyring      // what a record must be written with; nil: anything
	size      int                 // targets held at most
	retention time.Duration       // after which a mark has outlived every entry before it

	mu       sync.RWMutex // guards what follows
	head     shared.Stamp // the last record read
	run      string       // the server's run that wrote it
	left     []string     // the epochs that it was in before, the latest last
	floor    place        // entries from before it count for nothing
	all      mark
	classes  map[string]*mark
	keys     map[string]*mark
	tags     map[string]*mark
	patterns map[string]*mark
	aging    []aged // targets in the order of their last change, the oldest first

	// pending holds the numbers of this node's invalidations that the log does not have yet, the
	// oldest first.
	pending    []uint64
	unreadable uint64 // records that counted as everything
	old        bool   // what is read now was there before this node: it is no news
}

type place struct {
	n  uint64
	id shared.ID
}

func (p *place) raise(q place) {
	p.n = max(p.n, q.n)
	if p.id.Compare(q.id) < 0 {
		p.id = q.id
	}
}

// A mark keeps two places: a later expire must not hide an earlier remove.
type mark struct{ remove, expire place }

func (m *mark) last() uint64 { return max(m.remove.n, m.expire.n) }

func (m *mark) raise(o mark) {
	m.remove.raise(o.remove)
	m.expire.raise(o.expire)
}

// newest returns the ID of the later change, zero while the log has not answered.
func (m *mark) newest() shared.ID {
	if m.remove.n > m.expire.n {
		return m.remove.id
	}
	return m.expire.id
}

// aged is a target's line in the order of age. It is void once the target has a later change.
type aged struct {
	target Target
	n      uint64
}

// A verdict is what the log says of an entry.
type verdict uint8

const (
	valid verdict = iota
	expired
	removed
)

// ledgerSize is the default bound on targets: about 150 B each.
const ledgerSize = 100_000

func newLedger(size int, retention time.Duration) *ledger {
	l := &ledger{
		size: size, retention: retention, me: rand.Text()[:12] + ".",
		classes: map[string]*mark{}, keys: map[string]*mark{}, tags: map[string]*mark{}, patterns: map[string]*mark{},
	}
	l.number.Store(1) // so that an entry's zero is older than everything
	return l
}

// note makes an invalidation count on this node, before the log has it (rule 4), and returns its number.
func (l *ledger) note(targets []Target, mode Mode) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.number.Load() + 1
	for _, t := range targets {
		l.markLocked(t, mode, place{n: n})
	}
	l.pruneLocked()
	l.pending = append(l.pending, n)
	l.number.Store(n)
	return n
}

// settle says that the log has the invalidations of these numbers, and that the ledger has read them.
func (l *ledger) settle(numbers ...uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	settled := make(map[uint64]bool, len(numbers))
	for _, n := range numbers {
		settled[n] = true
	}
	for len(l.pending) > 0 && settled[l.pending[0]] { // nearly always the oldest, and there may be very many
		delete(settled, l.pending[0])
		l.pending = l.pending[1:]
	}
	if delete(settled, 0); len(settled) > 0 {
		l.pending = slices.DeleteFunc(l.pending, func(n uint64) bool { return settled[n] })
	}
}

// A joint says how an answer of the log joins on to the ledger.
type joint uint8

const (
	joined joint = iota // it was taken
	moved               // the ledger has gone on to another epoch since it asked: ask again
	lost                // the record at the head is not there: nothing was taken, and restart must follow
)

// by is the By of an invalidation of this node. The node knows it again by it, whoever reads it first:
//
//  1. A node invalidates, under a number, and its record is in the log.
//  2. Its follower reads the record before the append is answered.
//  3. Taken for another's, the record would count as later than what [Func.Put] has just stored.
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

// take reads an answer of the log into the ledger. asked is the head that the log was asked from. The
// ledger may have moved on since it asked: what it has read already is passed over.
func (l *ledger) take(asked shared.Stamp, r shared.Reading) joint {
	l.mu.Lock()
	defer l.mu.Unlock()
	ok := len(r.Records) > 0 && asked != (shared.Stamp{}) && asked == (shared.Stamp{Epoch: r.Records[0].Epoch, ID: r.Records[0].ID})
	switch {
	case ok && asked.Epoch == l.head.Epoch:
		before, learned := l.head, l.learned
		if l.old {
			learned = nil
		}
		l.takeLocked(r, learned)
		if atEnd := l.head.ID == r.Records[len(r.Records)-1].ID; atEnd && (!r.More || l.head != before) {
			l.behind.Store(r.More) // else this answer is older than what another has read
			l.old = l.old && r.More
		}
		return joined
	case asked != l.head:
		return moved
	}
	return lost
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
	l.old = r.More
	l.behind.Store(r.More)
	l.number.Store(max(n, l.number.Load()))
}

func (l *ledger) takeLocked(r shared.Reading, learned func(shared.Record)) {
	for _, rec := range r.Records {
		if l.head.Epoch == rec.Epoch && rec.ID.Compare(l.head.ID) <= 0 {
			continue
		}
		rec = l.doubtful(rec)
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

// doubtful makes of a record that no node of ours wrote, or that nobody can read, what is right in any case: it
// removes everything.
func (l *ledger) doubtful(rec shared.Record) shared.Record {
	if l.ring != nil && !rec.Fence && !l.ring.Wrote(rec) {
		rec.Unreadable = true
	}
	if rec.Unreadable {
		rec.Target, rec.Mode, rec.By = Everything(), Remove, ""
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

func (l *ledger) markLocked(t Target, mode Mode, at place) {
	m := l.markOfLocked(t)
	before := m.last()
	if mode == Expire {
		m.expire.raise(at)
	} else {
		m.remove.raise(at)
	}
	if t.Kind == shared.KindAll || t.Kind == shared.KindClass {
		return // few, and kept for ever
	}
	if m.last() != before {
		l.aging = append(l.aging, aged{t, m.last()})
	}
}

// table returns where the marks of a kind of target are kept.
func (l *ledger) table(k shared.Kind) map[string]*mark {
	switch k {
	case shared.KindKey:
		return l.keys
	case shared.KindTag:
		return l.tags
	case shared.KindPattern:
		return l.patterns
	}
	return l.classes
}

func (l *ledger) markOfLocked(t Target) *mark {
	if t.Kind == shared.KindAll {
		return &l.all
	}
	table := l.table(t.Kind)
	m := table[t.Name]
	if m == nil {
		m = &mark{}
		table[t.Name] = m
	}
	return m
}

// judge says what has happened to an entry since the number it was last known to be valid at.
// No class and no tags where they are not known yet.
func (l *ledger) judge(key, class string, tags []string, since uint64) (verdict, uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	now := l.number.Load()
	if l.floor.n > since {
		return removed, now
	}
	v := valid
	for m := range l.marksLocked(key, class, tags) {
		if m.remove.n > since {
			return removed, now
		}
		if m.expire.n > since {
			v = expired
		}
	}
	return v, now
}

// judgeStamp says what has happened to an entry of the shared tier since its stamp, and the number
// that this was true at. ahead: the entry was loaded beyond what this node has read.
func (l *ledger) judgeStamp(e *codec.Envelope) (v verdict, number uint64, ahead bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	// What this node has invalidated and the log does not have yet has no place to compare with. The
	// entry is therefore judged, and later known, as of just before the oldest of those:
	//
	//  1. A notes its invalidation, under the next number.
	//  2. B reads the older entry from the shared tier; the mark has no place in the log yet.
	//  3. A's invalidation is acknowledged. Had B's entry the number of now, it would be valid for ever.
	number = l.number.Load()
	if len(l.pending) > 0 {
		number = l.pending[0] - 1
	}
	if e.Stamp.Epoch != l.head.Epoch || e.Stamp.ID.Compare(l.floor.id) < 0 {
		return removed, number, false
	}
	for m := range l.marksLocked(e.Key, e.Class, e.Tags) {
		if e.Stamp.ID.Compare(m.remove.id) < 0 || m.remove.n > number {
			return removed, number, false
		}
		if e.Stamp.ID.Compare(m.expire.id) < 0 || m.expire.n > number {
			v = expired
		}
	}
	return v, number, l.head.ID.Compare(e.Stamp.ID) < 0
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

// maxLeft bounds the epochs that are remembered: they change with failovers.
const maxLeft = 16

// leaveLocked remembers an epoch that the log was in, and forgets that the one that it is in now was left:
// a log that is read from its beginning goes through all of them.
func (l *ledger) leaveLocked(from, to string) {
	l.left = slices.DeleteFunc(l.left, func(e string) bool { return e == from || e == to })
	if from != "" {
		l.left = append(l.left, from)
	}
	if len(l.left) > maxLeft {
		l.left = slices.Delete(l.left, 0, len(l.left)-maxLeft)
	}
}

// leftEpochs are the epochs that the log was in before.
func (l *ledger) leftEpochs() []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(l.left), func(e string) bool { return e == l.head.Epoch })
}

// writtenBy returns the run of the server that wrote the newest record read.
func (l *ledger) writtenBy() string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.run
}

// epoch returns the epoch that the ledger is in.
func (l *ledger) epoch() string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.head.Epoch
}

// place returns the head and the number, as a load needs them before it begins (rule 2).
func (l *ledger) place() (shared.Stamp, uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.head, l.number.Load()
}
