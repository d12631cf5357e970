package forebay

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/internal/replica"
	"github.com/forebay-cache/forebay/shared"
)

// keptPrefix begins the keys of what the nodes keep for themselves, and can begin no function's.
const keptPrefix = "~kept:"

// keptMark begins the values: no entry begins so, and no sweep of the entries takes them.
const keptMark = "kept:"

// Keep stores a small value for all nodes until another takes its place: in the shared tier, or in this process where there
// is none. It is authenticated as entries are ([Options.Keys]).
func (c *Cache) Keep(ctx context.Context, name string, value []byte) error {
	if c.shared == nil {
		c.own.mu.Lock()
		defer c.own.mu.Unlock()
		if c.own.values == nil {
			c.own.values = map[string][]byte{}
		}
		c.own.values[name] = value
		return nil
	}
	e := codec.Envelope{Key: keptPrefix + name, Created: c.shared.Clock(), Payload: value}
	return c.shared.Set(ctx, e.Key, append([]byte(keptMark), e.Bytes(c.keys)...), 0)
}

// Kept returns what [Cache.Keep] has stored, on whatever node; nil if there is nothing, or nothing that a node with one of
// the keys has written.
func (c *Cache) Kept(ctx context.Context, names ...string) ([][]byte, error) {
	out := make([][]byte, len(names))
	if c.shared == nil {
		c.own.mu.Lock()
		defer c.own.mu.Unlock()
		for i, name := range names {
			out[i] = c.own.values[name]
		}
		return out, nil
	}
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = keptPrefix + name
	}
	found, err := c.shared.GetMany(ctx, keys)
	if err != nil {
		return nil, err
	}
	for i, b := range found {
		b, ok := bytes.CutPrefix(b, []byte(keptMark))
		if !ok {
			continue
		}
		if e, err := codec.OpenEnvelope(b, c.keys); err == nil && e.Key == keptPrefix+names[i] {
			out[i] = e.Payload
		}
	}
	return out, nil
}

// Lead takes, or prolongs, what one node alone may hold at a time: for a life, under a token of its holder. Without a shared
// tier this node holds it.
func (c *Cache) Lead(ctx context.Context, name, token string, life time.Duration) (held bool, err error) {
	if c.shared == nil {
		return true, nil
	}
	held, _, err = c.shared.Lease(ctx, keptPrefix+name, token, life)
	if err != nil || held {
		return held, err
	}
	return c.shared.Renew(ctx, keptPrefix+name, token, life) // another holds it, or this node does already
}

// Yield gives back what [Cache.Lead] has taken.
func (c *Cache) Yield(ctx context.Context, name, token string) error {
	if c.shared == nil {
		return nil
	}
	return c.shared.Release(ctx, keptPrefix+name, token)
}

// ReadLog answers with the log from a place on, inclusive; from its beginning if it does not have the place. A record that no
// node with one of the keys has written is Unreadable: it counts as the removal of everything.
func (c *Cache) ReadLog(ctx context.Context, from shared.Stamp) (shared.Reading, error) {
	r, err := c.replica.ReadLog(ctx, from)
	if err != nil {
		return r, fmt.Errorf("read the log: %w", err)
	}
	return r, nil
}

// InvalidatedSince reports whether what has a key, a class and tags was removed or expired since a [Cache.Number].
func (c *Cache) InvalidatedSince(number uint64, key, class string, tags []string) bool {
	if number == c.replica.Number() {
		return false
	}
	v, _ := c.replica.Judge(key, class, tags, number)
	return v != replica.Valid
}

// Number counts what this node has learned of invalidations.
func (c *Cache) Number() uint64 { return c.replica.Number() }

// Place is how far this node has applied the log.
func (c *Cache) Place() shared.Stamp {
	at, _ := c.replica.Place()
	return at
}

// CatchUp returns nil once this node has applied the log up to a place that another one has applied: what it answers from
// then on has no load in it that the other's invalidations cover. It reads the log at most once.
func (c *Cache) CatchUp(ctx context.Context, at shared.Stamp) error {
	has := func() bool {
		own := c.Place()
		return own.Epoch == at.Epoch && own.ID.Compare(at.ID) >= 0
	}
	if has() {
		return nil
	}
	if err := c.replica.Read(ctx); err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	if !has() {
		return fmt.Errorf("the log is at %s in another epoch, or before %s", c.Place().ID, at.ID)
	}
	return nil
}
