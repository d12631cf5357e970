package replica

import "github.com/forebay-cache/forebay/shared"

// maxPatterns bounds the patterns, because each is compared with each key that is judged.
const maxPatterns = 256

// pruneLocked keeps the ledger within its bounds. What leaves it raises the floor, by age, or
// becomes coarser, for room: a key or pattern becomes its class, and only when nothing but tags
// is left does the floor of everything rise (rule 6).
func (l *ledger) pruneLocked() {
	cut := uint64(0)
	if ms := uint64(l.keeps().Milliseconds()); l.head.ID.Ms > ms {
		cut = l.head.ID.Ms - ms
	}
	for ; len(l.aging) > 0; l.aging = l.aging[1:] {
		m := l.liveLocked(l.aging[0])
		if m == nil {
			continue
		}
		waits := len(l.pending) > 0 && m.last() >= l.pending[0] // the floor of a new log says nothing of what is not in it yet
		if id := m.newest(); waits || m.last() > l.floor.n && (id == (shared.ID{}) || id.Ms >= cut) {
			break
		}
		l.dropLocked(l.aging[0])
		l.floor.raise(m.remove)
		l.floor.raise(m.expire)
	}
	for len(l.patterns) > maxPatterns {
		l.coarsenLocked(shared.KindPattern)
	}
	for len(l.keys)+len(l.tags)+len(l.patterns) > l.size {
		switch {
		case len(l.keys) > 0:
			l.coarsenLocked(shared.KindKey)
		case len(l.patterns) > 0:
			l.coarsenLocked(shared.KindPattern)
		default:
			l.coarsenLocked(shared.KindTag)
		}
	}
	if len(l.aging) > 4*l.size {
		l.compactLocked()
	}
}

// liveLocked returns the mark that a line stands for, or nil if the line is void.
func (l *ledger) liveLocked(a aged) *mark {
	if m := l.table(a.target.Kind)[a.target.Name]; m != nil && m.last() == a.n {
		return m
	}
	return nil
}

func (l *ledger) dropLocked(a aged) { delete(l.table(a.target.Kind), a.target.Name) }

// coarsenLocked makes the oldest quarter of a kind's targets coarser, so that the walk over the
// order of age is paid once for many.
func (l *ledger) coarsenLocked(kind shared.Kind) {
	todo := max(1, len(l.table(kind))/4)
	kept := l.aging[:0]
	for _, a := range l.aging {
		if a.target.Kind != kind || todo == 0 {
			kept = append(kept, a)
			continue
		}
		m := l.liveLocked(a)
		if m == nil {
			continue
		}
		l.dropLocked(a)
		todo--
		if class := a.target.Class(); class != "" {
			l.markOfLocked(shared.Target{Kind: shared.KindClass, Name: class}).raise(*m)
			continue
		}
		l.floor.raise(m.remove)
		l.floor.raise(m.expire)
	}
	l.aging = kept
}

// compactLocked takes the void lines out of the order of age.
func (l *ledger) compactLocked() {
	kept := l.aging[:0]
	for _, a := range l.aging {
		if l.liveLocked(a) != nil {
			kept = append(kept, a)
		}
	}
	l.aging = kept
}
