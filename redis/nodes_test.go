package redis_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/redis"
	"github.com/forebay-cache/forebay/shared"
)

// A node is a cache with a tier of its own on a server, in front of an origin that all nodes share.
type node struct {
	t      *testing.T
	tier   *redis.Tier
	cache  *forebay.Cache
	strict *forebay.Func[string, int]
	loose  *forebay.Func[string, int]
}

// entryKey is where the entry of a function that returns an int is.
func entryKey(key string) string { return "forebay:e:" + key + ofInt() }

func leaseKey(key string) string { return "forebay:l:" + key + ofInt() }

func ofInt() string {
	form := fnv.New32a()
	form.Write([]byte("int"))
	return fmt.Sprintf("@0-%08x", form.Sum32())
}

// A shop is the origin: a counter for each key.
type shop struct {
	mu       sync.Mutex
	versions map[string]int
	loads    atomic.Int64
	now      atomic.Int64 // loads that run
	most     atomic.Int64
	took     time.Duration
}

func (s *shop) load(ctx context.Context, key string) (int, error) {
	s.loads.Add(1)
	n := s.now.Add(1)
	defer s.now.Add(-1)
	for m := s.most.Load(); n > m && !s.most.CompareAndSwap(m, n); m = s.most.Load() {
	}
	s.mu.Lock()
	v := s.versions[key]
	s.mu.Unlock()
	select {
	case <-time.After(s.took):
		return v, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (s *shop) write(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.versions == nil {
		s.versions = map[string]int{}
	}
	s.versions[key]++
	return s.versions[key]
}

func start(t *testing.T, url string, o *shop, opts ...func(*forebay.Options)) *node {
	t.Helper()
	n := &node{t: t, tier: open(t, redis.Options{URL: url})}
	options := forebay.Options{
		Shared: n.tier, Logger: quiet, SelfTest: -1, // it appends to the log, which is what some tests wait for
		Classes: []forebay.Class{{Name: "strict", Strict: true, TTL: time.Hour}, {Name: "loose", TTL: time.Hour}},
	}
	for _, opt := range opts {
		opt(&options)
	}
	var err error
	if n.cache, err = forebay.Open(ctx, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.cache.Close() })
	keep := forebay.KeepBy(func(_ context.Context, key string, _ int) forebay.Keep {
		return forebay.Keep{Tags: []string{"tag-" + key}}
	})
	if n.strict, err = forebay.Wrap(n.cache, "strict", o.load, keep); err != nil {
		t.Fatal(err)
	}
	if n.loose, err = forebay.Wrap(n.cache, "loose", o.load, keep); err != nil {
		t.Fatal(err)
	}
	return n
}

// get reads and fails the test on an error.
func get(t *testing.T, f *forebay.Func[string, int], key string) int {
	t.Helper()
	v, err := f.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (n *node) invalidate(targets ...shared.Target) forebay.Receipt {
	n.t.Helper()
	r, err := n.cache.Invalidate(ctx, targets...)
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

// settled waits until what was loaded has been written behind the requests.
func (n *node) settled() {
	n.t.Helper()
	eventually(n.t, 5*time.Second, "the writes are done", func() bool {
		s := n.cache.Stats().Shared
		return s.Queued == 0
	})
	pause := time.NewTimer(20 * time.Millisecond) // the last one may still be on its way
	<-pause.C
}

func TestASecondNodeHitsTheSharedTier(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	a, b := start(t, s.URL(), o), start(t, s.URL(), o)
	for _, f := range []func(n *node) *forebay.Func[string, int]{func(n *node) *forebay.Func[string, int] { return n.loose }, func(n *node) *forebay.Func[string, int] { return n.strict }} {
		before := o.loads.Load()
		if r := f(a).Do(ctx, "k"); r.Status != forebay.Miss || !r.Stored {
			t.Errorf("the first: %s, stored %v", r.Status, r.Stored)
		}
		a.settled()
		if r := f(b).Do(ctx, "k"); r.Status != forebay.Hit || r.Tier != forebay.TierShared {
			t.Errorf("the other node: %s %s (%s)", r.Status, r.Tier, r.Reason)
		}
		if r := f(b).Do(ctx, "k"); r.Status != forebay.Hit || r.Tier != forebay.TierNear {
			t.Errorf("and then: %s %s", r.Status, r.Tier)
		}
		if n := o.loads.Load() - before; n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	}
	if st := b.cache.Stats(); st.Mode != forebay.TwoTier || st.Shared.P50 == 0 || st.Classes[1].SharedHits != 1 {
		t.Errorf("mode %s, p50 %s, %d shared hits", st.Mode, st.Shared.P50, st.Classes[1].SharedHits)
	}
}

// A change on one node is seen at the other's next read of a strict class, always.
func TestStrictReadsSeeEveryChange(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	nodes := []*node{start(t, s.URL(), o), start(t, s.URL(), o)}
	targets := []shared.Target{forebay.Key("strict:k,"), forebay.Tag("tag-k"), forebay.InClass("strict"), forebay.Pattern("strict:*"), forebay.Everything()}
	for i := range 300 {
		v := o.write("k")
		nodes[i%2].invalidate(targets[i%len(targets)])
		for _, n := range []*node{nodes[(i+1)%2], nodes[i%2]} {
			if got := get(t, n.strict, "k"); got != v {
				t.Fatalf("round %d: read %d after %d was acknowledged", i, got, v)
			}
		}
	}
}

// TestInvalidationLag measures how long another node's other classes take.
func TestInvalidationLag(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	a, b := start(t, s.URL(), o), start(t, s.URL(), o)
	var lags []time.Duration
	for range 200 {
		get(t, b.loose, "k")
		v := o.write("k")
		begin := time.Now()
		a.invalidate(forebay.Tag("tag-k"))
		for get(t, b.loose, "k") != v {
			if time.Since(begin) > 5*time.Second {
				t.Fatal("never seen")
			}
		}
		lags = append(lags, time.Since(begin))
	}
	slices.Sort(lags)
	t.Logf("from the call to the other node's next read: p50 %s, p99 %s", lags[100], lags[197])
}

func TestOneLoadForAllNodes(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{took: 300 * time.Millisecond}
	nodes := []*node{start(t, s.URL(), o), start(t, s.URL(), o)}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if _, err := nodes[i%2].loose.Get(ctx, "cold"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := o.loads.Load(); n != 1 {
		t.Errorf("%d loads for 200 callers on two nodes, want 1", n)
	}
}

func TestADeadHoldersLeaseEnds(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	n := start(t, s.URL(), o)
	s.Do("SET", leaseKey("loose:k,"), "a dead node", "PX", "1000")
	begin := time.Now()
	get(t, n.loose, "k")
	if took := time.Since(begin); took < 500*time.Millisecond || took > 5*time.Second {
		t.Errorf("loaded after %s, want when the lease ended, after 1s", took)
	}
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always"), &shop{}
	a, b := start(t, s.URL(), o), start(t, s.URL(), o)
	get(t, a.loose, "k")
	get(t, b.loose, "k")
	mode := func(n *node) forebay.TierMode { return n.cache.Stats().Mode }
	if mode(a) != forebay.TwoTier {
		t.Fatalf("mode %s", mode(a))
	}
	s.Kill()
	said := eventually(t, 10*time.Second, "degraded is said, without traffic", func() bool { return mode(a) == forebay.Degraded })
	if r := a.loose.Do(ctx, "k"); r.Err != nil || r.Status != forebay.Hit {
		t.Errorf("near entries: %s, %v", r.Status, r.Err)
	}
	if r := a.strict.Do(ctx, "k"); r.Err != nil || r.Status != forebay.Miss {
		t.Errorf("a strict read: %s, %v; want a load", r.Status, r.Err)
	}
	v := o.write("k")
	if r := a.invalidate(forebay.Tag("tag-k")); !r.Deferred {
		t.Errorf("receipt %+v, want deferred", r)
	}
	if got := get(t, a.loose, "k"); got != v {
		t.Errorf("on its own node the invalidation does not count: read %d", got)
	}
	eventually(t, 10*time.Second, "answers say that they are unconfirmed", func() bool { return b.loose.Do(ctx, "k").Unconfirmed })
	s.Restart()
	healed := eventually(t, 10*time.Second, "two-tier again, without traffic", func() bool { return mode(a) == forebay.TwoTier && mode(b) == forebay.TwoTier })
	eventually(t, 10*time.Second, "the other node sees the deferred invalidation", func() bool { return get(t, b.loose, "k") == v })
	if n := a.cache.Stats().Shared.Deferred; n != 0 {
		t.Errorf("%d are still deferred", n)
	}
	t.Logf("degraded said after %s, healed after %s", said, healed)
}

func TestTheJournalSurvivesACrash(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	file := t.TempDir() + "/journal"
	withJournal := func(opts *forebay.Options) { opts.Journal = file }
	b := start(t, s.URL(), o)
	a := start(t, s.URL(), o, withJournal)
	get(t, b.loose, "k")
	s.Freeze()
	eventually(t, 10*time.Second, "the node gives the server up", func() bool { return a.tier.State().Breaker != "closed" || !a.tier.State().Connected })
	v := o.write("k")
	if r := a.invalidate(forebay.Tag("tag-k")); !r.Deferred {
		t.Fatalf("receipt %+v, want deferred", r)
	}
	a.tier.Close() // the node can tell nobody any more …
	a.cache.Close()
	s.Thaw()
	eventually(t, 10*time.Second, "b is two-tier", func() bool { return b.cache.Stats().Mode == forebay.TwoTier })
	if got := get(t, b.loose, "k"); got == v {
		t.Fatal("the other node knows already: nothing is proved")
	}
	start(t, s.URL(), o, withJournal) // … and begins again
	eventually(t, 10*time.Second, "the other node sees it", func() bool { return get(t, b.loose, "k") == v })
}

// What is in the shared tier and cannot be used is a miss with a counted reason.
func TestUnusableValues(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	a := start(t, s.URL(), o)
	get(t, a.loose, "other")
	a.settled()
	good := s.Do("GET", entryKey("loose:other,"))
	if len(good) < 20 {
		t.Fatalf("nothing stored: %q", good)
	}
	flipped := []byte(good)
	flipped[len(flipped)/2] ^= 1
	for reason, value := range map[string]string{
		"format": "\x63" + good[1:], "garbage": "x\x01"[:1], "checksum": string(flipped), "other-key": good,
	} {
		s.Do("SET", entryKey("loose:"+reason+","), value)
		b := start(t, s.URL(), o)
		if r := b.loose.Do(ctx, reason); r.Err != nil || r.Status != forebay.Miss {
			t.Errorf("%s: %s, %v", reason, r.Status, r.Err)
		}
		if n := b.cache.Stats().Shared.Unusable[reason]; n == 0 {
			t.Errorf("%s is not counted: %v", reason, b.cache.Stats().Shared.Unusable)
		}
	}
}

func TestValuesThatDoNotSurviveStayNear(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := start(t, s.URL(), &shop{})
	type secretive struct {
		Name   string
		hidden int
	}
	f, err := forebay.Wrap(n.cache, "loose/secretive", func(_ context.Context, key string) (secretive, error) {
		if key == "nothing" {
			return secretive{}, forebay.ErrNotFound
		}
		return secretive{"x", 7}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Get(ctx, "nothing") // tells nothing of the values
	n.settled()
	if v, err := f.Get(ctx, "k"); err != nil || v.hidden != 7 {
		t.Fatal(v, err)
	}
	eventually(t, 5*time.Second, "the difference is said", func() bool {
		return strings.Contains(n.cache.Stats().Shared.Lost["loose/secretive"], ".hidden")
	})
	n.settled()
	if got := s.Do("KEYS", "forebay:e:loose/secretive:k,*"); got != "*0" {
		t.Errorf("stored %q", got)
	}
	if v, _ := f.Get(ctx, "k"); v.hidden != 7 {
		t.Error("lost a field")
	}
}

func TestSweepReclaimsWithoutKEYS(t *testing.T) {
	t.Parallel()
	s, o := redistest.Start(t), &shop{}
	n := start(t, s.URL(), o)
	for _, target := range []shared.Target{forebay.Key("loose:k1,"), forebay.Tag("tag-k1"), forebay.Pattern("loose:k1*"), forebay.InClass("loose"), forebay.Everything()} {
		for i := range 5 {
			get(t, n.loose, fmt.Sprint("k", i))
		}
		n.settled()
		if s.Do("EXISTS", entryKey("loose:k1,")) != ":1" {
			t.Fatal("not stored")
		}
		n.invalidate(target)
		eventually(t, 10*time.Second, target.String()+" is reclaimed", func() bool { return s.Do("EXISTS", entryKey("loose:k1,")) == ":0" })
	}
	if stats := s.Do("INFO", "commandstats"); strings.Contains(stats, "cmdstat_keys") || !strings.Contains(stats, "cmdstat_scan") {
		t.Error("KEYS was used, or SCAN was not")
	}
}

func TestCodecs(t *testing.T) {
	t.Parallel()
	type answer struct {
		At    time.Time
		Any   map[string]any
		Price float64
		List  []string
		Ptr   *int
	}
	seven := 7
	want := answer{time.Date(2026, 11, 22, 1, 2, 3, 456789, time.UTC), map[string]any{"n": map[string]any{"x": "y"}}, 0.1, []string{strings.Repeat("long ", 5000)}, &seven}
	for _, codec := range []forebay.Codec{forebay.CBOR, forebay.JSON} {
		t.Run(string(codec), func(t *testing.T) {
			s := redistest.Start(t)
			nodes := make([]*forebay.Func[string, answer], 2)
			for i := range nodes {
				n := start(t, s.URL(), &shop{}, func(o *forebay.Options) { o.Codec = codec })
				f, err := forebay.Wrap(n.cache, "loose/answer", func(context.Context, string) (answer, error) {
					if i == 1 {
						return answer{}, errors.New("must come from the shared tier")
					}
					return want, nil
				})
				if err != nil {
					t.Fatal(err)
				}
				nodes[i] = f
				if i == 0 {
					if _, err := f.Get(ctx, "k"); err != nil {
						t.Fatal(err)
					}
					n.settled()
				}
			}
			got, err := nodes[1].Get(ctx, "k")
			if err != nil || !got.At.Equal(want.At) || fmt.Sprint(got.Any) != fmt.Sprint(want.Any) || got.Price != want.Price || got.List[0] != want.List[0] || *got.Ptr != 7 {
				t.Errorf("%+v, %v", got, err)
			}
			size := len(s.Do("EVAL", `return redis.call('GET', redis.call('KEYS', 'forebay:e:loose/answer:k,*')[1])`, "0"))
			if size < 100 || size > 5000 {
				t.Errorf("%d bytes: not compressed", size)
			}
		})
	}
}

// TestNodesUnderLoad lets writers and readers run on three nodes. Strict reads, and reads on the node
// that invalidated, never get less than what was acknowledged before they began.
func TestNodesUnderLoad(t *testing.T) {
	t.Parallel()
	const keys, rounds = 4, 150
	s, o := redistest.Start(t), &shop{}
	nodes := []*node{start(t, s.URL(), o), start(t, s.URL(), o), start(t, s.URL(), o)}
	var promised [keys]atomic.Int64
	var writing sync.WaitGroup
	done := make(chan struct{})
	for k := range keys {
		key := fmt.Sprint("k", k)
		writing.Go(func() {
			for range rounds {
				v := o.write(key)
				n := nodes[rand.IntN(len(nodes))]
				target := []shared.Target{forebay.Key("strict:" + key + ","), forebay.Tag("tag-" + key), forebay.InClass("strict"), forebay.Everything()}[rand.IntN(4)]
				if r := n.invalidate(target); r.Deferred {
					t.Error("deferred")
				}
				promised[k].Store(int64(v))
				if got := get(t, n.strict, key); got < v {
					t.Errorf("own node: read %d after %d", got, v)
				}
			}
		})
	}
	var reading sync.WaitGroup
	for _, n := range nodes {
		for k := range keys {
			reading.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					want := promised[k].Load()
					if got, err := n.strict.Get(ctx, fmt.Sprint("k", k)); err != nil || int64(got) < want {
						t.Errorf("read %d, %v after %d was acknowledged", got, err, want)
						return
					}
				}
			})
		}
	}
	writing.Wait()
	close(done)
	reading.Wait()
}
