package forebay

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/forebay-cache/forebay/internal/codec"
)

// A census goes through the shared tier, a page at a time, and finds what other programs write under the names of this
// cache's functions: another version of the program, or another program. Their entries stand beside those of
// this node and are never taken for them (see stored), but invalidations and statistics of one name then
// mean two things.
type census struct {
	cursor uint64

	mu     sync.Mutex // guards the fields below
	others map[string]time.Time
}

// otherFor is how long somebody else is told of after what was last seen of them was written.
const otherFor = 10 * time.Minute

// look goes through the next page. Where that fails, others say so.
func (n *census) look(ctx context.Context, c *Cache) {
	page, next, err := c.shared.Scan(ctx, n.cursor, "")
	if err != nil {
		return
	}
	n.cursor = next
	now := c.shared.Clock()
	for _, s := range page {
		env, err := codec.OpenHeader(s.Head)
		if err != nil {
			continue
		}
		name, _, _ := strings.Cut(env.Key, ":")
		c.mu.RLock()
		sp := c.names[name]
		c.mu.RUnlock()
		if sp != nil && s.Key != sp.stored(env.Key) && now.Sub(env.Created) < otherFor && env.Created.After(n.since(c, now)) {
			n.mu.Lock()
			if n.others == nil {
				n.others = map[string]time.Time{}
			}
			if n.others[name].Before(env.Created) {
				n.others[name] = env.Created
			}
			n.mu.Unlock()
		}
	}
}

// since is when the cache was opened, by the tier's clock: what was written before is an earlier version's.
func (n *census) since(c *Cache, now time.Time) time.Time {
	return now.Add(-time.Duration(c.now()))
}

// said is what is known of each name, in words.
func (n *census) said(now time.Time) map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[string]string{}
	for name, seen := range n.others {
		if ago := now.Sub(seen); ago < otherFor {
			out[name] = fmt.Sprintf("another program, or another version of this one, writes values of another form under this name, %s ago", max(0, ago).Round(time.Second))
		}
	}
	return out
}
