package forebay

import (
	"iter"
	"slices"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// An Entry is what the near tier holds under a key.
type Entry struct {
	Key      string
	Class    string
	Tags     []string
	Bytes    uint32        // of memory
	Age      time.Duration // since its load ended
	TTL      time.Duration // what is left of it; negative: it is stale
	LoadTime time.Duration // its load
	Shared   bool          // it came from the shared tier

	NearOnly bool // it is in no other tier, and will not be
	Value    any  // of [Cache.Entry] alone; others hold it too: it must not be changed
}

// Entries yields what the near tier holds and may still be served, in no order and while requests go
// on: an entry that comes or goes meanwhile may be missed.
func (c *Cache) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range c.near.tier.All() {
			if one, ok := c.entryOf(e); ok && !yield(one) {
				return
			}
		}
	}
}

func (c *Cache) entryOf(e *entry) (Entry, bool) {
	now := c.now()
	if _, st := c.near.judge(e, now); st == isDead {
		return Entry{}, false
	}
	return Entry{
		Key: e.key, Class: e.space.class.Name, Tags: slices.Clone(e.tags), Bytes: e.weight, Shared: e.fromShared, NearOnly: e.nearOnly || c.shared == nil || c.shared.alone,
		Age: time.Duration(now - e.created), TTL: time.Duration(e.fresh - now), LoadTime: e.took,
	}, true
}

// Entry returns what the near tier holds under a key, if that may still be served.
func (c *Cache) Entry(key string) (Entry, bool) {
	held, ok := c.near.tier.GetEntryQuietly(key)
	if !ok {
		return Entry{}, false
	}
	e, ok := c.entryOf(held.Value)
	e.Value = held.Value.value
	return e, ok
}

// Matches reports whether an invalidation of the target reaches the entry.
func (e Entry) Matches(t Target) bool {
	switch t.Kind {
	case shared.KindKey:
		return t.Name == e.Key
	case shared.KindTag:
		return slices.Contains(e.Tags, t.Name)
	case shared.KindClass:
		return t.Name == e.Class
	case shared.KindPattern:
		return shared.MatchPattern(t.Name, e.Key)
	}
	return true
}
