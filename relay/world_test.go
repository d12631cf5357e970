package relay_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay/internal/replica"
	"github.com/forebay-cache/forebay/relay"
	"github.com/forebay-cache/forebay/shared"
)

var (
	worldNodes  = flag.Int("nodes", 40, "nodes of the simulated world")
	worldWrites = flag.Int("invalidations", 1500, "invalidations in the simulated world")
	worldSeed   = flag.Uint64("seed", 0, "of the simulated world; 0: some seeds, one after the other")
)

// A link is the way between two machines: it delays, loses, and is cut.
type link struct {
	world    *world
	delay    time.Duration // one way
	loss     float64       // of what is sent
	cut      atomic.Bool
	messages atomic.Int64
	bytes    atomic.Int64
	wakes    atomic.Int64
}

// pass takes a message over the link. What is lost is noticed when the budget is spent.
func (l *link) pass(ctx context.Context, size int) error {
	l.messages.Add(1)
	l.bytes.Add(int64(size))
	if l.cut.Load() || l.loss > 0 && l.world.chance() < l.loss {
		return wait(ctx, budget, shared.ErrAway)
	}
	return wait(ctx, l.delay, nil)
}

// budget is what a tier in the world takes for an answer that does not come.
const budget = 500 * time.Millisecond

func wait(ctx context.Context, d time.Duration, after error) error {
	select {
	case <-time.After(d):
		return after
	case <-ctx.Done():
		return shared.ErrAway
	}
}

// recordSize is what a record takes in an answer, measured: see docs/performance.md.
const recordSize = 120

// far is the log, on the other side of a link.
type far struct {
	*shared.Memory // values, which nobody has
	world          *world
	link           *link
}

func (f far) over(ctx context.Context, there int, do func() (shared.Reading, error)) (shared.Reading, error) {
	if err := f.link.pass(ctx, there); err != nil {
		return shared.Reading{}, err
	}
	r, err := do()
	if err != nil {
		return r, err
	}
	return r, f.link.pass(ctx, 64+recordSize*len(r.Records))
}

func (f far) Read(ctx context.Context, head shared.Stamp) (shared.Reading, error) {
	return f.over(ctx, 64, func() (shared.Reading, error) { return f.world.log.Load().Read(ctx, head) })
}

func (f far) Append(ctx context.Context, head shared.ID, records []shared.Record) (shared.Reading, error) {
	return f.over(ctx, 64+recordSize*len(records), func() (shared.Reading, error) { return f.world.log.Load().Append(ctx, head, records) })
}

func (f far) Rejoin(ctx context.Context, seen shared.Stamp, left []string) (shared.Reading, error) {
	return f.over(ctx, 64, func() (shared.Reading, error) { return f.world.log.Load().Rejoin(ctx, seen, left) })
}

func (f far) Follow(ctx context.Context, head shared.ID) error {
	if err := f.link.pass(ctx, 64); err != nil {
		return err
	}
	following, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	f.world.log.Load().Follow(following, head)
	f.link.wakes.Add(1)
	return f.link.pass(ctx, 64)
}

// RoundTrip is the way to a relay.
func (l *link) RoundTrip(r *http.Request, to *relay.Server) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	if err := l.pass(r.Context(), 200+len(body)); err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w := &memoryWriter{header: http.Header{}}
	to.ServeHTTP(w, r)
	if err := l.pass(r.Context(), 200+w.body.Len()); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: max(w.status, 200), Header: w.header, Body: io.NopCloser(&w.body), Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
}

type memoryWriter struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *memoryWriter) Header() http.Header         { return w.header }
func (w *memoryWriter) WriteHeader(status int)      { w.status = status }
func (w *memoryWriter) Write(p []byte) (int, error) { return w.body.Write(p) }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A world is nodes, each with the very copy of the log that a cache has, and links between them and one log.
type world struct {
	t     *testing.T
	begin time.Time
	log   atomic.Pointer[shared.Memory]

	mu     sync.Mutex // guards the fields below
	random *rand.Rand
	delays []time.Duration

	nodes  []*replica.Replica
	links  []*link // of the nodes
	roots  []*link // that end at the log
	relays []*atomic.Pointer[relay.Server]
	ups    []far // of the relays
	closes []func()
	work   sync.WaitGroup
	ctx    context.Context
}

