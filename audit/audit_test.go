package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/audit"
	"github.com/forebay-cache/forebay/shared"
)

var quiet = slog.New(slog.DiscardHandler)

// deaf is a tier whose log tells a node nothing new, and that all is well: a follower that is broken.
type deaf struct {
	*shared.Memory
	broken atomic.Bool
}

func (d *deaf) Read(ctx context.Context, head shared.Stamp) (shared.Reading, error) {
	r, err := d.Memory.Read(ctx, head)
	if d.broken.Load() && len(r.Records) > 0 {
		r.Records = r.Records[:1]
	}
	return r, err
}

func (d *deaf) GetAndRead(ctx context.Context, key string, head shared.Stamp) ([]byte, shared.Reading, error) {
	r, err := d.Read(ctx, head)
	return nil, r, err
}

// node is a cache with its operators' side, and a function of it.
func node(t *testing.T, tier shared.Tier, name string) (*forebay.Cache, *forebay.Func[string, int64], audit.Node) {
	t.Helper()
	c, err := forebay.Open(t.Context(), forebay.Options{Node: name, Shared: tier, Logger: quiet, SelfTest: -1, Classes: []forebay.Class{{Name: "c", TTL: time.Hour}}})
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int64
	f, err := forebay.Wrap(c, "c", func(context.Context, string) (int64, error) { return n.Add(1), nil },
		forebay.KeepBy(func(_ context.Context, k string, _ int64) forebay.Keep {
			return forebay.Keep{Tags: []string{"tag-" + k}, NearOnly: true}
		}))
	if err != nil {
		t.Fatal(err)
	}
	a := admin.New(c, admin.Options{Loopback: true, Logger: quiet})
	s := httptest.NewServer(a.Handler())
	t.Cleanup(func() { s.Close(); a.Close(); c.Close() })
	return c, f, audit.Node{Title: name, Base: s.URL}
}

func get(t *testing.T, f *forebay.Func[string, int64], key string) {
	t.Helper()
	if _, err := f.Get(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

func TestABrokenFollowerIsFound(t *testing.T) {
	after := audit.After
	audit.After = []time.Duration{500 * time.Millisecond, time.Second}
	defer func() { audit.After = after }()
	log := shared.NewMemory()
	ear := &deaf{Memory: log}
	good, fg, well := node(t, log, "good")
	_, fb, broken := node(t, ear, "broken")
	watching, _, _ := node(t, log, "audit")
	for i := range 4 {
		get(t, fg, fmt.Sprint(i))
		get(t, fb, fmt.Sprint(i))
	}
	ear.broken.Store(true)
	time.Sleep(time.Second) // what was loaded is older than the doubt
	found := make(chan audit.Violation, 100)
	a := audit.New(audit.Options{Cache: watching, Clock: log.Clock, Places: func(context.Context) []audit.Place {
		return []audit.Place{well, broken, audit.Node{Title: "gone", Base: "http://127.0.0.1:1"}}
	}, Found: func(v audit.Violation) { found <- v }, Logger: quiet})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan audit.Findings)
	go func() { done <- a.Run(ctx) }()
	time.Sleep(100 * time.Millisecond)
	for _, target := range []forebay.Target{forebay.Tag("tag-0"), forebay.Key(fg.Key("1")), forebay.Pattern("c:'2*"), forebay.InClass("c"), forebay.Everything()} {
		if _, err := good.Invalidate(t.Context(), target); err != nil {
			t.Fatal(err)
		}
	}
	get(t, fg, "0") // what is loaded again is no violation
	time.Sleep(1800 * time.Millisecond)
	stop()
	r := <-done
	if r.Invalidations != 5 || r.Audited != 5 {
		t.Errorf("%+v", r)
	}
	close(found)
	n := 0
	for v := range found {
		n++
		if v.Place != "broken" || v.Tier != "node" || v.Age < 0.9 || v.What == "" {
			t.Errorf("%+v", v)
		}
	}
	if n != 10 || len(r.Latest) != 10 {
		t.Errorf("%d violations for 5 invalidations at 2 times", n)
	}
	for _, c := range r.Counts {
		if c.Checked != 15 || c.Violations != 5 || c.Failed != 5 {
			t.Errorf("%+v", c)
		}
	}
	if kept, is, err := audit.Read(t.Context(), good); err != nil || !is || len(kept.Counts) != 2 {
		t.Errorf("kept for the nodes: %+v, %v, %v", kept, is, err)
	}
}

func TestAnEdgeIsAsked(t *testing.T) {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"entries":[{"class":"c","key":"c:k","tags":["one","two"]}]}`)
	}))
	defer gateway.Close()
	age := "30"
	edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if age != "" {
			w.Header().Set("Age", age)
		}
	}))
	defer edge.Close()
	e := audit.NewEdge(edge.URL, audit.Node{Base: gateway.URL})
	if err := e.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[shared.Target]bool{
		forebay.Tag("two"): true, forebay.Tag("three"): false, forebay.InClass("c"): true, forebay.InClass("d"): false,
		forebay.Key("c:k"): true, forebay.Key("c:l"): false, forebay.Pattern("c:*"): true, forebay.Pattern("d:*"): false, forebay.Everything(): true,
	} {
		what, got, _, found, err := e.Holds(t.Context(), target)
		if err != nil || found != want || found && (got != 30*time.Second || what != edge.URL) {
			t.Errorf("%s: %q %s %v %v", target, what, got, found, err)
		}
	}
	age = ""
	if _, _, _, found, err := e.Holds(t.Context(), forebay.Everything()); found || err != nil {
		t.Errorf("an answer without Age: %v %v", found, err)
	}
}
