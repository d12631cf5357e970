package admin

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/forebay-cache/forebay"
)

// Stats is the answer of /api/cache-stats.
type Stats struct {
	Mode          string                `json:"mode"`
	HitRate       *float64              `json:"hit_rate"` // null before the first look-up
	Hits          uint64                `json:"hits"`
	StaleHits     uint64                `json:"stale_hits"`
	Coalesced     uint64                `json:"coalesced"`
	Misses        uint64                `json:"misses"`
	Bypasses      uint64                `json:"bypasses"`
	Loads         uint64                `json:"loads"`
	LoadErrors    uint64                `json:"load_errors"`
	SavedSeconds  float64               `json:"saved_seconds"`
	Classes       map[string]ClassStats `json:"classes"`
	Near          NearStats             `json:"near"`
	Shared        *SharedStats          `json:"shared"` // null when near-only
	Log           LogStats              `json:"log"`
	Origin        *OriginStats          `json:"origin,omitempty"`
	Advice        []Advice              `json:"advice,omitempty"`
	Limits        []forebay.Limit       `json:"limits,omitempty" doc:"Bounds of the process, and how far they are used"`
	MCP           *MCPStats             `json:"mcp,omitempty" doc:"The MCP server, once a tool was called"`
	Nodes         []NodeStats           `json:"nodes" doc:"This one first"`
	UptimeSeconds float64               `json:"uptime_seconds"`
	Version       string                `json:"version"`
}

// ClassStats is one class in [Stats].
type ClassStats struct {
	TTLSeconds   float64           `json:"ttl_seconds"`
	HitRate      *float64          `json:"hit_rate"`
	Hits         uint64            `json:"hits"`
	NearHits     uint64            `json:"near_hits"`
	SharedHits   uint64            `json:"shared_hits"`
	StaleHits    uint64            `json:"stale_hits"`
	Coalesced    uint64            `json:"coalesced"`
	Misses       uint64            `json:"misses"`
	MissesBy     map[string]uint64 `json:"misses_by"`
	Bypasses     uint64            `json:"bypasses"`
	Loads        uint64            `json:"loads"`
	Loading      int64             `json:"loading"`
	Waiting      int64             `json:"waiting" doc:"Callers that wait for a load now, beside those that lead one"`
	Passed       uint64            `json:"passed" doc:"Calls of the origin that are not loads: for one caller, and nothing is stored"`
	PassedErrors uint64            `json:"passed_errors"`
	LoadErrors   uint64            `json:"load_errors"`
	LoadsRefused uint64            `json:"loads_refused"`
	SavedSeconds float64           `json:"saved_seconds"`
	SavedCost    *float64          `json:"saved_cost,omitempty" doc:"In the unit of the class's cost of a load, where one is set"`
	Entries      int64             `json:"entries"`
	Evictions    uint64            `json:"evictions"`
	Stored       uint64            `json:"stored"`
	NotStored    map[string]uint64 `json:"not_stored,omitempty"`
	Strict       bool              `json:"strict"`
	Private      bool              `json:"private"`
}

// NearStats is the near tier in [Stats].
type NearStats struct {
	Entries   int64  `json:"entries"`
	Bytes     uint64 `json:"bytes"`
	MaxBytes  uint64 `json:"max_bytes"`
	Evictions uint64 `json:"evictions"`
}

// SharedStats is the shared tier in [Stats].
type SharedStats struct {
	Usable     bool              `json:"usable" doc:"It does what it is for"`
	Why        string            `json:"why,omitempty" doc:"Why it cannot be used"`
	Connected  bool              `json:"connected"`
	Version    string            `json:"version"`
	Breaker    string            `json:"breaker"`
	Problem    string            `json:"problem,omitempty"`
	UsedMemory uint64            `json:"used_memory"`
	Errors     uint64            `json:"errors"`
	Lookups    uint64            `json:"lookups"`
	LatencyMS  Latency           `json:"latency_ms"`
	Queued     int               `json:"queued"`
	Dropped    uint64            `json:"dropped"`
	Failed     uint64            `json:"failed"`
	TooLarge   uint64            `json:"too_large" doc:"Entries that stay near because they are too large for the shared tier"`
	Deferred   int64             `json:"deferred"`
	Unusable   map[string]uint64 `json:"unusable"`
	Lost       map[string]string `json:"lost"`
	Others     map[string]string `json:"others" doc:"Functions under whose name another program or version writes values of another form"`
	SelfTest   string            `json:"self_test,omitempty"` // why it fails
}

// TransformSchema says that there may be none.
func (SharedStats) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Nullable = true
	return s
}

// NodeStats is a process on the same log.
type NodeStats struct {
	Name        string  `json:"name"`
	SeenSeconds float64 `json:"seen_seconds" doc:"Since it was last heard of; 0 for this one"`
}

// Latency is of the look-ups in the shared tier, in milliseconds; null before the first.
type Latency struct {
	P50 *float64 `json:"p50"`
	P99 *float64 `json:"p99"`
}

