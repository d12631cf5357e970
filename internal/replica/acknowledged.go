package replica

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// acknowledged remembers which of this node's invalidations were acknowledged in which epoch, so that they can be
// appended again when it ends: its log may have been that of a dying master.
type acknowledged struct {
	latest atomic.Pointer[string] // the epoch that was asked for last

	mu   sync.Mutex // guards the fields below
	held map[ackKey]ack
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
	a.mu.Lock()
	defer a.mu.Unlock()
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
	if latest := a.latest.Load(); latest != nil && *latest == epoch {
		return nil
	}
	a.latest.Store(&epoch)
	a.mu.Lock()
	defer a.mu.Unlock()
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
