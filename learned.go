package forebay

import (
	"net/url"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// learned is told each record of another node.
func (c *Cache) learned(r shared.Record) {
	if r.Unreadable {
		c.sayUnreadable(r)
	}
	switch name, key, isSelfTest := selfTestOf(r); {
	case isSelfTest:
		c.peers.saw(name, key)
	case r.Fence:
		c.tell(Event{Kind: EventFence, Receipt: Receipt{ID: r.ID}})
	default:
		c.tell(Event{Kind: EventLearn, Targets: []Target{r.Target}, Mode: r.Mode, Receipt: Receipt{ID: r.ID}})
	}
}

// unreadableEvery is how often it is said that records cannot be read.
const unreadableEvery = time.Minute

func (c *Cache) sayUnreadable(r shared.Record) {
	now := c.now()
	if last := c.unread.Load(); (last == 0 || now-last > int64(unreadableEvery)) && c.unread.CompareAndSwap(last, max(now, 1)) {
		c.logger.Warn("forebay: the log holds a record that this node cannot read or does not trust; it removes everything: does another program write there, or a node with other keys?",
			"id", r.ID.String())
	}
}

// selfTestOf returns the node that a self-test's invalidation comes from.
func selfTestOf(r shared.Record) (name, key string, ok bool) {
	parts, ok := strings.CutPrefix(r.Target.Name, selfTestPrefix)
	if !ok || r.Target.Kind != shared.KindKey {
		return "", "", false
	}
	name, _, _ = strings.Cut(parts, ",")
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	return name, r.Target.Name, true
}