func sharedStats(s *forebay.SharedStats) *SharedStats {
	if s == nil {
		return nil
	}
	usable, why := s.Usable()
	return &SharedStats{
		Usable: usable, Why: why, Connected: s.Connected, Version: s.Version, Breaker: s.Breaker, Problem: s.Problem, UsedMemory: s.UsedMemory,
		Errors: s.Errors, Lookups: s.Lookups, LatencyMS: Latency{milliseconds(s.P50), milliseconds(s.P99)},
		Queued: s.Queued, Dropped: s.Dropped, Failed: s.Failed, TooLarge: s.TooLarge, Deferred: s.Deferred, Unusable: s.Unusable, Lost: s.Lost, Others: s.Others, SelfTest: s.SelfTest,
	}
}

func milliseconds(d time.Duration) *float64 {
	if d == 0 {
		return nil
	}
	ms := float64(d) / float64(time.Millisecond)
	return &ms
}

// LogStats is the log of invalidations in [Stats].
type LogStats struct {
	Head      string  `json:"head"`
	LagMS     float64 `json:"lag_ms"`
	Confirmed bool    `json:"confirmed"`
	Floor     string  `json:"floor"`
	Targets   int     `json:"targets"`

	Unreadable uint64 `json:"unreadable" doc:"Records that could not be read or were not written with one of the keys: each removed everything"`
}

// OriginStats is what the origin counted.
type OriginStats struct {
	Calls int64 `json:"calls"`
}

// Advice is a route that is not cached only because nobody says for how long, and the flag that would.
type Advice struct {
	Route   string `json:"route"`
	Answers int    `json:"answers"`
	Flag    string `json:"flag"`

	Credentials int `json:"credentials" doc:"Of the answers, how many were asked for with a cookie or with credentials: each caller would have an entry of its own"`

	Compared  int      `json:"compared" doc:"Responses that were laid beside an earlier one of the same URL and the same caller: a sample"`
	Differing int      `json:"differing" doc:"Of those: another body within five minutes"`
	ByCaller  int      `json:"by_caller" doc:"URLs for which two callers got different bodies"`
	Cookies   int      `json:"cookies" doc:"Responses of the sample that set a cookie"`
	Vary      []string `json:"vary" doc:"Fields of requests that the origin says its responses depend on"`
	Safe      string   `json:"safe" enum:"unknown,yes,careful,no" doc:"Whether to cache it, by the sample"`
	Why       string   `json:"why"`
}

// Stats returns the statistics as of now.
func (a *Admin) Stats() Stats { return a.statsOf(a.cache.Stats()) }

func (a *Admin) statsOf(s forebay.Stats) Stats {
	out := Stats{
		Mode: string(s.Mode), Shared: sharedStats(s.Shared), Classes: map[string]ClassStats{}, Version: a.o.Version,
		UptimeSeconds: seconds(s.Uptime),
		Near:          NearStats(s.Near),
		Log:           LogStats{Head: s.Log.Head.ID.String(), Floor: s.Log.Floor.String(), LagMS: float64(s.Log.Lag) / float64(time.Millisecond), Confirmed: s.Log.Confirmed, Targets: s.Log.Targets, Unreadable: s.Log.Unreadable},
	}
	for _, n := range s.Nodes {
		out.Nodes = append(out.Nodes, NodeStats{n.Name, seconds(n.Seen)})
	}
	for _, c := range s.Classes {
		out.Classes[c.Class.Name] = classStats(c)
		out.Hits += c.Hits()
		out.StaleHits += c.StaleHits
		out.Coalesced += c.Coalesced
		out.Misses += c.Misses
		out.Bypasses += c.Bypasses
		out.Loads += c.Loads
		out.LoadErrors += c.LoadErrors
		out.SavedSeconds += seconds(c.Saved)
	}
	good := out.Hits + out.StaleHits + out.Coalesced
	if all := good + out.Misses; all > 0 {
		rate := float64(good) / float64(all)
		out.HitRate = &rate
	}
	if calls := a.originCalls(); calls != nil {
		out.Origin = &OriginStats{*calls}
	}
	out.MCP = a.mcp.stats()
	if a.o.Limits != nil {
		out.Limits = a.o.Limits()
	}
	if a.o.Advice != nil {
		out.Advice = a.o.Advice()
	}
	return out
}

func classStats(c forebay.ClassStats) ClassStats {
	out := ClassStats{
		TTLSeconds: seconds(c.Class.TTL), Hits: c.Hits(), NearHits: c.NearHits, SharedHits: c.SharedHits, StaleHits: c.StaleHits, Coalesced: c.Coalesced,
		Misses: c.Misses, MissesBy: map[string]uint64{}, Bypasses: c.Bypasses, Loads: c.Loads, Loading: c.Loading, Waiting: c.Waiting,
		LoadErrors: c.LoadErrors, Passed: c.Passed, PassedErrors: c.PassedErrors, LoadsRefused: c.LoadsRefused, SavedSeconds: seconds(c.Saved),
		Entries: c.Entries, Evictions: c.Evictions, Stored: c.Stored, NotStored: c.NotStored, Strict: c.Class.Strict, Private: c.Class.Private,
	}
	if cost, ok := c.SavedCost(); ok {
		out.SavedCost = &cost
	}
	for r, n := range c.MissesBy {
		out.MissesBy[r.String()] = n
	}
	if rate, ok := c.HitRate(); ok {
		out.HitRate = &rate
	}
	return out
}

func seconds(d time.Duration) float64 { return d.Seconds() }
