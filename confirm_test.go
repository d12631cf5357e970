package forebay_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A slowLog is a tier in memory whose log answers late, in pages and only while it is not away.
type slowLog struct {
	*shared.Memory
	page  int           // records of one answer; 0: all
	takes time.Duration // between an answer and its arrival
	away  atomic.Bool
	// silent: no reading is answered.
	silent atomic.Bool

	flaky bool // each fifth append fails

	appends atomic.Int64
	reads   atomic.Int64
	most    atomic.Int64 // records that were appended at once
}

func (s *slowLog) Read(ctx context.Context, head shared.Stamp) (shared.Reading, error) {
	s.reads.Add(1)
	r, err := s.Memory.Read(ctx, head)
	time.Sleep(s.takes)
	if s.silent.Load() {
		return shared.Reading{}, context.DeadlineExceeded
	}
	return s.cut(r), err
}

func (s *slowLog) cut(r shared.Reading) shared.Reading {
	if s.page > 0 && len(r.Records) > s.page {
		r.Records, r.More = r.Records[:s.page], true
	}
	return r
}

func (s *slowLog) GetAndRead(ctx context.Context, key string, head shared.Stamp) ([]byte, shared.Reading, error) {
	b, err := s.Get(ctx, key)
	if err != nil {
		return nil, shared.Reading{}, err
	}
	r, err := s.Read(ctx, head)
	return b, r, err
}

func (s *slowLog) Append(ctx context.Context, head shared.ID, records []shared.Record) (shared.Reading, error) {
	if s.away.Load() || s.flaky && s.appends.Add(1)%5 == 0 {
		return shared.Reading{}, shared.ErrAway
	}
	s.most.Store(max(s.most.Load(), int64(len(records))))
	time.Sleep(s.takes)
	r, err := s.Memory.Append(ctx, head, records)
	return s.cut(r), err
}

func strictNode(t *testing.T, s shared.Tier, o *origin) (*forebay.Cache, *forebay.Func[string, int]) {
	t.Helper()
	c := open(t, forebay.Options{Shared: s, Logger: slog.New(slog.DiscardHandler), SelfTest: -1, Classes: []forebay.Class{{Name: "c", TTL: time.Hour, Strict: true}}})
	return c, wrap(t, c, "c", o.load, tagged())
}

// Strict reads that come at the same time read the log together, and none takes a reading from before it came.
func TestStrictReadsConfirmTogether(t *testing.T) {
	const callers, takes = 50, 100 * time.Millisecond
	together := func(f *forebay.Func[string, int]) (values [callers]int) {
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() { values[i], _ = f.Get(ctx, "a") })
		}
		all.Wait()
		return values
	}
	t.Run("they share one reading", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, m := &origin{}, &slowLog{Memory: shared.NewMemory()}
			_, f := strictNode(t, m, o)
			f.Get(ctx, "a")
			synctest.Wait()
			m.takes = takes
			before := m.reads.Load()
			go f.Get(ctx, "a")
			time.Sleep(takes / 2)
			together(f)
			if n := m.reads.Load() - before; n > 3 { // the first, theirs, and the follower's
				t.Errorf("%d callers read the log %d times", callers, n)
			}
		})
	})
	t.Run("and hardly wait for the one before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, m := &origin{}, &slowLog{Memory: shared.NewMemory()}
			_, f := strictNode(t, m, o)
			f.Get(ctx, "a")
			synctest.Wait()
			m.takes = takes
			go f.Get(ctx, "a")
			time.Sleep(takes / 10)
			begun := time.Now()
			f.Get(ctx, "a")
			if took := time.Since(begun); took > takes+takes/10 {
				t.Errorf("a reading that takes %s took %s", takes, took)
			}
		})
	})
	t.Run("sent after they came", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o, m := &origin{}, &slowLog{Memory: shared.NewMemory()}
			a, _ := strictNode(t, m.Memory, o)
			_, f := strictNode(t, m, o)
			f.Get(ctx, "a")
			synctest.Wait()
			m.takes = takes
			go f.Get(ctx, "a")
			time.Sleep(takes / 2) // its answer is on its way
			v := o.write("a")
			if _, err := a.Invalidate(ctx, forebay.Tag("t")); err != nil {
				t.Fatal(err)
			}
			for i, got := range together(f) {
				if got != v {
					t.Fatalf("caller %d read %d after %d was acknowledged", i, got, v)
				}
			}
		})
	})
}

// A caller that could not confirm takes a load that began after it came, also when it has ended: when a log falls silent,
// all that wait for it are let go at once, and do not all load.
func TestWhoCouldNotConfirmTakesALaterLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, m := &origin{took: 10 * time.Millisecond}, &slowLog{Memory: shared.NewMemory()}
		_, f := strictNode(t, m, o)
		f.Get(ctx, "a")
		synctest.Wait()
		m.takes = 50 * time.Millisecond
		m.silent.Store(true)
		before := o.loads.Load()
		var all sync.WaitGroup
		for i := range 8 { // the first loads from 50 ms on, until 60 ms; these come until 35 ms
			all.Go(func() {
				time.Sleep(time.Duration(i) * 5 * time.Millisecond)
				f.Get(ctx, "a")
			})
		}
		all.Go(func() {
			time.Sleep(55 * time.Millisecond) // too late for that
			f.Get(ctx, "a")
		})
		all.Wait()
		if n := o.loads.Load() - before; n != 2 {
			t.Errorf("%d loads", n)
		}
	})
}

