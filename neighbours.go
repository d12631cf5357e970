package forebay

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// NodeStats is a process on the same log.
type NodeStats struct {
	Name string
	Seen time.Duration // since its canary was last read in the log; 0 for this node
}

// neighbours are the other nodes whose canaries this one reads in the log. Their invalidations are
// there anyway, so to know who lives costs nothing.
type neighbours struct {
	mu   sync.Mutex // guards what follows
	seen map[string]sighting
}

type sighting struct {
	name string
	at   time.Time
}

const (
	// goneAfter is how long a node is remembered whose canary is not heard any more.
	goneAfter = 5 * canaryEvery
	// maxNeighbours bounds them; it would take that many canaries to go beyond.
	maxNeighbours = 1000
	// maxNode bounds the name of a node.
	maxNode = 128
)

// learned is told each record of another node.
func (c *Cache) learned(r shared.Record) {
	if r.Unreadable {
		c.sayUnreadable(r)
	}
	switch name, key, isCanary := canaryOf(r); {
	case isCanary:
		c.neighbours.see(name, key)
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

// canaryOf returns the node that a canary's invalidation comes from.
func canaryOf(r shared.Record) (name, key string, ok bool) {
	parts, ok := strings.CutPrefix(r.Target.Name, canaryPrefix)
	if !ok || r.Target.Kind != shared.KindKey {
		return "", "", false
	}
	name, _, _ = strings.Cut(parts, ",")
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	return name, r.Target.Name, true
}

func (n *neighbours) see(name, key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen == nil {
		n.seen = map[string]sighting{}
	}
	if _, known := n.seen[key]; known || len(n.seen) < maxNeighbours {
		n.seen[key] = sighting{name, time.Now()}
	}
}

// alive returns those that were seen lately, by name.
func (n *neighbours) alive() []NodeStats {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []NodeStats
	for key, s := range n.seen {
		since := time.Since(s.at)
		if since > goneAfter {
			delete(n.seen, key)
			continue
		}
		out = append(out, NodeStats{s.name, since})
	}
	slices.SortFunc(out, func(a, b NodeStats) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func thisNode() string {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}
