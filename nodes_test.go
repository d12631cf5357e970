package forebay_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A heldLog is a tier in memory whose appends wait while it is held.
type heldLog struct {
	*shared.Memory
	held chan struct{} // nil: appends go through
}

func (h *heldLog) Append(ctx context.Context, head shared.ID, records []shared.Record) (shared.Reading, error) {
	if h.held != nil && len(records) > 0 {
		<-h.held
	}
	return h.Memory.Append(ctx, head, records)
}

func joined(t *testing.T, s shared.Tier, o *origin) (*forebay.Cache, *forebay.Func[string, int]) {
	t.Helper()
	c := open(t, forebay.Options{Shared: s, Logger: slog.New(slog.DiscardHandler), Classes: []forebay.Class{{Name: "c", TTL: time.Hour}}})
	return c, wrap(t, c, "c", o.load, tagged())
}

// Two caches on one tier in memory are two nodes.
func TestTwoNodesInOneProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, m := &origin{took: second}, shared.NewMemory()
		a, f := joined(t, m, o)
		_, g := joined(t, m, o)
		f.Get(ctx, "a")
		synctest.Wait()
		if r := g.Do(ctx, "a"); r.Status != forebay.Hit || r.Tier != forebay.TierShared {
			t.Errorf("the other node: %s %s", r.Status, r.Tier)
		}
		v := o.write("a")
		if _, err := a.Invalidate(ctx, forebay.Tag("t")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the doorbell has rung
		if r := g.Do(ctx, "a"); r.Value != v {
			t.Errorf("the other node reads %d (%s)", r.Value, r.Status)
		}
	})
}

// While an invalidation is on its way to the log, its node reads the older entry from the shared
// tier. It may not keep it as if it were known to be valid.
func TestAnInvalidationInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, m := &origin{}, &heldLog{Memory: shared.NewMemory()}
		_, other := joined(t, m.Memory, o)
		other.Get(ctx, "a")
		synctest.Wait()
		c, f := joined(t, m, o)
		v := o.write("a")
		m.held = make(chan struct{})
		acknowledged := make(chan struct{})
		go func() {
			c.Invalidate(ctx, forebay.Tag("t"))
			close(acknowledged)
		}()
		synctest.Wait()
		f.Get(ctx, "a") // not acknowledged yet: either answer will do
		close(m.held)
		<-acknowledged
		if r := f.Do(ctx, "a"); r.Value != v {
			t.Errorf("read %d (%s %s) after %d was acknowledged", r.Value, r.Status, r.Tier, v)
		}
	})
}

// A mutedLog is a tier whose log cannot be read while it is muted; its values and leases work.
type mutedLog struct {
	*shared.Memory
	muted atomic.Bool
	sets  atomic.Int64
}

func (m *mutedLog) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	m.sets.Add(1)
	return m.Memory.Set(ctx, key, value, ttl)
}

func (m *mutedLog) Read(ctx context.Context, head shared.Stamp) (shared.Reading, error) {
	if m.muted.Load() {
		return shared.Reading{}, errFull
	}
	return m.Memory.Read(ctx, head)
}

func (m *mutedLog) GetAndRead(ctx context.Context, key string, head shared.Stamp) ([]byte, shared.Reading, error) {
	if m.muted.Load() {
		return nil, shared.Reading{}, errFull
	}
	return m.Memory.GetAndRead(ctx, key, head)
}

// A strict read that could not confirm takes no other node's answer, so it does not wait for one either. Nor is
// its own written to a tier that has just failed.
func TestWhoCouldNotConfirmDoesNotWaitForALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mutedLog{Memory: shared.NewMemory()}
		node := func(s shared.Tier, took time.Duration) *forebay.Func[string, int] {
			c := open(t, forebay.Options{Shared: s, Logger: slog.New(slog.DiscardHandler), Classes: []forebay.Class{{Name: "c", Strict: true}}})
			return wrap(t, c, "c", (&origin{took: took}).load, tagged())
		}
		slow, quick := node(m.Memory, 10*time.Second), node(m, 10*time.Millisecond)
		go slow.Get(ctx, "a") // holds the lease for as long as it loads
		time.Sleep(second)
		m.sets.Store(0) // the self-test's own
		m.muted.Store(true)
		begun := time.Now()
		if _, err := quick.Get(ctx, "a"); err != nil || time.Since(begun) > 10*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		synctest.Wait()
		if n := m.sets.Load(); n > 0 {
			t.Errorf("%d values written", n)
		}
	})
}

func TestSchemaSeparates(t *testing.T) {
	m := shared.NewMemory()
	for schema := range 2 {
		c := open(t, forebay.Options{Shared: m, Logger: slog.New(slog.DiscardHandler), Classes: []forebay.Class{{Name: "c", Schema: schema}}})
		f := wrap(t, c, "c", func(context.Context, string) (int, error) { return schema, nil })
		if v, err := f.Get(ctx, "a"); v != schema || err != nil {
			t.Errorf("schema %d reads %d, %v", schema, v, err)
		}
		c.Close() // so that it is written
	}
}

func TestPrivateClassesOnASharedTierNeedASecret(t *testing.T) {
	_, err := forebay.Open(ctx, forebay.Options{Shared: shared.NewMemory(), Classes: []forebay.Class{{Name: "p", Private: true}}})
	if err == nil {
		t.Error("accepted: each node would hash with a secret of its own")
	}
}

// A tier whose writes hang.
type hungWrites struct {
	*shared.Memory
	hang chan struct{}
}

func (h *hungWrites) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	<-h.hang
	return h.Memory.Set(ctx, key, value, ttl)
}

// Writes are never in the request's way: what finds no room behind it is dropped and counted.
func TestWritesNeverWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, h := &origin{}, &hungWrites{shared.NewMemory(), make(chan struct{})}
		c, f := joined(t, h, o)
		begin := time.Now()
		for i := range 6000 {
			if _, err := f.Get(ctx, strconv.Itoa(i)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("requests waited %s", took)
		}
		s := c.Stats().Shared
		if s.Dropped < 1000 || s.Queued > 4096+8 {
			t.Errorf("%d queued, %d dropped", s.Queued, s.Dropped)
		}
		close(h.hang)
		synctest.Wait()
		if q := c.Stats().Shared.Queued; q != 0 {
			t.Errorf("%d still queued", q)
		}
	})
}