// A log that has grown by many answers does not hold up a Strict read: the follower alone reads it.
func TestFarBehindTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, m := &origin{}, &slowLog{Memory: shared.NewMemory(), page: 10}
		a, _ := strictNode(t, m.Memory, o)
		_, f := strictNode(t, m, o)
		f.Get(ctx, "a")
		synctest.Wait()
		m.takes = 10 * time.Millisecond
		v := o.write("a")
		many := []forebay.Target{forebay.Tag("t")}
		for i := range 200 {
			many = append(many, forebay.Tag(fmt.Sprint(i)))
		}
		if _, err := a.Invalidate(ctx, many...); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if r := f.Do(ctx, "a"); r.Value != v || time.Since(begun) > 3*m.takes {
			t.Errorf("read %d after %d was acknowledged, in %s", r.Value, v, time.Since(begun))
		}
		time.Sleep(time.Second)
		f.Get(ctx, "a")
		if r := f.Do(ctx, "a"); r.Status != forebay.Hit || r.Value != v {
			t.Errorf("having caught up: %d, %s", r.Value, r.Status)
		}
	})
}

// Records from before a node started are not reported to its observers, however many answers hold them.
func TestAnOldLogIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, m := &origin{}, &slowLog{Memory: shared.NewMemory(), page: 10}
		a, _ := strictNode(t, m.Memory, o)
		for i := range 100 {
			a.Invalidate(ctx, forebay.Tag(fmt.Sprint(i)))
		}
		var learned atomic.Int64
		open(t, forebay.Options{Shared: m, SelfTest: -1, Observer: forebay.ObserverFunc(func(e forebay.Event) {
			if e.Kind == forebay.EventLearn {
				learned.Add(1)
			}
		})})
		time.Sleep(time.Second)
		if n := learned.Load(); n > 0 {
			t.Errorf("%d old invalidations were told as new", n)
		}
		a.Invalidate(ctx, forebay.Tag("new"))
		time.Sleep(time.Second)
		if n := learned.Load(); n != 1 {
			t.Errorf("a new one was told %d times", n)
		}
	})
}

// Invalidations of many targets are appended in small steps, at once and from the journal, and hold nobody up.
func TestManyTargetsAreAppendedInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, m := &origin{}, &slowLog{Memory: shared.NewMemory()}
		c, f := strictNode(t, m, o)
		_, other := strictNode(t, m.Memory, o)
		other.Get(ctx, "a")
		synctest.Wait()
		m.takes = 10 * time.Millisecond
		targets := func(n int) (all []forebay.Target) {
			for i := range n {
				all = append(all, forebay.Tag(fmt.Sprint(i)))
			}
			return all
		}
		if r, err := c.Invalidate(ctx, targets(1000)...); err != nil || r.Deferred {
			t.Errorf("1,000 targets: %+v, %v", r, err)
		}
		begun := time.Now()
		if r, err := c.Invalidate(ctx, targets(50_000)...); err != nil || !r.Deferred || time.Since(begun) > 300*time.Millisecond {
			t.Errorf("50,000 targets: %+v, %v, after %s", r, err, time.Since(begun))
		}
		m.away.Store(true)
		for range 100 {
			c.Invalidate(ctx, targets(500)...)
		}
		v := o.write("a")
		c.Invalidate(ctx, forebay.Tag("t"))
		m.away.Store(false)
		time.Sleep(10 * time.Second)
		if s := c.Stats(); s.Shared.Deferred > 0 {
			t.Errorf("%d still wait", s.Shared.Deferred)
		}
		if n := m.most.Load(); n > 256 {
			t.Errorf("%d records were appended in one step", n)
		}
		for _, node := range []*forebay.Func[string, int]{f, other} {
			if got, _ := node.Get(ctx, "a"); got != v {
				t.Errorf("read %d after %d was acknowledged", got, v)
			}
		}
	})
}

// What the log has taken from the journal stays taken, also where it never takes all of it in a row.
func TestTheJournalGetsThroughAFlakyLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &slowLog{Memory: shared.NewMemory(), flaky: true}
		c, _ := strictNode(t, m, &origin{})
		m.away.Store(true)
		for i := range 100 {
			var many []forebay.Target
			for j := range 200 {
				many = append(many, forebay.Tag(fmt.Sprint(i, j)))
			}
			c.Invalidate(ctx, many...)
		}
		m.away.Store(false)
		time.Sleep(time.Minute)
		if n := c.Stats().Shared.Deferred; n > 0 {
			t.Errorf("%d still wait", n)
		}
	})
}
