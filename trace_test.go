package forebay_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A way collects the steps of a request.
type way struct {
	mu    sync.Mutex
	steps []string
}

func (w *way) trace(ctx context.Context) context.Context {
	return forebay.WithTrace(ctx, &forebay.Trace{Step: func(_ context.Context, s forebay.Step) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.steps = append(w.steps, s.Stage.String()+" "+s.Found)
	}})
}

func (w *way) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.steps = nil }()
	return strings.Join(w.steps, ", ")
}

func TestATraceTellsTheWay(t *testing.T) {
	tier := shared.NewMemory()
	load := func(_ context.Context, p string) (string, error) {
		if p == "bad" {
			return "", errors.New("down")
		}
		return p, nil
	}
	a, b := open(t, forebay.Options{Shared: tier}), open(t, forebay.Options{Shared: tier})
	fa, fb := wrap(t, a, "c", load), wrap(t, b, "c", load)
	w := &way{}
	ctx := w.trace(context.Background())
	steps := func(f *forebay.Func[string, string], p, want string) {
		t.Helper()
		f.Do(ctx, p)
		if got := w.take(); !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("%s: %q, want %q", p, got, want)
		}
	}
	steps(fa, "x", "near absent, shared absent, lease taken, origin loaded")
	steps(fa, "x", "near hit")
	steps(fa, "bad", "near absent, shared absent, lease taken, origin failed")
	eventually(t, func() bool { found, _, _ := tier.Scan(t.Context(), 0, "c:x,"); return len(found) > 0 })
	steps(fb, "x", "near absent, shared hit")
	if _, err := a.Invalidate(context.Background(), forebay.InClass("c")); err != nil {
		t.Fatal(err)
	}
	// The sweep may have been there already.
	steps(fa, "x", "near (invalidated|absent), shared (invalidated|absent), lease taken, origin loaded")
}

func TestTwoTracesAreBothTold(t *testing.T) {
	_, f := openOne(t)
	a, b := &way{}, &way{}
	f.Do(b.trace(a.trace(context.Background())), "x")
	if one, two := a.take(), b.take(); one != "near absent, origin loaded" || one != two {
		t.Errorf("%q and %q", one, two)
	}
}

func openOne(t *testing.T) (*forebay.Cache, *forebay.Func[string, string]) {
	c := open(t, forebay.Options{})
	return c, wrap(t, c, "c", func(_ context.Context, p string) (string, error) { return p, nil },
		forebay.KeepBy(func(_ context.Context, p, _ string) forebay.Keep { return forebay.Keep{Tags: []string{"tag-" + p}} }))
}

func TestEntriesAndWhatCoversThem(t *testing.T) {
	c, f := openOne(t)
	for _, p := range []string{"a", "b", "bb"} {
		f.Get(t.Context(), p)
	}
	for target, want := range map[forebay.Target]int{
		forebay.Key("c:a,"): 1, forebay.Tag("tag-b"): 1, forebay.InClass("c"): 3, forebay.Pattern("c:b*"): 2,
		forebay.Everything(): 3, forebay.Key("c:z,"): 0, forebay.InClass("d"): 0,
	} {
		n := 0
		for e := range c.Entries() {
			if e.TTL <= 0 || e.Bytes == 0 || e.Class != "c" {
				t.Errorf("%+v", e)
			}
			if e.Matches(target) {
				n++
			}
		}
		if n != want {
			t.Errorf("%s covers %d, want %d", target, n, want)
		}
	}
	c.Invalidate(t.Context(), forebay.Key("c:a,"))
	for e := range c.Entries() {
		if e.Key == "c:a," {
			t.Error("an invalidated entry is listed")
		}
	}
}

// A node is told what others invalidate, and sees which nodes there are, by the self-tests in the log.
func TestPeers(t *testing.T) {
	tier := shared.NewMemory()
	named := func(name string) *forebay.Cache {
		return open(t, forebay.Options{Shared: tier, Node: name, SelfTest: 20 * time.Millisecond})
	}
	a, b := named("web-1, of two"), named("web-2")
	var mu sync.Mutex
	var learned []string
	stop := a.Observe(forebay.ObserverFunc(func(e forebay.Event) {
		mu.Lock()
		defer mu.Unlock()
		learned = append(learned, e.Kind.String()+" "+e.Targets[0].String())
	}))
	receipt, err := b.Invalidate(t.Context(), forebay.Tag("x"))
	if err != nil || receipt.Deferred {
		t.Fatal(receipt, err)
	}
	eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Equal(learned, []string{"learn tag x"})
	})
	eventually(t, func() bool {
		na, nb := a.Stats().Nodes, b.Stats().Nodes
		return len(na) == 2 && na[0].Name == "web-1, of two" && na[1].Name == "web-2" && len(nb) == 2 && nb[1].Name == "web-1, of two"
	})
	stop()
	stop()
	b.Invalidate(t.Context(), forebay.Tag("y"))
	a.Invalidate(t.Context(), forebay.Tag("z"))
	mu.Lock()
	defer mu.Unlock()
	if len(learned) != 1 {
		t.Errorf("told after the stop: %q", learned)
	}
}

// eventually waits for what other goroutines do.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass")
		}
	}
}
