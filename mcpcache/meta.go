package mcpcache

import (
	"fmt"
	"strings"

	"github.com/forebay-cache/forebay"
)

// MetaKey is the member of _meta in which the cache says what it did. It is not part of the protocol.
const MetaKey = "io.github.forebay-cache/cache"

// Meta is what stands there.
type Meta struct {
	Outcome   string `json:"outcome"`             // hit, stale, coalesced, miss or bypass
	Tier      string `json:"tier"`                // near, shared or origin
	Reason    string `json:"reason,omitempty"`    // why it is no hit
	TTLMs     int64  `json:"ttlMs"`               // what is left of its life; 0: it is stale, or not stored
	AgeMs     int64  `json:"ageMs"`               // since its load ended
	Validator string `json:"validator,omitempty"` // equal for equal results
}

// MetaOf says how an answer of a cached function came about, for a tool that asks one itself.
func MetaOf(o forebay.Outcome) Meta {
	m := Meta{Outcome: o.Status.String(), Tier: o.Tier.String(), Reason: o.Reason.String(), AgeMs: o.Age.Milliseconds()}
	if o.Status == forebay.Hit || o.Status == forebay.StaleHit || o.Stored {
		m.TTLMs = max(o.TTL, 0).Milliseconds()
	}
	return m
}

// Hit reports whether the origin was not called for the answer.
func (m Meta) Hit() bool {
	return m.Outcome == "hit" || m.Outcome == "stale" || m.Outcome == "coalesced"
}

// MetaOfStatus says how an answer of the HTTP cache came about, by its Cache-Status (RFC 9211).
func MetaOfStatus(status string) Meta {
	has := func(part string) bool { return strings.Contains(status, part) }
	m := Meta{Outcome: "miss", Tier: "origin"}
	switch {
	case has("detail=near"):
		m.Outcome, m.Tier = "hit", "near"
	case has("detail=shared"):
		m.Outcome, m.Tier = "hit", "shared"
	case has("; hit"):
		m.Outcome, m.Tier = "stale", "near"
	case has("; collapsed"):
		m.Outcome = "coalesced"
	case has("fwd=bypass"):
		m.Outcome = "bypass"
	}
	if _, after, ok := strings.Cut(status, "; ttl="); ok {
		var seconds int64
		fmt.Sscanf(after, "%d", &seconds) // what cannot be read is 0
		m.TTLMs = max(seconds, 0) * 1000
	}
	return m
}
