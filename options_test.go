package forebay_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/forebaytest"
)

// A shape is of a sealed interface, which no codec reads back by itself.
type shape interface{ area() float64 }

type square struct{ Side float64 }

func (s square) area() float64 { return s.Side * s.Side }

func encodeShape(s shape) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(s.(square))
	return b.Bytes(), err
}

func decodeShape(b []byte) (shape, error) {
	var s square
	err := gob.NewDecoder(bytes.NewReader(b)).Decode(&s)
	return s, err
}

// foreign is a parameter that no plan can write.
type foreign struct {
	hidden int
	any    any
}

func TestKeyBy(t *testing.T) {
	c := open(t, forebay.Options{})
	load := func(_ context.Context, p foreign) (int, error) { return p.hidden, nil }
	if _, err := forebay.Wrap(c, "c", load); !errors.Is(err, forebay.ErrConfig) || !strings.Contains(err.Error(), "KeyBy") {
		t.Errorf("the error does not name KeyBy: %v", err)
	}
	f := wrap(t, c, "c", load, forebay.KeyBy[foreign, int](func(p foreign) string { return fmt.Sprint(p.hidden, ",", p.any) }))
	expect(t, f.Do(ctx, foreign{1, "a"}), 1, forebay.Miss, forebay.ReasonAbsent)
	expect(t, f.Do(ctx, foreign{1, "a"}), 1, forebay.Hit, forebay.NoReason)
	expect(t, f.Do(ctx, foreign{2, "a"}), 2, forebay.Miss, forebay.ReasonAbsent)
	if got := f.Key(foreign{1, "*"}); strings.ContainsAny(strings.TrimSuffix(got, ","), ",*") {
		t.Errorf("the key %q is not escaped", got)
	}
	if _, err := f.Invalidate(ctx, foreign{1, "a"}); err != nil {
		t.Fatal(err)
	}
	expect(t, f.Do(ctx, foreign{1, "a"}), 1, forebay.Miss, forebay.ReasonAbsent)
	long := strings.Repeat("long ", 100)
	if a, b := f.Key(foreign{1, long}), f.Key(foreign{1, long + "x"}); a == b || len(a) > 210 {
		t.Errorf("long keys: %q, %q", a, b)
	}
}

func TestEncodeBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := forebaytest.Nodes(t, 2, forebay.Options{})
		shapes := make([]*forebay.Func[float64, shape], 2)
		for i, c := range nodes {
			shapes[i] = wrap(t, c, "shapes", func(_ context.Context, side float64) (shape, error) { return square{side}, nil }, forebay.EncodeBy[float64](encodeShape, decodeShape))
		}
		shapes[0].Get(ctx, 3)
		time.Sleep(time.Second)
		r := shapes[1].Do(ctx, 3)
		if r.Tier != forebay.TierShared || r.Value == nil || r.Value.area() != 9 {
			t.Errorf("%v from %s", r.Value, r.Tier)
		}
		if lost := nodes[0].Stats().Shared.Lost; len(lost) > 0 {
			t.Errorf("lost: %v", lost)
		}
	})
}

func TestEncodeByThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, option := range map[string]forebay.Option[int, int]{
			"encode":       forebay.EncodeBy[int](func(int) ([]byte, error) { return nil, errors.New("no form") }, func([]byte) (int, error) { return 0, nil }),
			"encode panic": forebay.EncodeBy[int](func(int) ([]byte, error) { panic("boom") }, func([]byte) (int, error) { return 0, nil }),
			"decode":       forebay.EncodeBy[int](func(int) ([]byte, error) { return []byte("1"), nil }, func([]byte) (int, error) { return 0, errors.New("no value") }),
			"decode panic": forebay.EncodeBy[int](func(int) ([]byte, error) { return nil, nil }, func([]byte) (int, error) { panic("boom") }),
		} {
			nodes := forebaytest.Nodes(t, 2, forebay.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
			one := wrap(t, nodes[0], "c", func(context.Context, int) (int, error) { return 7, nil }, option)
			two := wrap(t, nodes[1], "c", func(context.Context, int) (int, error) { return 7, nil }, option)
			one.Get(ctx, 1)
			time.Sleep(time.Second)
			expect(t, two.Do(ctx, 1), 7, forebay.Miss, forebay.ReasonAbsent)
			if nodes[0].Stats().Shared.Lost["c"] == "" {
				t.Errorf("%s: nobody says that the values stay near", name)
			}
		}
	})
	if _, err := forebay.Wrap(open(t, forebay.Options{}), "c", func(context.Context, int) (int, error) { return 0, nil }, forebay.EncodeBy[int, int](nil, nil)); !errors.Is(err, forebay.ErrConfig) {
		t.Errorf("nil functions: %v", err)
	}
}

