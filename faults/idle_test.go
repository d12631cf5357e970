package faults

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
)

// idle lets a log be idle for longer than it is kept, and trims it when one record has come. A node that
// begins then must still find what was stored before that record (rule 11).
func idle(t *testing.T, old checkNode, open func() (checkNode, func(), error), loads *atomic.Int64) {
	t.Helper()
	const kept, tries = 20 * time.Millisecond, 10
	ctx := context.Background()
	for range tries {
		first, err := old.cache.Invalidate(ctx, forebay.Everything())
		if err != nil || first.Deferred {
			continue
		}
		for i := range checkKeys {
			old.loose.Get(ctx, i)
		}
		time.Sleep(5 * kept) // all is written behind the requests
		if old.cache.Stats().Log.Head.ID != first.ID {
			continue // the log was not idle
		}
		last, err := old.cache.Invalidate(ctx, forebay.Tag("nobody's"))
		if err != nil || last.Deferred {
			continue
		}
		if err := old.tier.Trim(ctx, kept); err != nil {
			continue
		}
		begins, end, err := open()
		if err != nil {
			t.Fatal(err)
		}
		before := loads.Load()
		for i := range checkKeys {
			begins.loose.Get(ctx, i)
		}
		after, head := loads.Load(), begins.cache.Stats().Log.Head.ID
		end()
		if head != last.ID {
			continue
		}
		if after > before {
			t.Errorf("not linearizable at the end: %d loads of %d keys after an idle log was trimmed", after-before, checkKeys)
		}
		return
	}
	t.Errorf("the log was not idle in any of %d tries", tries)
}
