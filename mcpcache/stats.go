package mcpcache

import (
	"maps"

	"github.com/forebay-cache/forebay"
)

// Stats is what happened to the requests of one tool, resource, prompt or list.
type Stats struct {
	Method    string `json:"method"`
	Name      string `json:"name"`
	Hits      uint64 `json:"hits"`
	StaleHits uint64 `json:"stale_hits"`
	Coalesced uint64 `json:"coalesced"`
	Misses    uint64 `json:"misses"`
	Bypasses  uint64 `json:"bypasses"` // a rule names it, and the request could not be cached
	Failed    uint64 `json:"failed"`   // errors, and results that say they are errors
}

// maxNames bounds the names that are counted one by one: clients can make up some.
const (
	maxNames   = 200
	otherNames = "(all others)"
)

func (s *Stats) add(o forebay.Outcome, failed bool) {
	switch o.Status {
	case forebay.Hit:
		s.Hits++
	case forebay.StaleHit:
		s.StaleHits++
	case forebay.Coalesced:
		s.Coalesced++
	case forebay.Miss:
		s.Misses++
	case forebay.Bypass:
		s.Bypasses++
	}
	if failed {
		s.Failed++
	}
}

func (c *Cache) count(q question, add func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := q.Method + "\x00" + q.Name
	if c.stats[id] == nil && len(c.stats) >= maxNames {
		q.Name = otherNames
		id = q.Method + "\x00" + q.Name
	}
	if c.stats[id] == nil {
		c.stats[id] = &Stats{Method: q.Method, Name: q.Name}
	}
	add(c.stats[id])
}

// Stats returns what happened so far, of each tool, resource, prompt and list that a rule names, in no order.
func (c *Cache) Stats() []Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Stats, 0, len(c.stats))
	for s := range maps.Values(c.stats) {
		out = append(out, *s)
	}
	return out
}
