package forebay_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A timedTier is a tier in memory whose clock can be set.
type timedTier struct {
	*shared.Memory
	off atomic.Int64
}

func (m *timedTier) Clock() time.Time { return time.Now().Add(time.Duration(m.off.Load())) }

// The tier's clock is set an hour forward or back. Nothing may be served for longer than its class says,
// and afterwards the nodes share what they store as before.
func TestTheTiersClockIsSet(t *testing.T) {
	for name, by := range map[string]time.Duration{"forward": time.Hour, "back": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const ttl = 3 * time.Hour
				tier := &timedTier{Memory: shared.NewMemory()}
				writer, reader := timedNode(t, tier, ttl), timedNode(t, tier, ttl)
				writer.Get(ctx, "before")
				time.Sleep(30 * time.Minute)
				tier.off.Store(int64(by))
				for range 5 {
					for _, f := range []*forebay.Func[string, time.Time]{reader, writer} {
						if r := f.Do(ctx, "before"); time.Since(r.Value) > ttl {
							t.Errorf("an answer of %s is served", time.Since(r.Value))
						}
					}
					time.Sleep(40 * time.Minute) // the last look is ten minutes past its time
				}
				writer.Get(ctx, "after")
				synctest.Wait()
				if r := reader.Do(ctx, "after"); r.Status != forebay.Hit || r.Tier != forebay.TierShared {
					t.Errorf("what is stored afterwards: %s %s", r.Status, r.Tier)
				}
			})
		})
	}
}

func timedNode(t *testing.T, s shared.Tier, ttl time.Duration) *forebay.Func[string, time.Time] {
	t.Helper()
	c := open(t, forebay.Options{Shared: s, Logger: slog.New(slog.DiscardHandler), Classes: []forebay.Class{{Name: "c", TTL: ttl, StaleIfError: -1}}})
	return wrap(t, c, "c", func(context.Context, string) (time.Time, error) { return time.Now(), nil })
}