func (w *world) chance() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.Float64()
}

func (w *world) pick(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

// children is how many nodes a relay has.
const children = 32

// newWorld builds one. Of its relays each third is 5, 80 and 200 ms from the log, there and back.
func newWorld(t *testing.T, seed uint64, nodes int, relayed bool, loss float64) *world {
	w := &world{t: t, begin: time.Now(), random: rand.New(rand.NewPCG(seed, 1))}
	w.log.Store(shared.NewMemory())
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx = ctx
	w.closes = append(w.closes, cancel)
	far0 := []time.Duration{2500 * time.Microsecond, 40 * time.Millisecond, 100 * time.Millisecond}
	for i := range nodes {
		region := i * len(far0) / nodes
		var tier shared.Tier
		if relayed {
			if i%children == 0 {
				up := &link{world: w, delay: far0[region], loss: loss}
				w.roots = append(w.roots, up)
				w.ups = append(w.ups, far{shared.NewMemory(), w, up})
				one := &atomic.Pointer[relay.Server]{}
				one.Store(relay.NewServer(w.ups[len(w.ups)-1], "token"))
				w.relays = append(w.relays, one)
			}
			parent, down := w.relays[len(w.relays)-1], &link{world: w, delay: time.Millisecond, loss: loss}
			client, err := relay.Open(relay.Options{Parents: []string{"http://parent"}, Token: "token", Budget: budget, Logger: quiet,
				Transport: roundTripper(func(r *http.Request) (*http.Response, error) { return down.RoundTrip(r, parent.Load()) })})
			if err != nil {
				t.Fatal(err)
			}
			tier = client
			w.links = append(w.links, down)
		} else {
			up := &link{world: w, delay: far0[region], loss: loss}
			w.roots, w.links = append(w.roots, up), append(w.links, up)
			tier = far{shared.NewMemory(), w, up}
		}
		w.add(tier, i < 24)
	}
	return w
}

// add adds a node. Of some the delays are kept.
func (w *world) add(tier shared.Tier, watched bool) {
	r, err := replica.Open(replica.Options{Tier: tier, Targets: 2000, Retention: time.Hour, AppendFor: 10 * time.Second, Now: func() int64 { return int64(time.Since(w.begin)) }, Logger: quiet,
		Learned: func(rec shared.Record) {
			if watched && !rec.Fence {
				at := time.Since(time.UnixMilli(int64(rec.ID.Ms)))
				w.mu.Lock()
				w.delays = append(w.delays, at)
				w.mu.Unlock()
			}
		}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.nodes = append(w.nodes, r)
	w.work.Go(func() {
		r.Start(w.ctx)
		r.Follow(w.ctx)
	})
}

func (w *world) close() {
	for _, c := range w.closes {
		c()
	}
	w.work.Wait()
	for _, s := range w.relays {
		s.Load().Close()
	}
	for _, n := range w.nodes {
		n.Close()
	}
}

// run makes invalidations from random nodes, and asks others whether they know. It returns how many questions could be
// answered, and how many were wrong.
func (w *world) run(writes int, rate float64) (asked, wrong int64) {
	var all sync.WaitGroup
	var n, bad atomic.Int64
	for i := range writes {
		time.Sleep(time.Duration(float64(time.Second) / rate))
		writer, reader := w.nodes[w.pick(len(w.nodes))], w.nodes[w.pick(len(w.nodes))]
		all.Go(func() {
			key := fmt.Sprint("c:", i)
			_, before := reader.Place() // what the reader holds was loaded before
			done := writer.Invalidate(w.ctx, shared.Remove, []shared.Target{{Kind: shared.KindKey, Name: key}})
			if done.Deferred || i%16 != 0 {
				return
			}
			ctx, cancel := context.WithTimeout(w.ctx, 3*time.Second)
			defer cancel()
			if reader.Confirm(ctx, ctx) != nil {
				return // it knows that it does not know: a strict read loads
			}
			n.Add(1)
			if v, _ := reader.Judge(key, "c", nil, before); v != replica.Removed {
				bad.Add(1)
			}
		})
	}
	all.Wait()
	return n.Load(), bad.Load()
}

// healed waits until every node has come to the end of the log.
func (w *world) healed() bool {
	for range 300 {
		time.Sleep(200 * time.Millisecond)
		r, _ := w.log.Load().Read(w.ctx, shared.Stamp{})
		if len(r.Records) == 0 {
			continue
		}
		end := r.Records[len(r.Records)-1]
		if !slices.ContainsFunc(w.nodes, func(n *replica.Replica) bool {
			s := n.Stats()
			return s.Head.ID != end.ID || s.Head.Epoch != end.Epoch || n.Deferred() > 0
		}) {
			return true
		}
	}
	return false
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[int(q*float64(len(d)-1))]
}

// In a simulated world no node that has confirmed serves what was invalidated before, whatever is lost, cut and restarted;
// all of them heal; and what it costs the log is told.
func TestWorld(t *testing.T) {
	seeds := []uint64{1, 2}
	if *worldSeed != 0 {
		seeds = []uint64{*worldSeed}
	}
	rate := max(100, float64(*worldWrites)/60) // a minute of it, or slower
	for _, seed := range seeds {
		for name, c := range map[string]struct {
			relayed bool
			loss    float64
			cuts    bool
		}{
			"all at the log":              {false, 0, false},
			"all at the log, and trouble": {false, 0.02, true},
			"relays":                      {true, 0, false},
			"relays, and trouble":         {true, 0.02, true},
		} {
			t.Run(fmt.Sprintf("%s, seed %d", name, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, seed, *worldNodes, c.relayed, c.loss)
					defer w.close()
					time.Sleep(5 * time.Second)
					if c.cuts {
						w.work.Go(func() { w.trouble() })
					}
					begun := time.Now()
					asked, wrong := w.run(*worldWrites, rate)
					took := time.Since(begun)
					if wrong > 0 || asked == 0 {
						t.Errorf("%d of %d confirmed reads did not know an invalidation that was acknowledged before: -seed %d", wrong, asked, seed)
					}
					if !w.healed() {
						t.Errorf("not every node has healed: -seed %d", seed)
					}
					w.report(took, asked)
				})
			})
		}
	}
}

