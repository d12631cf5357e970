package forebay

import (
	"sync"
	"sync/atomic"

	"github.com/forebay-cache/forebay/internal/hits"
)

// The counters are kept where the answer is given, per class. Hits are striped, because they are the
// only ones that all cores add to at full speed.
type counters struct {
	hits      [numTiers]hits.Counter
	staleHits atomic.Uint64
	coalesced atomic.Uint64
	bypasses  atomic.Uint64
	misses    [numReasons]atomic.Uint64
	loads     atomic.Uint64
	loading   atomic.Int64
	waiting   atomic.Int64
	errors    atomic.Uint64
	loadEnds  atomic.Uint64
	loadTime  atomic.Int64 // nanoseconds, of loads that have ended
	passed    atomic.Uint64
	passedBad atomic.Uint64
	saved     atomic.Int64 // nanoseconds, of stale hits and joined loads
	entries   atomic.Int64
	evictions atomic.Uint64
	tooEarly  atomic.Uint64 // evictions of what was fresh
	refused   atomic.Uint64
	kept      atomic.Uint64

	mu        sync.Mutex // guards the fields below
	notStored map[string]uint64
}

// maxReasons bounds the reasons that are counted one by one.
const maxReasons = 32

func (c *counters) countNotStored(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.notStored == nil {
		c.notStored = map[string]uint64{}
	}
	if _, known := c.notStored[why]; known || len(c.notStored) < maxReasons {
		c.notStored[why]++
	}
}

func (c *counters) init() {
	for i := range c.hits {
		c.hits[i] = hits.New()
	}
}
