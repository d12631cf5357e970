package forebay

import (
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// NodeStats is a process on the same log.
type NodeStats struct {
	Name string
	Seen time.Duration // since its self-test was last read in the log; 0 for this node
}

// peers are the other nodes, whose self-tests this one reads in the log. Their invalidations are
// there anyway, so to know which nodes live costs nothing.
type peers struct {
	mu   sync.Mutex // guards the fields below
	seen map[string]peer
}

type peer struct {
	name string
	at   time.Time
}

const (
	// peerTTL is how long a node is remembered whose self-tests have stopped.
	peerTTL = 5 * selfTestEvery
	// maxPeers bounds them; it would take that many nodes to go beyond.
	maxPeers = 1000
	// maxNode bounds the name of a node.
	maxNode = 128
)

func (n *peers) saw(name, key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen == nil {
		n.seen = map[string]peer{}
	}
	if _, known := n.seen[key]; known || len(n.seen) < maxPeers {
		n.seen[key] = peer{name, time.Now()}
	}
}

// alive returns those whose self-tests were seen lately, by name. While this node hears nobody, because it cannot read
// the log, it keeps them: nothing is known of them.
func (n *peers) alive(hearing bool) []NodeStats {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []NodeStats
	for key, s := range n.seen {
		since := time.Since(s.at)
		if hearing && since > peerTTL {
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
	// Containers may have one host name and one process ID, and a process two caches.
	return fmt.Sprintf("%s/%d-%s", host, os.Getpid(), strings.ToLower(rand.Text()[:4]))
}
