package forebay

import (
	"iter"
	"slices"
	"time"
)

// An Entry is what the near tier holds under a key, without its value.
type Entry struct {
	Key    string
	Class  string
	Tags   []string
	Bytes  uint32        // of memory
	Age    time.Duration // since its load ended
	TTL    time.Duration // what is left of it; negative: it is stale
	Took   time.Duration // its load
	Shared bool          // it came from the shared tier

	NearOnly bool // it is in no other tier, and will not be
}

// Entries yields what the near tier holds and may still be served, in no order and while requests go
// on: an entry that comes or goes meanwhile may be missed.
func (c *Cache) Entries() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range c.near.tier.All() {
			now := c.now()
			if _, st := c.near.judge(e, now); st == isDead {
				continue
			}
			one := Entry{
				Key: e.key, Class: e.space.class.Name, Tags: slices.Clone(e.tags), Bytes: e.weight, Shared: e.shared, NearOnly: e.near || c.shared == nil,
				Age: time.Duration(now - e.created), TTL: time.Duration(e.fresh - now), Took: e.took,
			}
			if !yield(one) {
				return
			}
		}
	}
}

// Covers reports whether an invalidation of the target reaches the entry.
func (t Target) Covers(e Entry) bool {
	switch t.Kind {
	case KindKey:
		return t.Name == e.Key
	case KindTag:
		return slices.Contains(e.Tags, t.Name)
	case KindClass:
		return t.Name == e.Class
	case KindPattern:
		return matchPattern(t.Name, e.Key)
	}
	return true
}