// trouble cuts links for up to 10 s each, ends a parent and begins another in its place, and loses the whole log.
func (w *world) trouble() {
	for n := range 6 {
		if n == 2 {
			w.log.Store(shared.NewMemory()) // as after FLUSHALL, or a failover to a server that knew nothing
		}
		if n%2 == 1 && len(w.relays) > 0 {
			i := w.pick(len(w.relays))
			old := w.relays[i].Swap(relay.NewServer(w.ups[i], "token"))
			w.work.Go(func() { old.Close() })
		}
		l := w.links[w.pick(len(w.links))]
		if w.pick(2) == 0 {
			l = w.roots[w.pick(len(w.roots))]
		}
		l.cut.Store(true)
		wait(w.ctx, time.Duration(1+w.pick(10))*time.Second, nil)
		l.cut.Store(false)
		wait(w.ctx, time.Duration(w.pick(4))*time.Second, nil)
	}
}

// report prints a row of the table in docs/edge.md.
func (w *world) report(took time.Duration, asked int64) {
	var messages, volume, wakes, nodeMessages, nodeBytes int64
	for _, l := range w.roots {
		messages, volume, wakes = messages+l.messages.Load(), volume+l.bytes.Load(), wakes+l.wakes.Load()
	}
	for _, l := range w.links {
		nodeMessages, nodeBytes = nodeMessages+l.messages.Load(), nodeBytes+l.bytes.Load()
	}
	s, n := took.Seconds(), float64(len(w.nodes))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Logf("%d nodes, %d relays, %d invalidations in %.0f s: known elsewhere p50 %s, p99 %s; %d confirmed reads, all right; at the log %.0f messages, %.0f wakes, %.0f KB a second; at a node %.1f messages, %.1f KB a second",
		len(w.nodes), len(w.relays), *worldWrites, s, quantile(w.delays, 0.5).Round(time.Millisecond), quantile(w.delays, 0.99).Round(time.Millisecond), asked,
		float64(messages)/s, float64(wakes)/s, float64(volume)/1000/s, float64(nodeMessages)/s/n, float64(nodeBytes)/1000/s/n)
}
