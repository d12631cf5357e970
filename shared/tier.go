package shared

import (
	"context"
	"errors"
	"time"
)

// ErrAway says that the shared tier cannot be reached, or is not asked because it could not be
// reached a moment ago. The cache goes on without it.
var ErrAway = errors.New("forebay: the shared tier is away")

// A Tier is what nodes share: bytes under keys, leases, and the log that joins the nodes. Package
// redis implements it, and [Memory] does for several caches in one process; package sharedtest
// holds the contract.
//
// Every method returns within the tier's own budget, and by the deadline of its context, whatever the server
// does, and is safe for concurrent use. Keys are logical: the tier adds its namespace.
type Tier interface {
	Log

	// Get returns what is stored under a key; nil if there is nothing.
	Get(ctx context.Context, key string) ([]byte, error)
	// GetAndRead is Get and, in the same round trip and not before it, Read.
	GetAndRead(ctx context.Context, key string, head Stamp) ([]byte, Reading, error)
	// GetMany is Get for many keys, in one round trip: one value for each, in their order.
	GetMany(ctx context.Context, keys []string) ([][]byte, error)
	// Set stores a value for a time; 0: until it is unlinked, however short the room is.
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Unlink removes keys.
	Unlink(ctx context.Context, keys ...string) error

	// Lease takes the lease of a key for the token, unless another holds it; in the same round trip
	// it returns what is stored under the key.
	Lease(ctx context.Context, key, token string, life time.Duration) (held bool, value []byte, err error)
	// LeaseMany is Lease for many keys, in one round trip: one lease for each, in their order.
	LeaseMany(ctx context.Context, keys []string, token string, life time.Duration) ([]Lease, error)
	// Renew prolongs a lease that the token still holds, and says whether it does.
	Renew(ctx context.Context, key, token string, life time.Duration) (held bool, err error)
	// Release gives a lease back, if the token still holds it.
	Release(ctx context.Context, key, token string) error

	// Follow blocks until the log has grown beyond the head, or for a while. It is a doorbell: it
	// may ring for nothing, and what it would say is read with Read.
	Follow(ctx context.Context, head ID) error
	// Trim removes what is older than the retention, measured against the newest record, but for the
	// newest of those: an idle log keeps a record that fresh entries can be later than.
	Trim(ctx context.Context, retention time.Duration) error
	// Scan returns some keys that begin with a prefix, with the first bytes of what is stored there,
	// and where to go on: 0 begins, and is returned at the end.
	Scan(ctx context.Context, cursor uint64, prefix string) (found []Scanned, next uint64, err error)

	// Visit begins a request's visit to the tier, unless ctx is within one: whatever it asks, look-ups, the
	// log and a lease, it pays the budget once. What it returns carries the visit alone, for every operation of the
	// request: their contexts give its Value where they have none of their own. Done when the budget is spent.
	Visit(ctx context.Context) context.Context
	// Clock is the tier's own, which all nodes agree on to within a second, however theirs are set: ages
	// of values are told by it.
	Clock() time.Time
	// State says how the tier is.
	State() State
	// Close ends the tier's own work. It is safe to call twice.
	Close() error
}

// A LogOnly tier joins nodes by the log alone: it holds no values for them, which stay near, and each node loads.
type LogOnly interface {
	Tier
	LogOnly()
}

// A Lease is what came of asking for one. Err: nobody will ever give it back, because it is not a node's.
type Lease struct {
	Held  bool
	Value []byte // what is stored under the key; nil: nothing
	Err   error
}

// A Scanned key with the beginning of its value, enough for an envelope's header.
type Scanned struct {
	Key  string
	Head []byte
}

// State is how a shared tier is, kept where the operations are made.
type State struct {
	Connected  bool
	Version    string // "redis 7.0.15"
	Breaker    string // closed, open or half-open
	Problem    string // why it cannot be used, in words and with the remedy; empty if it can
	UsedMemory uint64 // bytes, by its own account
	Lookups    uint64
	Errors     uint64
	P50, P99   time.Duration // of the look-ups
	Advice     []Advice      // settings of the server that work, and will hurt
}

// An Advice is something about a server that works and will hurt all the same, and what to do.
type Advice struct{ Problem, Remedy string }

// Usable reports whether the tier can be used; otherwise why says, as a sentence about "the shared tier", what is wrong.
func (s State) Usable() (ok bool, why string) {
	switch {
	case s.Problem != "":
		return false, s.Problem
	case !s.Connected || s.Breaker != "closed":
		return false, "it is away: every node answers from its own tier and the origin"
	}
	return true, ""
}
