package forebay

import (
	"strconv"
	"time"
)

// A Status is what happened to a request.
type Status uint8

const (
	// Hit: answered from a tier, fresh.
	Hit Status = iota
	// StaleHit: answered from a tier, past its TTL. Reason says why that was allowed.
	StaleHit
	// Coalesced: answered by a load that another request had begun.
	Coalesced
	// Miss: answered by a load of its own. Reason says why there was no hit.
	Miss
	// Bypass: loaded without a look-up. Reason says why.
	Bypass
)

var statusNames = [...]string{"hit", "stale", "coalesced", "miss", "bypass"}

func (s Status) String() string { return nameOf(statusNames[:], s) }

// nameOf returns the name of a value; one that has none, because nobody should have made it, is told by its number.
func nameOf[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return strconv.Itoa(int(v))
}

// A Tier is where an answer came from.
type Tier uint8

const (
	TierNear Tier = iota
	TierShared
	TierOrigin

	numTiers = 2 // that hold entries
)

var tierNames = [...]string{"near", "shared", "origin"}

func (t Tier) String() string { return nameOf(tierNames[:], t) }

// A Reason says why a request was no plain hit.
type Reason uint8

const (
	NoReason          Reason = iota
	ReasonAbsent             // nothing is stored under the key
	ReasonExpired            // its time is up
	ReasonInvalidated        // somebody asked for it
	ReasonRefreshed          // the caller asked for a load
	ReasonReloading          // stale: a load runs behind
	ReasonLoadFailed         // stale: the load failed
	ReasonLoadSlow           // stale: the load took longer than Wait
	ReasonLoadRefused        // stale: the class had all its loads running
	ReasonNoCaller           // bypass: a private class, and nobody is known
	ReasonClosed             // bypass: the cache is closed
	ReasonBadKey             // bypass: the parameter could not be written as a key
	ReasonAsked              // bypass: this call wanted it
	ReasonOff                // bypass: the cache is off

	numReasons = 14
)

var reasonNames = [numReasons]string{"", "absent", "expired", "invalidated", "refreshed", "reloading", "load-failed",
	"load-slow", "load-refused", "no-caller", "closed", "bad-key", "asked", "off"}

func (r Reason) String() string { return nameOf(reasonNames[:], r) }

// An Outcome tells how an answer came about.
type Outcome struct {
	Status   Status
	Tier     Tier
	Reason   Reason
	Age      time.Duration // of the answer: time since its load ended
	TTL      time.Duration // what is left of it; negative when it is stale
	Stored   bool          // by this request's load
	LoadTime time.Duration // what the answer's load took
	// Unconfirmed: this node could not make sure, for two seconds or more, that it knows the
	// invalidations of others.
	Unconfirmed bool
}
