package forebay_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A deafLog is a tier in memory whose log takes nothing for a while.
type deafLog struct {
	*shared.Memory
	deaf atomic.Bool
}

func (d *deafLog) Append(ctx context.Context, head shared.ID, records []shared.Record) (shared.Reading, error) {
	if d.deaf.Load() && len(records) > 0 {
		return shared.Reading{}, shared.ErrAway
	}
	return d.Memory.Append(ctx, head, records)
}

func TestAcknowledged(t *testing.T) {
	run := func(name string, o forebay.Options, test func(t *testing.T, c *forebay.Cache, log *deafLog)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &deafLog{Memory: shared.NewMemory()}
				o.Shared, o.Logger, o.SelfTest = log, slog.New(slog.DiscardHandler), -1
				c := open(t, o)
				time.Sleep(second)
				test(t, c, log)
			})
		})
	}
	invalidate := func(ctx context.Context, c *forebay.Cache) (deferred bool, took time.Duration, err error) {
		begun := time.Now()
		r, err := c.Invalidate(ctx, forebay.Tag("t"))
		return r.Deferred, time.Since(begun), err
	}
	run("a log that is deaf for a moment", forebay.Options{}, func(t *testing.T, c *forebay.Cache, log *deafLog) {
		log.deaf.Store(true)
		time.AfterFunc(600*time.Millisecond, func() { log.deaf.Store(false) })
		if deferred, took, err := invalidate(ctx, c); deferred || err != nil || took < 600*time.Millisecond || took > second {
			t.Errorf("deferred %v after %s, %v", deferred, took, err)
		}
	})
	run("for long: the first waits, the next do not", forebay.Options{}, func(t *testing.T, c *forebay.Cache, log *deafLog) {
		log.deaf.Store(true)
		if deferred, took, err := invalidate(ctx, c); !deferred || err != nil || took < 2*second || took > 3*second {
			t.Errorf("the first: deferred %v after %s, %v", deferred, took, err)
		}
		if deferred, took, err := invalidate(ctx, c); !deferred || err != nil || took > 100*time.Millisecond {
			t.Errorf("the next: deferred %v after %s, %v", deferred, took, err)
		}
		log.deaf.Store(false)
		time.Sleep(second) // the journal is appended
		if deferred, _, err := invalidate(ctx, c); deferred || err != nil {
			t.Errorf("then: deferred %v, %v", deferred, err)
		}
	})
	run("the caller's deadline", forebay.Options{}, func(t *testing.T, c *forebay.Cache, log *deafLog) {
		log.deaf.Store(true)
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if deferred, took, err := invalidate(short, c); !deferred || err != nil || took > 100*time.Millisecond {
			t.Errorf("deferred %v after %s, %v", deferred, took, err)
		}
	})
	run("one attempt", forebay.Options{InvalidateFor: -1}, func(t *testing.T, c *forebay.Cache, log *deafLog) {
		log.deaf.Store(true)
		if deferred, took, err := invalidate(ctx, c); !deferred || err != nil || took > 0 {
			t.Errorf("deferred %v after %s, %v", deferred, took, err)
		}
		if deferred, _, err := invalidate(forebay.MustAcknowledge(ctx), c); !deferred || !errors.Is(err, forebay.ErrDeferred) {
			t.Errorf("that must be acknowledged: deferred %v, %v", deferred, err)
		}
	})
	run("an option", forebay.Options{InvalidateFor: -1, Acknowledged: true}, func(t *testing.T, c *forebay.Cache, log *deafLog) {
		if _, _, err := invalidate(ctx, c); err != nil {
			t.Errorf("with a log: %v", err)
		}
		log.deaf.Store(true)
		if deferred, _, err := invalidate(ctx, c); !deferred || !errors.Is(err, forebay.ErrDeferred) {
			t.Errorf("without: deferred %v, %v", deferred, err)
		}
	})
}
