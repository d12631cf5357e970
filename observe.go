package forebay

import (
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// An Observer is told what happens in a cache: it feeds logs, metrics and pages, which the core
// knows nothing of. It is called where the event happens, also under locks: it must not block and
// must not call the cache. Near hits are not told one by one; [Cache.Stats] counts them.
type Observer interface {
	Observe(Event)
}

// ObserverFunc makes a function an [Observer].
type ObserverFunc func(Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }

// Observe tells o too what happens from now on, until stop is called. It is safe to call stop twice.
func (c *Cache) Observe(o Observer) (stop func()) {
	one := &o
	c.observers.change(func(all []*Observer) []*Observer { return append(all, one) })
	return func() {
		c.observers.change(func(all []*Observer) []*Observer {
			return slices.DeleteFunc(all, func(p *Observer) bool { return p == one })
		})
	}
}

// observers are read at each event and hardly ever changed.
type observers struct {
	logger   *slog.Logger
	panicked atomic.Bool // one has, which was said
	all      atomic.Pointer[[]*Observer]
	mu       sync.Mutex // guards the change of all
}

func (o *observers) change(to func([]*Observer) []*Observer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []*Observer
	if old := o.all.Load(); old != nil {
		all = slices.Clone(*old)
	}
	all = to(all)
	o.all.Store(&all)
}

func (o *observers) tell(e Event) {
	all := o.all.Load()
	if all == nil || len(*all) == 0 {
		return
	}
	e.Time = time.Now()
	for _, one := range *all {
		o.observe(*one, e)
	}
}

// observe calls one observer. It runs under locks and in goroutines of the cache: a panic in it is said once, and
// is no harm.
func (o *observers) observe(one Observer, e Event) {
	defer func() {
		if p := recover(); p != nil && o.panicked.CompareAndSwap(false, true) {
			o.logger.Error("forebay: an observer panicked; it goes on being told", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	one.Observe(e)
}

// An EventKind says what happened.
type EventKind uint8

const (
	// EventLoad: a load ended. Class, Key, Duration, and Err if it failed.
	EventLoad EventKind = iota
	// EventInvalidate: an invalidation was accepted. Targets, Mode and Receipt.
	EventInvalidate
	// EventEvict: the near tier had no room for the entry Key.
	EventEvict
	// EventBusy: a load was refused because the class had all its loads running.
	EventBusy
	// EventLearn: another node's invalidation was read from the log. Targets, Mode and Receipt.
	EventLearn
	// EventFence: the log started over, and with it everything from before counts for nothing. Receipt.
	EventFence
	// EventShared: the shared tier was asked for a key, or for many. Class, Duration, and Err if it failed.
	EventShared
	// EventStore: an answer was stored. Class, Key and Bytes.
	EventStore
)

var eventNames = [...]string{"load", "invalidate", "evict", "busy", "learn", "fence", "shared", "store"}

func (k EventKind) String() string { return nameOf(eventNames[:], k) }

// An Event is one thing that happened. Fields that its kind does not name are zero.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Class    string
	Key      string
	Duration time.Duration
	Err      error
	Bytes    uint64 // that an entry takes in the near tier
	Targets  []Target
	Mode     Mode
	Receipt  Receipt
}
