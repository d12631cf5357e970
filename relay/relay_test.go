package relay_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/relay"
	"github.com/forebay-cache/forebay/shared"
	"github.com/forebay-cache/forebay/shared/sharedtest"
)

var quiet = slog.New(slog.DiscardHandler)

// counted counts the reads of a log.
type counted struct {
	*shared.Memory
	reads, follows atomic.Int64
	away           atomic.Bool
	far            time.Duration // each read of the log takes so long
}

func (c *counted) Read(ctx context.Context, head shared.Stamp) (shared.Reading, error) {
	c.reads.Add(1)
	time.Sleep(c.far)
	if c.away.Load() {
		return shared.Reading{}, shared.ErrAway
	}
	return c.Memory.Read(ctx, head)
}

func (c *counted) Append(ctx context.Context, head shared.ID, records []shared.Record) (shared.Reading, error) {
	if c.away.Load() {
		return shared.Reading{}, shared.ErrAway
	}
	return c.Memory.Append(ctx, head, records)
}

func (c *counted) Follow(ctx context.Context, head shared.ID) error {
	c.follows.Add(1)
	return c.Memory.Follow(ctx, head)
}

func parent(t *testing.T, tier shared.Tier) *httptest.Server {
	t.Helper()
	s := relay.NewServer(tier, relay.Token([]byte("secret")))
	mux := http.NewServeMux()
	mux.Handle(relay.Path, s)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		s.Close()
		s.Close()
		server.Close()
	})
	return server
}

