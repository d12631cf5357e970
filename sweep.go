package forebay

import (
	"context"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/internal/replica"
	"github.com/forebay-cache/forebay/shared"
)

// The rate of sweeping is bounded: between the pages of a scan, and between two sweeps, which also
// wait for a multiple of what the last one took.
const (
	sweepPause = 10 * time.Millisecond
	sweepGap   = time.Second
	sweepShare = 4
)

// sweeper owns the removal of what invalidations left behind, in both tiers: so that it takes no
// room. Reads never need it.
func (c *Cache) sweeper(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.sweep:
		}
		begin := time.Now()
		c.near.sweep(ctx.Done())
		if c.shared != nil {
			c.sweepShared(ctx)
		}
		select {
		case <-time.After(max(sweepGap, sweepShare*time.Since(begin))):
		case <-ctx.Done():
		}
	}
}

// sweepShared scans the tier, page by page, and unlinks what the ledger says is removed. It gives
// up where the tier fails: the entries have a TTL.
func (c *Cache) sweepShared(ctx context.Context) {
	for cursor := uint64(0); c.replica.Ready(); {
		page, next, err := c.shared.Scan(ctx, cursor, "")
		if err != nil {
			return
		}
		var gone []string
		for _, s := range page {
			env, err := codec.OpenHeader(s.Head)
			if err != nil {
				continue // not ours, or of another version: it has a TTL
			}
			if v, _, ahead := c.replica.JudgeStamp(env.Key, env.Class, env.Tags, env.Stamp); v == replica.Removed && !ahead {
				gone = append(gone, s.Key)
			}
		}
		if len(gone) > 0 && c.shared.Unlink(ctx, gone...) != nil {
			return
		}
		if cursor = next; cursor == 0 {
			return
		}
		select {
		case <-time.After(sweepPause):
		case <-ctx.Done():
			return
		}
	}
}

// sweepFor asks for what an invalidation needs: a single key is unlinked, anything wider is swept.
func (c *Cache) sweepFor(targets []Target, mode Mode) {
	wide := false
	for _, t := range targets {
		if t.Kind != shared.KindKey {
			wide = true
			continue
		}
		c.near.get(t.Name, c.now()) // drops what it finds removed
		if c.shared != nil && mode == Remove {
			c.shared.enqueue(job{key: c.stored(t), remove: true})
		}
	}
	if !wide {
		return
	}
	select {
	case c.sweep <- struct{}{}:
	default:
	}
}

// stored is where a key's entry is in the shared tier.
func (c *Cache) stored(key Target) string {
	name, _, _ := strings.Cut(key.Name, ":")
	c.mu.Lock()
	defer c.mu.Unlock()
	if sp := c.names[name]; sp != nil {
		return sp.stored(key.Name)
	}
	return key.Name
}
