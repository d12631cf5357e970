package forebay

import "time"

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

// An EventKind says what happened.
type EventKind uint8

const (
	// EventLoad: a load ended. Took, and Err if it failed.
	EventLoad EventKind = iota
	// EventInvalidate: an invalidation was accepted. Targets, Mode and Receipt.
	EventInvalidate
	// EventEvict: the near tier had no room for the entry Key.
	EventEvict
	// EventBusy: a load was refused because the class had all its loads running.
	EventBusy
)

var eventNames = [...]string{"load", "invalidate", "evict", "busy"}

func (k EventKind) String() string { return eventNames[k] }

// An Event is one thing that happened. Fields that its kind does not name are zero.
type Event struct {
	Kind    EventKind
	Time    time.Time
	Class   string
	Key     string
	Took    time.Duration
	Err     error
	Targets []Target
	Mode    Mode
	Receipt Receipt
}