func child(t *testing.T, parents ...string) *relay.Client {
	t.Helper()
	c, err := relay.Open(relay.Options{Parents: parents, Token: relay.Token([]byte("secret")), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestContract(t *testing.T) {
	sharedtest.Run(t, func(t *testing.T) shared.Tier {
		c := child(t, parent(t, shared.NewMemory()).URL)
		c.Read(t.Context(), shared.Stamp{}) // it is not known before whether there is a parent
		return c
	})
}

// node is a cache on a tier, with a function that counts its loads.
func node(t *testing.T, tier shared.Tier, name string, strict bool) (*forebay.Cache, *forebay.Func[string, int64], *atomic.Int64) {
	t.Helper()
	c, err := forebay.Open(t.Context(), forebay.Options{Node: name, Shared: tier, Secret: []byte("secret"), Logger: quiet, Classes: []forebay.Class{{Name: "c", TTL: time.Hour, Strict: strict}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	loads := &atomic.Int64{}
	f, err := forebay.Wrap(c, "c", func(context.Context, string) (int64, error) { return loads.Add(1), nil },
		forebay.KeepBy(func(context.Context, string, int64) forebay.Keep { return forebay.Keep{Tags: []string{"all of them"}} }))
	if err != nil {
		t.Fatal(err)
	}
	return c, f, loads
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal(what)
}

func keyed(t *testing.T, secret string, parents ...string) *relay.Client {
	t.Helper()
	c, err := relay.Open(relay.Options{Parents: parents, Token: relay.Token([]byte(secret)), Keys: [][]byte{[]byte(secret)}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// An invalidation reaches the other region whoever makes it, and whatever it names.
func TestInvalidationsTravel(t *testing.T) {
	root := shared.NewMemory()
	server := parent(t, root)
	a, fa, _ := node(t, root, "root", false)
	for _, coarse := range []bool{false, true} {
		tier, err := relay.Open(relay.Options{Parents: []string{server.URL}, Token: relay.Token([]byte("secret")), Keys: [][]byte{[]byte("secret")}, Coarse: coarse, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		travel(t, a, fa, tier, fmt.Sprint("child-", coarse))
	}
}

func travel(t *testing.T, a *forebay.Cache, fa *forebay.Func[string, int64], tier shared.Tier, name string) {
	t.Helper()
	b, fb, _ := node(t, tier, name, false)
	for name, target := range map[string]forebay.Target{
		"tag": forebay.Tag("all of them"), "class": forebay.InClass("c"), "key": forebay.Key(fa.Key("k")), "pattern": forebay.Pattern("c:*"), "all": forebay.Everything(),
	} {
		for from, by := range map[string]*forebay.Cache{"root": a, "child": b} {
			vb, _ := fb.Get(t.Context(), "k")
			va, _ := fa.Get(t.Context(), "k")
			if again, _ := fb.Get(t.Context(), "k"); again != vb {
				t.Fatalf("%s: the child does not keep it", name)
			}
			if r, err := by.Invalidate(t.Context(), target); err != nil || r.Deferred {
				t.Fatal(err, r)
			}
			eventually(t, name+" by the "+from+" does not reach the child", func() bool { v, _ := fb.Get(t.Context(), "k"); return v != vb })
			eventually(t, name+" by the "+from+" does not reach the root", func() bool { v, _ := fa.Get(t.Context(), "k"); return v != va })
		}
	}
	eventually(t, "the root is not heard", func() bool { return len(b.Stats().Nodes) > 1 })
	s := b.Stats()
	if s.Mode != forebay.TwoTier || s.Log.Unreadable > 0 {
		t.Errorf("%s, %+v, %d unreadable", s.Mode, s.Nodes, s.Log.Unreadable)
	}
}

// A strict read in another region comes after everything that was acknowledged before it began.
func TestStrictReadsAcrossRegions(t *testing.T) {
	root := shared.NewMemory()
	server := parent(t, root)
	a, _, _ := node(t, root, "root", true)
	_, fb, loads := node(t, keyed(t, "secret", server.URL), "child", true)
	for range 300 {
		old, err := fb.Get(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Invalidate(t.Context(), forebay.Tag("all of them")); err != nil {
			t.Fatal(err)
		}
		if v, err := fb.Get(t.Context(), "k"); err != nil || v <= old {
			t.Fatalf("version %d after an invalidation of %d, %v", v, old, err)
		}
	}
	before := loads.Load()
	for range 20 {
		fb.Get(t.Context(), "k")
	}
	if loads.Load() != before {
		t.Error("what is confirmed is loaded again")
	}
}

// Many children cost the log as much as one node.
func TestChildrenShareReads(t *testing.T) {
	root := &counted{Memory: shared.NewMemory(), far: 5 * time.Millisecond} // questions that come meanwhile share an answer
	server := parent(t, root)
	const children, rounds = 40, 30
	all := make([]*relay.Client, children)
	heads := make([]shared.Stamp, children)
	for i := range all {
		all[i] = child(t, server.URL)
		r, err := all[i].Append(t.Context(), shared.ID{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		heads[i] = shared.Stamp{Epoch: r.Records[0].Epoch, ID: r.Records[0].ID}
	}
	before := root.reads.Load()
	var work sync.WaitGroup
	for i, c := range all {
		work.Go(func() {
			for range rounds {
				r, err := c.Read(t.Context(), heads[i])
				if err != nil || len(r.Records) == 0 || r.Records[0].ID != heads[i].ID {
					t.Errorf("%+v, %v", r, err)
				}
			}
		})
	}
	work.Wait()
	if n := root.reads.Load() - before; n > children*rounds/3 {
		t.Errorf("%d reads of the log for %d questions", n, children*rounds)
	}
}

// A cut is survived: what is stored is served, the strict class loads, and what was missed is made up for.
func TestCutOff(t *testing.T) {
	root := &counted{Memory: shared.NewMemory()}
	server := parent(t, root)
	a, _, _ := node(t, root, "root", false)
	b, fb, _ := node(t, keyed(t, "secret", server.URL), "child", false)
	old, _ := fb.Get(t.Context(), "k")
	root.away.Store(true)
	eventually(t, "it is not said", func() bool { return b.Stats().Mode == forebay.Degraded })
	if v, err := fb.Get(t.Context(), "k"); v != old || err != nil {
		t.Errorf("%d, %v: what is stored is not served", v, err)
	}
	if ok, why := b.Stats().Shared.Usable(); ok || !strings.Contains(why, "parent") {
		t.Errorf("%v %q", ok, why)
	}
	root.away.Store(false)
	if _, err := a.Invalidate(t.Context(), forebay.Tag("all of them")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was missed is not made up for", func() bool { v, _ := fb.Get(t.Context(), "k"); return v != old })
	eventually(t, "it is not said to be well", func() bool { return b.Stats().Mode == forebay.TwoTier })
}

func TestAnotherParentTakesOver(t *testing.T) {
	root := shared.NewMemory()
	one, two := parent(t, root), parent(t, root)
	a, _, _ := node(t, root, "root", false)
	_, fb, _ := node(t, keyed(t, "secret", one.URL, two.URL), "child", false)
	old, _ := fb.Get(t.Context(), "k")
	one.CloseClientConnections()
	one.Config.Close()
	if _, err := a.Invalidate(t.Context(), forebay.Tag("all of them")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second parent is not asked", func() bool { v, _ := fb.Get(t.Context(), "k"); return v != old })
}

func TestRefusals(t *testing.T) {
	root := shared.NewMemory()
	server := parent(t, root)
	nothing := httptest.NewServer(http.NotFoundHandler())
	defer nothing.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this gateway speaks version 7 of the relay", http.StatusConflict)
	}))
	defer other.Close()
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer strange.Close()
	for name, c := range map[string]struct {
		client *relay.Client
		says   string
	}{
		"another secret":  {keyed(t, "another", server.URL), "FOREBAY_SECRET"},
		"no parent":       {child(t, nothing.URL), "is no parent"},
		"another version": {child(t, other.URL), "version 7"},
		"something else":  {child(t, strange.URL), "something else"},
		"nobody":          {child(t, "http://127.0.0.1:1"), "does not answer"},
	} {
		_, err := c.client.Read(t.Context(), shared.Stamp{})
		if !errors.Is(err, shared.ErrAway) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if ok, why := c.client.State().Usable(); ok || !strings.Contains(why, c.says) {
			t.Errorf("%s: %v %q", name, ok, why)
		}
	}
	for name, body := range map[string]string{"empty": ``, "no JSON": "x", "unknown": `{"version":1,"op":"drop"}`, "old": `{"version":0}`} {
		r, _ := http.NewRequest("POST", server.URL+relay.Path, strings.NewReader(body))
		r.Header.Set(relay.TokenField, relay.Token([]byte("secret")))
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode >= 500 {
			t.Errorf("%s: %v %v", name, res, err)
		}
	}
}