func TestTagsOfTheCaller(t *testing.T) {
	caller := func(ctx context.Context) string { s, _ := ctx.Value(callerKey{}).(string); return s }
	c := open(t, forebay.Options{Caller: caller, Classes: []forebay.Class{{Name: "own", Private: true}}})
	f := wrap(t, c, "own", func(ctx context.Context, _ int) (string, error) { return caller(ctx), nil },
		forebay.KeepBy(func(ctx context.Context, _ int, _ string) forebay.Keep {
			return forebay.Keep{Tags: []string{"user:" + caller(ctx)}}
		}))
	anna, ben := context.WithValue(ctx, callerKey{}, "anna"), context.WithValue(ctx, callerKey{}, "ben")
	f.Get(anna, 1)
	f.Get(ben, 1)
	c.Invalidate(ctx, forebay.Tag("user:anna"))
	if r := f.Do(anna, 1); r.Status != forebay.Miss {
		t.Errorf("anna's: %s", r.Status)
	}
	if r := f.Do(ben, 1); r.Status != forebay.Hit || r.Value != "ben" {
		t.Errorf("ben's: %s %s", r.Status, r.Value)
	}
}

func TestCallOptions(t *testing.T) {
	bubble(t, forebay.Class{TTL: time.Minute, Stale: time.Minute, Jitter: -1}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{}
		f := wrap(t, c, "c", o.load)
		if r := f.Do(ctx, "a", forebay.WithOnlyIfCached()); !errors.Is(r.Err, forebay.ErrNotCached) || r.Status != forebay.Miss {
			t.Errorf("only if cached, and it is not: %v, %s", r.Err, r.Status)
		}
		f.Get(ctx, "a")
		o.write("a")
		expect(t, f.Do(ctx, "a", forebay.WithOnlyIfCached()), 0, forebay.Hit, forebay.NoReason)
		expect(t, f.Do(ctx, "a", forebay.WithBypass()), 1, forebay.Bypass, forebay.ReasonAsked)
		expect(t, f.Do(ctx, "a"), 0, forebay.Hit, forebay.NoReason)
		expect(t, f.Do(ctx, "a", forebay.WithRefresh(), forebay.WithTTL(10*time.Second)), 1, forebay.Miss, forebay.ReasonRefreshed)
		if r := f.Do(ctx, "a"); r.TTL != 10*time.Second {
			t.Errorf("ttl %s, want 10s", r.TTL)
		}
		if r := f.Do(ctx, "b", forebay.WithTTL(-1)); r.Stored {
			t.Error("stored what was not to be kept")
		}
		if r := f.Do(ctx, "c", forebay.WithOnlyIfCached(), forebay.WithBypass()); !errors.Is(r.Err, forebay.ErrNotCached) {
			t.Errorf("neither cached nor loaded: %v", r.Err)
		}
		time.Sleep(20 * time.Second)
		expect(t, f.Do(ctx, "a", forebay.WithOnlyIfCached()), 1, forebay.StaleHit, forebay.ReasonReloading)
	})
}

func TestOff(t *testing.T) {
	for _, test := range []struct {
		environment string
		option      forebay.Switch
		off         bool
	}{{"", forebay.ByEnvironment, false}, {"1", forebay.ByEnvironment, true}, {"true", forebay.ByEnvironment, true}, {"0", forebay.ByEnvironment, false}, {"1", forebay.NeverOff, false}, {"", forebay.AlwaysOff, true}} {
		t.Setenv("FOREBAY_OFF", test.environment)
		c := open(t, forebay.Options{Off: test.option, Logger: slog.New(slog.DiscardHandler)})
		o := &origin{}
		f := wrap(t, c, "c", o.load)
		f.Get(ctx, "a")
		f.Get(ctx, "a")
		f.GetMany(ctx, []string{"a", "a"})
		want := int64(1)
		if test.off {
			want = 4
		}
		if n := o.loads.Load(); n != want || c.Off() != test.off || c.Stats().Off != test.off {
			t.Errorf("%+v: %d loads, off %t", test, n, c.Off())
		}
		if _, err := f.Invalidate(ctx, "a"); err != nil {
			t.Error(err)
		}
		if _, err := f.Put(ctx, "a", 1); err != nil {
			t.Error(err)
		}
	}
}

func TestJitterSpreadsWhatWasLoadedAtOnce(t *testing.T) {
	bubble(t, forebay.Class{TTL: 1000 * time.Second}, func(t *testing.T, c *forebay.Cache) {
		f := wrap(t, c, "c", func(_ context.Context, n int) (int, error) { return n, nil })
		least, most := time.Hour, time.Duration(0)
		for i := range 1000 {
			f.Get(ctx, i)
			ttl := f.Do(ctx, i).TTL
			least, most = min(least, ttl), max(most, ttl)
		}
		if least < 950*time.Second || most > 1000*time.Second || most-least < 40*time.Second {
			t.Errorf("from %s to %s", least, most)
		}
	})
}

