package edge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/edge"
	"github.com/forebay-cache/forebay/shared"
)

// A fakeCDN notes what it is asked to purge, and answers as it is told.
type fakeCDN struct {
	mu      sync.Mutex
	calls   []call
	answer  func(n int) error // to the nth call
	slow    time.Duration
	running int
	most    int // calls at the same time
	pending map[string]time.Time
	takes   time.Duration // until a purge has ended
}

type call struct {
	at   time.Time
	tags []string
	soft bool
}

func (f *fakeCDN) Purge(ctx context.Context, tags []string, soft bool) (string, error) {
	f.mu.Lock()
	n := len(f.calls)
	f.calls = append(f.calls, call{time.Now(), slices.Clone(tags), soft})
	f.running++
	f.most = max(f.most, f.running)
	answer, slow := f.answer, f.slow
	f.mu.Unlock()
	defer func() { f.mu.Lock(); f.running--; f.mu.Unlock() }()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if answer != nil {
		if err := answer(n); err != nil {
			return "", err
		}
	}
	id := fmt.Sprint("purge-", n)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pending == nil {
		f.pending = map[string]time.Time{}
	}
	f.pending[id] = time.Now().Add(f.takes)
	return id, nil
}

func (f *fakeCDN) Done(_ context.Context, id string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !time.Now().Before(f.pending[id]), nil
}

func (f *fakeCDN) Limits() edge.Limits { return edge.Limits{Tags: 100, PerMinute: 600, Soft: true} }

func (f *fakeCDN) made() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fakeCDN) say(answer func(int) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// times is how often a tag was purged.
func (f *fakeCDN) times(tag string) (n int) {
	for _, c := range f.made() {
		if slices.Contains(c.tags, tag) {
			n++
		}
	}
	return n
}

// tagOf is the tag of a response with one tag: the one that it does not share with others.
func tagOf(t *testing.T, tag string) string {
	t.Helper()
	of := func(tags ...string) []string {
		h := map[string][]string{}
		edge.Profiles["fastly"].Keep(h, edge.Response{Class: "c", Key: "c:k", Tags: tags, Lifetime: time.Minute})
		return h["Surrogate-Key"]
	}
	with, without := of(tag)[0], of()[0]
	return with[len(without)+1:]
}

func allTag() string {
	h := map[string][]string{}
	edge.Profiles["fastly"].Keep(h, edge.Response{Class: "c", Key: "c:k", Lifetime: time.Minute})
	return h["Surrogate-Key"][0][:12]
}

type node struct {
	cache *forebay.Cache
	queue *edge.Queue
}

func newNode(t *testing.T, tier shared.Tier, cdn edge.Purger, name string) node {
	t.Helper()
	c, err := forebay.Open(t.Context(), forebay.Options{Node: name, Shared: tier, Classes: []forebay.Class{{Name: "c", TTL: time.Hour}}})
	if err != nil {
		t.Fatal(err)
	}
	return node{c, edge.Open(t.Context(), edge.Options{Cache: c, Purger: cdn})}
}

func (n node) close() {
	n.queue.Close()
	n.cache.Close()
}

func (n node) invalidate(t *testing.T, targets ...forebay.Target) shared.ID {
	t.Helper()
	r, err := n.cache.Invalidate(t.Context(), targets...)
	if err != nil || r.Deferred {
		t.Fatal(err, r)
	}
	return r.ID
}

// purged waits until a receipt says what it should.
func (n node) purged(t *testing.T, id shared.ID, want string) edge.Delivery {
	t.Helper()
	for range 1200 {
		r, err := n.queue.Receipt(t.Context(), id)
		if err == nil && r.State == want {
			return r
		}
		time.Sleep(100 * time.Millisecond)
	}
	r, err := n.queue.Receipt(t.Context(), id)
	t.Fatalf("never %s: %+v, %v", want, r, err)
	return r
}

// settled waits until the first turns are over: what was in the CDN before, and before the log began, is not known.
func (n node) settled(t *testing.T) {
	t.Helper()
	n.invalidate(t, forebay.Tag("the first"))
	for range 600 {
		if s, err := n.queue.Status(t.Context()); err == nil && s.Place != "" && !s.Waiting {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the first turn never ends")
}

func TestInvalidationsArePurgedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cdn := &fakeCDN{takes: 3 * time.Second}
		tier := shared.NewMemory()
		a, b := newNode(t, tier, cdn, "a"), newNode(t, tier, cdn, "b")
		defer a.close()
		defer b.close()
		time.Sleep(5 * time.Second) // they hear each other
		a.settled(t)
		if n := cdn.times(allTag()); n < 2 {
			t.Errorf("the first turn purges what was stored before %d times", n)
		}
		begun := time.Now()
		id := b.invalidate(t, forebay.Tag("org:acme"))
		r := a.purged(t, id, edge.Purged)
		if n := cdn.times(tagOf(t, "org:acme")); n != 2 {
			t.Errorf("purged %d times", n)
		}
		if r.Turn == nil || len(r.Turn.Purges) != 2 || r.Turn.Done.Sub(r.Turn.Purged) < time.Second || r.Turn.Purged.Sub(begun) < 3*time.Second {
			t.Errorf("%+v", r.Turn)
		}
		if len(r.Nodes) != 2 || r.Nodes[0].At.IsZero() || r.Nodes[1].At.IsZero() || r.Nodes[0].Node == r.Nodes[1].Node {
			t.Errorf("nodes that have applied it: %+v", r.Nodes)
		}
		if cdn.most != 1 {
			t.Errorf("%d purges at the same time", cdn.most)
		}
	})
}

func TestWhatComesTogetherIsPurgedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cdn := &fakeCDN{slow: 200 * time.Millisecond}
		n := newNode(t, shared.NewMemory(), cdn, "a")
		defer n.close()
		n.settled(t)
		before := len(cdn.made())
		var last shared.ID
		for i := range 250 {
			last = n.invalidate(t, forebay.Tag(fmt.Sprint("tag-", i)))
		}
		n.purged(t, last, edge.Purged)
		if calls := len(cdn.made()) - before; calls > 8 { // 251 tags are three calls, twice; the first invalidation may go alone
			t.Errorf("%d calls for 250 invalidations", calls)
		}
		for i := range 250 {
			if cdn.times(tagOf(t, fmt.Sprint("tag-", i))) < 2 {
				t.Fatalf("tag-%d was not purged twice", i)
			}
		}
		many := make([]forebay.Target, 6000)
		for i := range many {
			many[i] = forebay.Tag(fmt.Sprint("many-", i))
		}
		before = cdn.times(allTag())
		n.purged(t, n.invalidate(t, many...), edge.Purged)
		if cdn.times(allTag()) == before {
			t.Error("6,000 tags are not purged as everything")
		}
	})
}

func TestWhatIsExpiredIsPurgedSoftly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cdn := &fakeCDN{}
		n := newNode(t, shared.NewMemory(), cdn, "a")
		defer n.close()
		n.settled(t)
		r, err := n.cache.Expire(t.Context(), forebay.Tag("soft"))
		if err != nil {
			t.Fatal(err)
		}
		n.purged(t, r.ID, edge.Purged)
		n.purged(t, n.invalidate(t, forebay.InClass("c")), edge.Purged)
		for _, c := range cdn.made() {
			if want := slices.Contains(c.tags, tagOf(t, "soft")); c.soft != want {
				t.Errorf("%v: soft is %v", c.tags, c.soft)
			}
		}
	})
}

func TestPurgesSurvive(t *testing.T) {
	for name, wait := range map[string]time.Duration{"before the first purge": 0, "between both": 700 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tier, cdn := shared.NewMemory(), &fakeCDN{}
				a := newNode(t, tier, cdn, "a")
				a.settled(t)
				everything := cdn.times(allTag())
				cdn.say(func(int) error { return errors.New("the way is blocked") })
				if wait > 0 {
					cdn.say(nil)
				}
				id := a.invalidate(t, forebay.Tag("lost?"))
				time.Sleep(wait)
				a.close() // the process ends
				cdn.say(nil)
				before := cdn.times(tagOf(t, "lost?"))
				b := newNode(t, tier, cdn, "b")
				defer b.close()
				b.purged(t, id, edge.Purged)
				if n := cdn.times(tagOf(t, "lost?")) - before; n != 2 {
					t.Errorf("purged %d times by the next process", n)
				}
				if cdn.times(allTag()) != everything {
					t.Error("the next process purges everything, although nothing was lost")
				}
			})
		})
	}
}

func TestALostLogPurgesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier, cdn := shared.NewMemory(), &fakeCDN{}
		a := newNode(t, tier, cdn, "a")
		a.settled(t)
		a.close()
		before := cdn.times(allTag())
		// Another node invalidates, and the log is trimmed before anybody has purged.
		c, err := forebay.Open(t.Context(), forebay.Options{Node: "c", Shared: tier})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := c.Invalidate(t.Context(), forebay.Tag("unseen")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		tier.Trim(t.Context(), time.Second)
		c.Close()
		b := newNode(t, tier, cdn, "b")
		defer b.close()
		b.settled(t)
		if cdn.times(allTag()) == before {
			t.Error("what was trimmed was not made up for")
		}
	})
}

func TestRefusedPurgesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cdn := &fakeCDN{}
		n := newNode(t, shared.NewMemory(), cdn, "a")
		defer n.close()
		n.settled(t)
		cdn.say(func(int) error { return &edge.RefusedError{Status: 403, Reason: "wrong token"} })
		first := n.invalidate(t, forebay.Tag("one"))
		r := n.purged(t, first, edge.Failed)
		if r.Why == "" {
			t.Errorf("%+v", r)
		}
		second := n.invalidate(t, forebay.Tag("two"))
		n.purged(t, second, edge.Failed) // the queue goes on, and nothing is lost
		s, err := n.queue.Status(t.Context())
		if err != nil || len(s.Dead) != 1 || len(s.Dead[0].Tags) != 3 || s.Problem == "" {
			t.Fatalf("%+v, %v", s, err)
		}
		cdn.say(nil)
		third := n.invalidate(t, forebay.Tag("three"))
		n.purged(t, third, edge.Purged)
		tried := cdn.times(tagOf(t, "one"))
		if count, err := n.queue.Retry(t.Context()); err != nil || count != 2 { // what goes with every purge has gone
			t.Errorf("retried %d, %v", count, err)
		}
		for range 100 {
			if s, err = n.queue.Status(t.Context()); err == nil && len(s.Dead) == 0 {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if len(s.Dead) != 0 || s.Problem != "" || cdn.times(tagOf(t, "one")) != tried+2 {
			t.Errorf("%+v, tried %d times more", s, cdn.times(tagOf(t, "one"))-tried)
		}
		if r, _ := n.queue.Receipt(t.Context(), first); r.State != edge.Purged {
			t.Errorf("the receipt after the retry: %+v", r)
		}
	})
}

func TestABusyCDNIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cdn := &fakeCDN{}
		n := newNode(t, shared.NewMemory(), cdn, "a")
		defer n.close()
		n.settled(t)
		begun := len(cdn.made())
		cdn.say(func(i int) error {
			if i < begun+3 {
				return &edge.BusyError{After: 20 * time.Second, Reason: "429"}
			}
			return nil
		})
		at := time.Now()
		id := n.invalidate(t, forebay.Tag("one"))
		n.purged(t, id, edge.Purged)
		if took := time.Since(at); took < time.Minute || took > 70*time.Second {
			t.Errorf("three times busy for 20 s: %s", took)
		}
		if calls := len(cdn.made()) - begun; calls != 5 {
			t.Errorf("%d calls", calls)
		}
	})
}

func TestLateResponsesArePurged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cdn := &fakeCDN{}
		n := newNode(t, shared.NewMemory(), cdn, "a")
		defer n.close()
		n.settled(t)
		before := len(cdn.made())
		if err := n.queue.Late(t.Context(), "c:k;variant"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		h := map[string][]string{}
		edge.Profiles["fastly"].Keep(h, edge.Response{Class: "c", Key: "c:k", Lifetime: time.Minute})
		key := h["Surrogate-Key"][0][26:38]
		made := cdn.made()[before:]
		if len(made) != 2 || !slices.Equal(made[0].tags, []string{key}) {
			t.Errorf("%+v, want %s", made, key)
		}
	})
}

func TestWithoutASharedTier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cdn := &fakeCDN{}
		n := newNode(t, nil, cdn, "a")
		defer n.close()
		n.settled(t)
		id := n.invalidate(t, forebay.Key("c:k"))
		if r := n.purged(t, id, edge.Purged); len(r.Nodes) != 1 || r.Nodes[0].At.IsZero() {
			t.Errorf("%+v", r)
		}
	})
}
