package forebay

import (
	"maps"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// Stats is what a cache has done since it was opened.
type Stats struct {
	Classes []ClassStats // in the order of their declaration
	Near    NearStats
	Shared  *SharedStats // nil: no shared tier is configured
	Log     LogStats
	Mode    TierMode
	Off     bool        // every call goes to the origin: [Options.Off]
	Nodes   []NodeStats // that share the tier, this one first
	Uptime  time.Duration
}

// A TierMode is how a cache stands to its shared tier.
type TierMode string

const (
	NearOnly TierMode = "near-only" // none is configured
	TwoTier  TierMode = "two-tier"
	Degraded TierMode = "degraded" // configured, but away, not usable, or unconfirmed
)

// SharedStats is the shared tier, and what the cache does with it.
type SharedStats struct {
	shared.State
	Reads    uint64            // for requests; Lookups counts the self-test's too
	Queued   int               // writes that wait behind the requests, or are under way
	Dropped  uint64            // writes for which there was no room
	Failed   uint64            // writes that the tier refused
	TooLarge uint64            // entries that stay near, because they are larger than [Options.SharedMax]
	Unusable map[string]uint64 // values that could not be used, by reason: each was a miss
	Lost     map[string]string // functions whose values do not survive the codec, and the first difference
	Others   map[string]string // functions under whose name somebody else writes values of another form
	Deferred int64             // invalidations that wait for the log
	SelfTest string            // why the entry that goes the whole way every few seconds did not come through; "" if it does
}

// Usable reports whether the shared tier does what it is for; otherwise why says what is wrong. Everything that
// tells people of the tier's state asks this.
func (s *SharedStats) Usable() (ok bool, why string) {
	switch ok, why := s.State.Usable(); {
	case !ok:
		return false, why
	case s.SelfTest != "":
		return false, "it answers and does not work: " + s.SelfTest
	}
	return true, ""
}

// ClassStats is what happened in one class. A request is exactly one of hit, stale hit, coalesced,
// miss and bypass; a refresh behind an answer is a load and nothing else.
type ClassStats struct {
	Class        Class
	NearHits     uint64
	SharedHits   uint64
	StaleHits    uint64            // served past their TTL
	Coalesced    uint64            // took the answer of a load that another request had begun
	Misses       uint64            // waited for a load of their own
	MissesBy     map[Reason]uint64 // the same by reason
	Bypasses     uint64            // were not looked up at all
	Loads        uint64
	Loading      int64  // loads that run now
	Waiting      int64  // callers that wait for a load now, beside those that lead one
	LoadErrors   uint64 // loads that were called off are not among them
	LoadsEnded   uint64
	LoadTime     time.Duration // of all loads that have ended
	Passed       uint64        // calls of the origin that are not loads: nothing of them is shared or stored
	PassedErrors uint64        // of those
	LoadsRefused uint64        // MaxLoads were running
	Saved        time.Duration // the loads' own durations that hits, stale hits and joins did not wait for
	Entries      int64         // in the near tier
	Evictions    uint64
	EvictedFresh uint64            // of those: they would have been hits
	Stored       uint64            // answers
	NotStored    map[string]uint64 // answers, by why they were not
}

// Hits is the sum over the tiers.
func (s ClassStats) Hits() uint64 { return s.NearHits + s.SharedHits }

// SavedCost is what the loads would have cost that hits, stale hits and joins did without; false where [Class.Cost] is not
// known.
func (s ClassStats) SavedCost() (float64, bool) {
	return s.Class.Cost * float64(s.Hits()+s.StaleHits+s.Coalesced), s.Class.Cost > 0
}

// OriginCalls is how often the origin was called, and how many of those calls failed.
func (s ClassStats) OriginCalls() (calls, failed uint64) {
	return s.Loads + s.Passed, s.LoadErrors + s.PassedErrors
}

// HitRate is (hits + stale hits + coalesced) / (those + misses); false before the first look-up.
func (s ClassStats) HitRate() (float64, bool) {
	good := s.Hits() + s.StaleHits + s.Coalesced
	if good+s.Misses == 0 {
		return 0, false
	}
	return float64(good) / float64(good+s.Misses), true
}

// NearStats is the state of the near tier.
type NearStats struct {
	Entries   int64
	Bytes     uint64
	MaxBytes  uint64
	Evictions uint64
}

// LogStats is how this node stands to the log.
type LogStats struct {
	Head       shared.Stamp
	Floor      shared.ID
	Lag        time.Duration // since the latest check of the log was sent
	Confirmed  bool
	Targets    int    // held in the ledger
	Unreadable uint64 // records that this node could not read or did not trust: each removed everything
	Refused    string // why the log has refused every append since the last that it accepted; empty: it accepts them
}

// Stats returns what the cache has done so far. The counters are read one after the other, while
// requests go on.
func (c *Cache) Stats() Stats {
	s := Stats{Uptime: time.Since(c.opened), Log: LogStats(c.replica.Stats()), Mode: NearOnly, Off: c.off}
	if c.shared != nil {
		s.Shared = c.sharedStats()
		s.Mode = c.tierMode(s.Shared)
	}
	s.Nodes = append([]NodeStats{{Name: c.options.Node}}, c.peers.alive(c.replica.Confirmed())...)
	c.mu.RLock()
	for _, name := range c.order {
		s.Classes = append(s.Classes, c.classes[name].stats())
	}
	c.mu.RUnlock()
	s.Near = NearStats{Bytes: c.near.tier.WeightedSize(), MaxBytes: c.near.bytes}
	for _, k := range s.Classes {
		s.Near.Entries += k.Entries
		s.Near.Evictions += k.Evictions
	}
	return s
}

func (c *Cache) sharedStats() *SharedStats {
	t := c.shared
	s := &SharedStats{State: t.State(), Reads: t.reads.Load(), Queued: t.queued(), Dropped: t.dropped.Load(), Failed: t.failed.Load(), TooLarge: t.large.Load(),
		Deferred: c.replica.Deferred(), Lost: map[string]string{}, Others: c.census.said(t.Clock()), SelfTest: c.selfTest.problemNow()}
	t.mu.Lock()
	s.Unusable = maps.Clone(t.unread)
	t.mu.Unlock()
	c.mu.RLock()
	defer c.mu.RUnlock()
	for name, sp := range c.names {
		if lost := sp.lossyField(); lost != "" {
			s.Lost[name] = lost
		}
	}
	return s
}

func (c *Cache) tierMode(s *SharedStats) TierMode {
	usable, _ := s.Usable()
	if c.replica.Ready() && c.replica.Confirmed() && usable {
		return TwoTier
	}
	return Degraded
}

func (k *class) stats() ClassStats {
	s := ClassStats{
		Class: k.now().Class, StaleHits: k.staleHits.Load(), Coalesced: k.coalesced.Load(), Bypasses: k.bypasses.Load(),
		Loads: k.loads.Load(), Loading: k.loading.Load(), Waiting: k.waiting.Load(), LoadErrors: k.errors.Load(), LoadsEnded: k.loadEnds.Load(), LoadTime: time.Duration(k.loadTime.Load()), Passed: k.passed.Load(), PassedErrors: k.passedBad.Load(), LoadsRefused: k.refused.Load(),
		Saved: time.Duration(k.saved.Load()), Entries: k.entries.Load(), Evictions: k.evictions.Load(), EvictedFresh: k.tooEarly.Load(),
		MissesBy: map[Reason]uint64{}, Stored: k.kept.Load(),
	}
	k.mu.Lock()
	s.NotStored = maps.Clone(k.notStored)
	k.mu.Unlock()
	near, savedNear := k.hits[TierNear].Sum()
	shared, savedShared := k.hits[TierShared].Sum()
	s.NearHits, s.SharedHits = near, shared
	s.Saved += savedNear + savedShared
	for r := range k.misses {
		if n := k.misses[r].Load(); n > 0 {
			s.MissesBy[Reason(r)] = n
			s.Misses += n
		}
	}
	return s
}
