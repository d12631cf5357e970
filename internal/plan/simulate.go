package plan

import (
	"fmt"
	"hash/maphash"
	"net/http"
	"time"

	"github.com/maypok86/otter/v2"
)

// TTLs are those that are tried, each with the whole near tier.
var TTLs = []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

// memories are parts of the near tier that are tried, each with memoryTTL.
var memories = []float64{1. / 16, 1. / 4, 1, 4}

const memoryTTL = 5 * time.Minute

// entryBytes is what an entry takes beyond its URI and its body: measured with a response of eight fields (make bench-http).
const entryBytes = 1500

const (
	maxRoutes   = 1000 // that are told apart
	otherRoutes = "(others)"
	maxUnread   = 3 // lines that are quoted
)

// A simulation runs the recorded requests through the near tier's policy, once for each time to live and each size.
type simulation struct {
	nearBytes int64
	tree      *tree
	routes    map[string]*route
	byTTL     []*policy
	byMemory  []*policy
	known     int // requests
	first     time.Time
	last      time.Time
	seed      maphash.Seed
	failed    int
	unreadAt  []string
	took      bool // times are recorded
}

// A route is what was asked for on one, and what came of it.
type route struct {
	method, pattern, example string
	requests, cacheable      int // of those: GET and HEAD that were answered with what may be stored
	withUser                 int
	hits, changed            []int // by TTL
	saved                    []time.Duration
	tookSum                  time.Duration
	tookN                    int
	bytes                    int64
}

// A policy is a near tier that holds no values.
type policy struct {
	ttl  time.Duration
	tier *otter.Cache[uint64, held]
	hits int
}

type held struct {
	since time.Time
	bytes int64
	size  uint32 // of the entry
}

func newPolicy(bytes int64, ttl time.Duration) (*policy, error) {
	tier, err := otter.New(&otter.Options[uint64, held]{
		MaximumWeight: uint64(bytes),
		Weigher:       func(_ uint64, h held) uint32 { return h.size },
		Executor:      func(f func()) { f() },
	})
	return &policy{ttl: ttl, tier: tier}, err
}

func newSimulation(nearBytes int64) (*simulation, error) {
	s := &simulation{nearBytes: nearBytes, tree: &tree{}, routes: map[string]*route{}, seed: maphash.MakeSeed()}
	for _, ttl := range TTLs {
		p, err := newPolicy(nearBytes, ttl)
		if err != nil {
			return nil, err
		}
		s.byTTL = append(s.byTTL, p)
	}
	for _, part := range memories {
		p, err := newPolicy(int64(part*float64(nearBytes)), memoryTTL)
		if err != nil {
			return nil, err
		}
		s.byMemory = append(s.byMemory, p)
	}
	return s, nil
}

func (s *simulation) close() {
	for _, all := range [][]*policy{s.byTTL, s.byMemory} {
		for _, p := range all {
			p.tier.StopAllGoroutines()
		}
	}
}

// unread notes a line that is no record of a request.
func (s *simulation) unread(line int, why error) {
	if s.failed++; s.failed <= maxUnread {
		s.unreadAt = append(s.unreadAt, fmt.Sprintf("line %d: %v", line, why))
	}
}

// add runs a request.
func (s *simulation) add(r Request) {
	s.known++
	if s.first.IsZero() || r.Time.Before(s.first) {
		s.first = r.Time
	}
	if r.Time.After(s.last) {
		s.last = r.Time
	}
	to := s.routeOf(r)
	to.requests++
	to.bytes += r.Bytes
	if r.User != "" {
		to.withUser++
	}
	if r.Took > 0 {
		s.took = true
		to.tookSum, to.tookN = to.tookSum+r.Took, to.tookN+1
	}
	key := s.key(r.URI, r.User)
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
	case changes(r.Method) && r.Status < 400:
		s.invalidate(key, s.key(r.URI, ""))
		return
	default:
		return
	}
	if storable(r.Status) {
		to.cacheable++
	}
	for i, p := range s.byTTL {
		hit, changed := p.ask(key, r)
		if !hit {
			continue
		}
		to.hits[i]++
		to.saved[i] += r.Took
		if changed {
			to.changed[i]++
		}
	}
	for _, p := range s.byMemory {
		p.ask(key, r)
	}
}

func (s *simulation) routeOf(r Request) *route {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	pattern := s.tree.pattern(r.URI)
	name := method + " " + pattern
	if one := s.routes[name]; one != nil {
		return one
	}
	if len(s.routes) >= maxRoutes {
		name, pattern = method+" "+otherRoutes, otherRoutes
		if one := s.routes[name]; one != nil {
			return one
		}
	}
	one := &route{method: method, pattern: pattern, example: r.URI, hits: make([]int, len(TTLs)), changed: make([]int, len(TTLs)), saved: make([]time.Duration, len(TTLs))}
	s.routes[name] = one
	return one
}

// key is what tells two answers apart: the URI, and who had presented a credential.
func (s *simulation) key(uri, user string) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	h.WriteString(uri)
	h.WriteByte(0)
	h.WriteString(user)
	return h.Sum64()
}

func (s *simulation) invalidate(keys ...uint64) {
	for _, key := range keys {
		for _, p := range s.byTTL {
			p.tier.Invalidate(key)
		}
		for _, p := range s.byMemory {
			p.tier.Invalidate(key)
		}
	}
}

// ask looks up, and stores what a miss would bring. changed: what was stored has another size than what the log has.
func (p *policy) ask(key uint64, r Request) (hit, changed bool) {
	h, found := p.tier.GetIfPresent(key)
	if found && r.Time.Sub(h.since) < p.ttl {
		p.hits++
		whole := r.Method == http.MethodGet && r.Status == http.StatusOK
		return true, r.Status >= 400 || whole && h.bytes > 0 && r.Bytes > 0 && h.bytes != r.Bytes
	}
	if !storable(r.Status) || r.Method != http.MethodGet {
		return false, false
	}
	one := held{since: r.Time, bytes: r.Bytes}
	if r.Status == http.StatusNotModified {
		one.bytes = h.bytes // the client had it
	}
	one.size = uint32(min(int64(len(r.URI))+max(one.bytes, 0)+entryBytes, 1<<31))
	p.tier.Set(key, one)
	return false, false
}

// storable is what a rule's TTL stores. A client that has been told 304 would have been by the cache, which stores the whole.
func storable(status int) bool { return status == http.StatusOK || status == http.StatusNotModified }

func changes(method string) bool {
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	}
	return false
}