func TestSliding(t *testing.T) {
	bubble(t, forebay.Class{TTL: time.Minute, Sliding: 10 * time.Minute, StaleIfError: -1, RefreshAhead: -1, Jitter: -1}, func(t *testing.T, c *forebay.Cache) {
		o := &origin{}
		f := wrap(t, c, "c", o.load)
		f.Get(ctx, "read")
		f.Get(ctx, "not")
		begun := time.Now()
		for time.Since(begun) < 10*time.Minute-50*time.Second {
			time.Sleep(40 * time.Second)
			if _, err := f.Get(ctx, "read"); err != nil || o.loads.Load() != 2 {
				t.Fatalf("%s: %d loads, %v", time.Since(begun), o.loads.Load(), err)
			}
		}
		if r := f.Do(ctx, "not"); r.Reason != forebay.ReasonExpired && r.Reason != forebay.ReasonAbsent {
			t.Errorf("what nobody reads: %s %s", r.Status, r.Reason)
		}
		time.Sleep(time.Minute)
		if r := f.Do(ctx, "read"); r.Status != forebay.Miss {
			t.Errorf("after %s: %s, %s old", time.Since(begun), r.Status, r.Age)
		}
		f.Get(ctx, "x")
		time.Sleep(40 * time.Second)
		f.Get(ctx, "x")
		f.Invalidate(ctx, "x")
		expect(t, f.Do(ctx, "x"), 0, forebay.Miss, forebay.ReasonAbsent)
		if n := c.Stats().Near.Entries; n > 3 {
			t.Errorf("%d entries", n)
		}
	})
}

func TestSlidingIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := forebaytest.Nodes(t, 2, forebay.Options{Classes: []forebay.Class{{Name: "c", TTL: time.Minute, Sliding: time.Hour, StaleIfError: -1, Jitter: -1, RefreshAhead: -1}}})
		o := &origin{}
		one, two := wrap(t, nodes[0], "c", o.load), wrap(t, nodes[1], "c", o.load)
		one.Get(ctx, "a")
		for range 5 {
			time.Sleep(40 * time.Second)
			one.Get(ctx, "a")
		}
		time.Sleep(time.Second)
		if r := two.Do(ctx, "a"); r.Status != forebay.Hit || r.Tier != forebay.TierShared {
			t.Errorf("on the other node: %s from %s (%s)", r.Status, r.Tier, r.Reason)
		}
		two.Invalidate(ctx, "a")
		time.Sleep(2 * time.Second)
		if r := one.Do(ctx, "a"); r.Status != forebay.Miss {
			t.Errorf("after the other node's invalidation: %s", r.Status)
		}
	})
}

// What says for itself how long it is kept is kept no longer by being read, also where another node stored it.
func TestSlidingLeavesOwnLivesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := forebaytest.Nodes(t, 2, forebay.Options{Classes: []forebay.Class{{Name: "c", TTL: time.Minute, Sliding: time.Hour, StaleIfError: -1, RefreshAhead: -1}}})
		var f [2]*forebay.Func[int, int]
		for i, c := range nodes {
			f[i] = wrap(t, c, "c", func(_ context.Context, n int) (int, error) { return n, nil },
				forebay.KeepBy(func(context.Context, int, int) forebay.Keep { return forebay.Keep{TTL: 10 * time.Second} }))
		}
		f[0].Get(ctx, 1)
		time.Sleep(6 * time.Second)
		for _, one := range f {
			if r := one.Do(ctx, 1); r.Status != forebay.Hit || r.TTL > 4*time.Second {
				t.Errorf("%s from %s, %s left", r.Status, r.Tier, r.TTL)
			}
		}
		time.Sleep(5 * time.Second)
		for _, one := range f {
			if r, ok := one.Peek(ctx, 1); ok {
				t.Errorf("it is there after its time: %+v", r)
			}
		}
	})
}

func TestMaxBytes(t *testing.T) {
	bubble(t, forebay.Class{MaxBytes: 10_000}, func(t *testing.T, c *forebay.Cache) {
		f := wrap(t, c, "c", func(_ context.Context, n int) ([]byte, error) { return make([]byte, n), nil })
		if r := f.Do(ctx, 100); !r.Stored {
			t.Error("a small one is not stored")
		}
		if r := f.Do(ctx, 20_000); r.Stored || len(r.Value) != 20_000 {
			t.Errorf("a large one: stored %t, %d bytes", r.Stored, len(r.Value))
		}
		if n := c.Stats().Classes[0].NotStored["larger than the class's MaxBytes"]; n != 1 {
			t.Errorf("counted %d times", n)
		}
	})
}

func TestTraceOfTheOptions(t *testing.T) {
	var steps []string
	c := open(t, forebay.Options{Trace: &forebay.Trace{Step: func(_ context.Context, s forebay.Step) { steps = append(steps, s.Stage.String()) }}})
	f := wrap(t, c, "c", func(context.Context, int) (int, error) { return 1, nil })
	f.Get(ctx, 1)
	f.Do(ctx, 1)
	if got := strings.Join(steps, " "); got != "near origin near" {
		t.Errorf("steps: %q", got)
	}
}
