package replica

import (
	"crypto/rand"
	"slices"
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
	// owing counts what the journal has to have. It is raised with mu held.
	owing atomic.Int64

	// What is set once, by init.
	me        string              // begins the By of this node's records, before the number that each took
	learned   func(shared.Record) // told each record of another node, under the lock; may be nil
	keyring   *codec.Keyring      // that records must be written with; nil: any record counts
	size      int                 // targets held at most
	shared    bool                // others read the log
	retention atomic.Int64        // after which a mark has outlived every entry before it, in nanoseconds

	mu       sync.RWMutex // guards the fields below
	head     shared.Stamp // the last record read
	run      string       // the server's run that wrote it
	left     []string     // the epochs that it was in before, the latest last
	floor    place        // entries from before it count for nothing
	all      mark         // of everything; the others by the name of their target
	classes  map[string]*mark
	keys     map[string]*mark
	tags     map[string]*mark
	patterns map[string]*mark
	aging    []aged // targets in the order of their last change, the oldest first

	// pending holds the numbers of this node's invalidations that the log does not have yet, the
	// oldest first.
	pending      []uint64
	acknowledged acknowledged
	unreadable   uint64 // records that counted as everything
	replaying    bool   // reading history from before this node knew the log: not reported to learned
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
	target shared.Target
	n      uint64
}

const (
	// defaultTargets is the default bound on targets: about 150 B each.
	defaultTargets = 100_000
	// maxEpochs bounds the epochs that are remembered: they change with failovers.
	maxEpochs = 16
)

func (l *ledger) init(o Options) {
	l.me = rand.Text()[:12] + "."
	l.learned, l.keyring, l.size, l.shared = o.Learned, o.Keys, o.Targets, o.Tier != nil
	l.retention.Store(int64(o.Retention))
	if l.size == 0 {
		l.size = defaultTargets
	}
	l.classes, l.keys, l.tags, l.patterns = map[string]*mark{}, map[string]*mark{}, map[string]*mark{}, map[string]*mark{}
	l.number.Store(1) // so that an entry's zero is older than everything
}

// keeps is for how long marks are kept.
func (l *ledger) keeps() time.Duration { return time.Duration(l.retention.Load()) }

// Retain has marks kept for at least so long: entries may live for longer from now on.
func (r *Replica) Retain(d time.Duration) {
	for {
		old := r.ledger.retention.Load()
		if int64(d) <= old || r.ledger.retention.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// note makes an invalidation count on this node, before the log has it (rule 4), and returns its number.
func (l *ledger) note(targets []shared.Target, mode shared.Mode) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noteLocked(targets, mode)
}

func (l *ledger) noteLocked(targets []shared.Target, mode shared.Mode) uint64 {
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

func (l *ledger) markLocked(t shared.Target, mode shared.Mode, at place) {
	m := l.markOfLocked(t)
	before := m.last()
	if mode == shared.Expire {
		m.expire.raise(at)
	} else {
		m.remove.raise(at)
	}
	if t.Kind == shared.KindAll || t.Kind == shared.KindClass {
		return // few, and kept forever
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

func (l *ledger) markOfLocked(t shared.Target) *mark {
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

// leaveLocked remembers an epoch that the log was in, and forgets that the one that it is in now was left:
// a log that is read from its beginning goes through all of them.
func (l *ledger) leaveLocked(from, to string) {
	l.left = slices.DeleteFunc(l.left, func(e string) bool { return e == from || e == to })
	if from != "" {
		l.left = append(l.left, from)
	}
	if len(l.left) > maxEpochs {
		l.left = slices.Delete(l.left, 0, len(l.left)-maxEpochs)
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

// place returns the head and the number.
func (l *ledger) place() (shared.Stamp, uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.head, l.number.Load()
}

func (l *ledger) stats() Stats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return Stats{
		Head: l.head, Floor: l.floor.id,
		Targets: len(l.classes) + len(l.keys) + len(l.tags) + len(l.patterns), Unreadable: l.unreadable,
	}
}
