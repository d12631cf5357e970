package forebay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// Options configure a [Cache]. The zero Options work: near tier only, every class by its defaults.
// They are copied; changing them later does nothing.
type Options struct {
	// Classes declares the kinds of data. A name that is not declared is then an error; if none is
	// declared, every name is a class with the defaults.
	Classes []Class

	// NearBytes bounds the near tier. Default: a quarter of the memory that the process may use
	// (cgroup, else physical), at most 512 MiB.
	NearBytes int64

	// LedgerSize bounds the invalidated targets that are remembered one by one. Default 100,000,
	// about 150 B each; beyond it keys are remembered by their class.
	LedgerSize int

	// Secret keys the hashes that stand for callers in the keys of private classes. Nodes that
	// share a tier need the same, so with private classes it is then required. Default: random.
	Secret []byte

	// Keys authenticate what is written to the shared tier and to the log: entries that were not written with one
	// of them are misses, and a record that was not counts as the removal of everything. The first one writes,
	// all read; at least 16 bytes each, the same on every node. Default: Secret, where it is set; an
	// empty list: none.
	Keys [][]byte

	// Encrypt has the values encrypted, too (AES-256-GCM), but not their keys, classes and tags. Default off.
	Encrypt bool

	// Caller names who is asking, for private classes. Default: nobody, so private classes bypass.
	Caller func(context.Context) string

	// IsNotFound recognises the origin's own "not found", such as sql.ErrNoRows. What it recognises
	// also matches [ErrNotFound].
	IsNotFound func(error) bool

	// Shared is the tier that nodes share: package redis opens one. The cache does not close it.
	// Default none: near tier only.
	Shared shared.Tier

	// Codec is how values are written to the shared tier. Default CBOR.
	Codec Codec

	// SharedMax bounds an entry in the shared tier, in bytes as it is written there: larger ones would keep
	// everybody else waiting on the way, and stay near. Default 1 MiB; negative: no bound.
	SharedMax int

	// Journal is the file that keeps the invalidations that the log does not have yet, so that they
	// survive a crash; each process needs its own. Default: memory.
	Journal string

	// InvalidateFor is how long an invalidation tries to be acknowledged by the log, within the caller's
	// deadline, before it is deferred. Where the log has been away for as long already, it is deferred at
	// once. Default 2 s; negative: one attempt.
	InvalidateFor time.Duration

	// Acknowledged: an invalidation that was deferred is an error, [ErrDeferred], too. For one call:
	// [MustAcknowledge]. Default off: the receipt says it.
	Acknowledged bool

	// Logger gets what the cache swallows: failed loads behind an answer. Default slog.Default().
	Logger *slog.Logger

	// Node names this process among those that share a tier, for people. Default: host name, process ID
	// and four letters.
	Node string

	// SelfTest is how often an entry goes the whole way through the shared tier, to prove that it works.
	// Default 3 s; negative: never.
	SelfTest time.Duration

	// Off switches the cache off. Default: by the environment.
	Off Switch

	// Trace is told the steps of every request, beside what its context carries ([WithTrace]): package otel makes spans of
	// them. Default none.
	Trace *Trace

	// Observer is told what happens. Default nobody; [Cache.Observe] adds further ones.
	Observer Observer
}

// minKey is how short a key may be.
const minKey = 16

// minNearBytes is what a near tier needs to hold anything at all.
const minNearBytes = 64 << 10

func (o Options) check() error {
	var mistakes []error
	seen := map[string]bool{}
	for i, k := range o.Classes {
		path := fmt.Sprintf("Classes[%d]", i)
		mistakes = append(mistakes, k.mistakes(path)...)
		if seen[k.Name] && k.Name != "" {
			mistakes = append(mistakes, fmt.Errorf("%s.Name: %q is declared twice", path, k.Name))
		}
		seen[k.Name] = true
	}
	for i, k := range o.Keys {
		if len(k) < minKey {
			mistakes = append(mistakes, fmt.Errorf("Keys[%d]: %d bytes; a key needs at least %d", i, len(k), minKey))
		}
	}
	if o.Encrypt && len(o.Keys) == 0 && (o.Keys != nil || len(o.Secret) == 0) {
		mistakes = append(mistakes, errors.New("Encrypt: there are no keys to encrypt with: set Keys"))
	}
	if o.Shared != nil && len(o.Secret) == 0 && slices.ContainsFunc(o.Classes, func(k Class) bool { return k.Private }) {
		mistakes = append(mistakes, errors.New("Secret: private classes on a shared tier need one, the same on every node"))
	}
	if o.NearBytes != 0 && o.NearBytes < minNearBytes {
		mistakes = append(mistakes, fmt.Errorf("NearBytes: %d is less than %d", o.NearBytes, minNearBytes))
	}
	if o.Codec != "" && o.Codec != CBOR && o.Codec != JSON {
		mistakes = append(mistakes, fmt.Errorf("Codec: %q is neither %q nor %q", o.Codec, CBOR, JSON))
	}
	if len(o.Node) > maxNode {
		mistakes = append(mistakes, fmt.Errorf("Node: %d bytes; at most %d are allowed", len(o.Node), maxNode))
	}
	if o.Trace != nil && o.Trace.Step == nil {
		mistakes = append(mistakes, errors.New("Trace: its Step is nil"))
	}
	if o.Off > AlwaysOff {
		mistakes = append(mistakes, fmt.Errorf("Off: there is no switch %d", o.Off))
	}
	if o.LedgerSize < 0 {
		mistakes = append(mistakes, errors.New("LedgerSize: is negative"))
	}
	return configError("Options", mistakes)
}
