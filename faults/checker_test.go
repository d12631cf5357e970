package faults

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/redis"
)

var (
	operations = flag.Int("operations", 200_000, "how many operations TestLinearizable makes")
	seed       = flag.Uint64("seed", 0, "plan of TestLinearizable; 0 draws one")
	clients    = flag.Int("clients", 32, "how many run at the same time in TestLinearizable: fewer make it longer, and see more faults")
	aim        = flag.String("aim", "", "faults of TestLinearizable, by name and comma; default all")
	ledger     = flag.Int("ledger", 40, "how many targets a node of TestLinearizable remembers")
	byTag      = flag.Bool("bytag", false, "invalidate by tag alone in TestLinearizable")
)

// What is checked is a counter that everybody may read, with a floor and a top: raising the counter at
// the origin lifts the top, the acknowledgement of its invalidation lifts the floor, and a read returns
// something between. Linearizable in these three is promise 1, neither more nor less.
type (
	raise struct{ version int }
	ack   struct{ version int }
	read  struct{}
	state struct{ floor, top int }
)

var promise = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(s, input, output any) (bool, any) {
		now := s.(state)
		switch in := input.(type) {
		case raise:
			now.top = max(now.top, in.version)
			return true, now
		case ack:
			now.floor = max(now.floor, in.version)
			return now.floor <= now.top, now
		}
		v := output.(int)
		return now.floor <= v && v <= now.top, now
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(input, output any) string {
		switch in := input.(type) {
		case raise:
			return fmt.Sprint("raise to ", in.version)
		case ack:
			return fmt.Sprint("invalidate after ", in.version)
		}
		return fmt.Sprint("read ", output)
	},
}

// A recorder keeps one key's operations, of the readers and writers that one history is about.
type recorder struct {
	// floor is what nobody may read less of any more: enough to end a run early, not to prove it right.
	floor atomic.Int64

	mu  sync.Mutex // guards what follows
	ops []porcupine.Operation
}

func (r *recorder) note(client int, input, output any, call, end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := input.(ack); ok && !end.After(time.Now()) {
		r.floor.Store(max(r.floor.Load(), int64(a.version)))
	}
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: input, Output: output, Call: call.UnixNano(), Return: end.UnixNano()})
}

// A checkedKey is a counter and what was seen of it.
type checkedKey struct {
	name    string
	version atomic.Int64
	strict  recorder // of everybody's strict reads
	// own is of a node's own other reads, against its own invalidations.
	own [checkNodes + checkProcesses]recorder
	// others is of reads that promise no more than the stated lag.
	others lagged
}

// raise lifts the counter, for every history.
func (k *checkedKey) raise(client int) int {
	begun := time.Now()
	v := int(k.version.Add(1))
	ended := time.Now()
	k.strict.note(client, raise{v}, nil, begun, ended)
	for j := range k.own {
		k.own[j].note(client, raise{v}, nil, begun, ended)
	}
	return v
}

const (
	checkNodes = 3
	checkKeys  = 14
	coldKeys   = 4 // of them

	checkProcesses = 2
)

// TestLinearizable lets readers and writers run on three nodes and in two processes while faults come and
// go, records every operation with its times, and has porcupine check each key's history. What no strict
// read promises is checked against the stated lag, and at the end everything must have arrived.
func TestLinearizable(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("go test -run Linearizable -operations %d -seed %d -aim '%s' .", *operations, *seed, *aim)
	server := newPair(t, checkNodes+checkProcesses)
	keys := make([]*checkedKey, checkKeys)
	for i := range keys {
		keys[i] = &checkedKey{name: fmt.Sprint("k", i)}
	}
	var loads atomic.Int64
	load := func(_ context.Context, i int) (int64, error) {
		loads.Add(1)
		v := keys[i].version.Load()
		time.Sleep(onItsWay())
		return v, nil
	}
	var seen atomic.Bool
	often := &busy{t: t, seen: &seen}
	loadBusy := func(ctx context.Context, i int) (int, error) { return i, often.load(ctx, i, holdsLease(ctx)) }
	open := func(i int) (checkNode, func(), error) {
		return openChecked(t.Context(), server.proxies[i].URL(), load, loadBusy)
	}
	var nodes [checkNodes]checkNode
	for i := range nodes {
		n, end, err := open(i)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(end)
		nodes[i] = n
	}
	processes := startProcesses(t, server, keys, often)
	b := &breaker{t: t, server: server, processes: processes, busy: often, seen: &seen, plan: rand.New(rand.NewPCG(*seed, 2)), stop: make(chan struct{})}
	var breaking sync.WaitGroup
	breaking.Go(b.run)
	asking, enough := context.WithCancel(t.Context())
	var asked sync.WaitGroup
	for _, n := range nodes {
		asked.Go(func() { n.askBusy(asking) })
	}
	counts := operate(nodes, keys, b)
	close(b.stop)
	breaking.Wait()
	outside := processes.stop()
	enough()
	asked.Wait()
	often.check()

	t.Logf("%d operations of other processes, %d of them killed and %d frozen", outside, processes.killed, processes.frozen)
	made := min(counts.made.Load(), int64(*operations))
	total := float64(made)
	t.Logf("%d operations, %.0f %% invalidations, %.0f %% inside a fault", made, 100*float64(counts.invalidations.Load())/total, 100*float64(counts.inFault.Load())/total)
	if *aim == "" && !b.seen.Load() && (float64(counts.invalidations.Load()) < total/5 || float64(counts.inFault.Load()) < total*0.3) {
		t.Errorf("the plan is too easy: at least 20 %% invalidations and 30 %% of the operations inside a fault are wanted")
	}
	if !b.seen.Load() {
		arrive(t, server, nodes, keys)
		idle(t, nodes[0], func() (checkNode, func(), error) { return open(0) }, &loads)
	}
	var behind lags
	for _, k := range keys {
		k.strict.check(t, k.name+", strict")
		for i := range k.own {
			k.own[i].check(t, fmt.Sprintf("%s, node %d's own", k.name, i))
		}
		k.others.check(t, k.name, &behind)
	}
	t.Log(behind.String())
}

// onItsWay is how long what was read is on its way: mostly a moment, sometimes long.
func onItsWay() time.Duration {
	if rand.IntN(10) == 0 {
		return time.Duration(10+rand.IntN(50)) * time.Millisecond
	}
	return time.Duration(rand.IntN(4000)) * time.Microsecond
}

type counted struct{ made, inFault, invalidations atomic.Int64 }

// operate lets the clients run. The last node only reads: who writes learns by his writing what others do.
func operate(nodes [checkNodes]checkNode, keys []*checkedKey, b *breaker) *counted {
	var c counted
	defer watch(&c)()
	var work sync.WaitGroup
	for client := range *clients {
		random := rand.New(rand.NewPCG(*seed, uint64(client)+10))
		work.Go(func() {
			for c.made.Add(1) <= int64(*operations) && !b.seen.Load() {
				if b.faulty.Load() {
					c.inFault.Add(1)
				}
				time.Sleep(time.Duration(random.IntN(600)) * time.Microsecond) // so that a run sees many faults
				at, i := random.IntN(checkNodes), pick(random)
				switch p := random.IntN(100); {
				case p < 24:
					c.invalidations.Add(1)
					at = random.IntN(checkNodes - 1)
					nodes[at].write(client, at, i, keys[i], random, b)
				case p < 28: // promises nothing, and must hide nothing
					at = random.IntN(checkNodes - 1)
					nodes[at].cache.Expire(context.Background(), nodes[at].targets(i, random)...)
				case p < 62:
					nodes[at].readStrict(client, at, i, keys[i], b)
				default:
					nodes[at].readOwn(client, at, i, keys[i], b)
				}
			}
		})
	}
	work.Wait()
	return &c
}

// answeredWithin is how long it may take until one of the clients is answered, whatever is broken.
const answeredWithin = 8 * time.Second

// watch ends the program when nobody is answered any more: no wait of the checker would end.
func watch(c *counted) (stop func()) {
	done := make(chan struct{})
	go func() {
		for last := int64(-1); ; {
			select {
			case <-done:
				return
			case <-time.After(answeredWithin):
			}
			if now := c.made.Load(); now != last {
				last = now
				continue
			}
			panic(fmt.Sprintf("not linearizable: nobody was answered for %s", answeredWithin))
		}
	}()
	return func() { close(done) }
}

// pick draws a key: most are asked for all the time, some hardly ever.
func pick(random *rand.Rand) int {
	if random.IntN(100) < 6 {
		return checkKeys - coldKeys + random.IntN(coldKeys)
	}
	return random.IntN(checkKeys - coldKeys)
}

// arrivesWithin bounds the end of a run, generously.
const arrivesWithin = 40 * time.Second

// arrive ends a run: one node invalidates everything while it cannot reach the log, and when all is well
// again nobody may hold anything older.
func arrive(t *testing.T, server *pair, nodes [checkNodes]checkNode, keys []*checkedKey) {
	t.Helper()
	late := time.AfterFunc(arrivesWithin, func() { panic(fmt.Sprintf("not linearizable at the end: not all has arrived after %s", arrivesWithin)) })
	defer late.Stop()
	well := func() bool {
		for _, n := range nodes {
			if s := n.cache.Stats(); s.Mode != forebay.TwoTier || s.Shared.Deferred > 0 {
				return false
			}
		}
		return true
	}
	wait := func(what string) {
		for deadline := time.Now().Add(20 * time.Second); !well(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not linearizable at the end: %s not all nodes are well again", what)
			}
		}
	}
	wait("after the faults")
	reader := nodes[checkNodes-1]
	for i := range keys {
		reader.strict.Get(context.Background(), i)
		reader.loose.Get(context.Background(), i)
	}
	server.proxies[0].Hold()
	random := rand.New(rand.NewPCG(*seed, 3))
	for i, k := range keys {
		nodes[0].write(0, 0, i, k, random, nil)
	}
	server.proxies[0].Flow()
	wait("after the last invalidations")
	time.Sleep(100 * time.Millisecond)
	for i, k := range keys {
		want := k.version.Load()
		for at, n := range nodes {
			for what, f := range map[string]*forebay.Func[int, int64]{"strict": n.strict, "loose": n.loose} {
				if v, err := f.Get(context.Background(), i); err != nil || v != want {
					t.Errorf("%s: not linearizable at the end: node %d reads %d, %v (%s); the last is %d", k.name, at, v, err, what, want)
				}
			}
		}
	}
}

// checkFor bounds the search; a history that cannot be decided is a failure.
const checkFor = 2 * time.Minute

func (r *recorder) check(t *testing.T, what string) {
	t.Helper()
	if why := r.older(); why != "" {
		t.Errorf("%s: not linearizable: %s", what, why) // to prove it of a long history takes porcupine for ever
		return
	}
	if result := porcupine.CheckOperationsTimeout(promise, r.ops, checkFor); result != porcupine.Ok {
		t.Errorf("%s: %d operations are %s", what, len(r.ops), map[porcupine.CheckResult]string{porcupine.Illegal: "not linearizable", porcupine.Unknown: "undecided"}[result])
	}
}

// older finds a read that is older than what was acknowledged before it began.
func (r *recorder) older() string {
	type at struct {
		time    int64
		version int
	}
	var acks []at
	for _, o := range r.ops {
		if a, ok := o.Input.(ack); ok {
			acks = append(acks, at{o.Return, a.version})
		}
	}
	slices.SortFunc(acks, func(a, b at) int { return cmp.Compare(a.time, b.time) })
	for i := 1; i < len(acks); i++ {
		acks[i].version = max(acks[i].version, acks[i-1].version)
	}
	for _, o := range r.ops {
		if _, ok := o.Input.(read); !ok {
			continue
		}
		i, _ := slices.BinarySearchFunc(acks, o.Call, func(a at, call int64) int { return cmp.Compare(a.time, call) })
		if i > 0 && acks[i-1].version > o.Output.(int) {
			return fmt.Sprintf("read %d, %s after %d was acknowledged", o.Output, time.Duration(o.Call-acks[i-1].time), acks[i-1].version)
		}
	}
	return ""
}

// A checkNode is a cache with a strict and another function on the same counters.
type checkNode struct {
	cache  *forebay.Cache
	tier   *redis.Tier
	strict *forebay.Func[int, int64]
	loose  *forebay.Func[int, int64]
	busy   *forebay.Func[int, int]
}

func openChecked(ctx context.Context, url string, load func(context.Context, int) (int64, error), loadBusy func(context.Context, int) (int, error)) (n checkNode, end func(), err error) {
	quiet := slog.New(slog.DiscardHandler)
	tier, err := redis.Open(ctx, redis.Options{URL: url, Logger: quiet})
	if err != nil {
		return n, nil, err
	}
	n.tier = tier
	n.cache, err = forebay.Open(ctx, forebay.Options{Shared: tier, Logger: quiet, LedgerSize: *ledger,
		Classes: []forebay.Class{{Name: "strict", Strict: true, TTL: time.Hour}, {Name: "loose", TTL: time.Hour, Stale: time.Hour},
			{Name: "busy", TTL: busyTTL, StaleIfError: -1, RefreshAhead: -1}}})
	if err != nil {
		return n, nil, err
	}
	end = func() {
		n.cache.Close()
		tier.Close()
	}
	tagged := forebay.KeepBy(func(i int, _ int64) forebay.Keep { return forebay.Keep{Tags: []string{fmt.Sprint("t", i)}} })
	if n.strict, err = forebay.Wrap(n.cache, "strict", load, tagged); err != nil {
		return n, end, err
	}
	if n.loose, err = forebay.Wrap(n.cache, "loose", load, tagged); err != nil {
		return n, end, err
	}
	n.busy, err = forebay.Wrap(n.cache, "busy", loadBusy)
	return n, end, err
}

// targets are four ways to reach what is stored of a key.
func (n checkNode) targets(i int, random *rand.Rand) []forebay.Target {
	switch p := random.IntN(100); {
	case *byTag:
		return []forebay.Target{forebay.Tag(fmt.Sprint("t", i))}
	case p < 1: // these two reach everything: more of them, and nothing is ever stored for long
		return []forebay.Target{forebay.InClass("strict"), forebay.InClass("loose")}
	case p < 2:
		return []forebay.Target{forebay.Pattern("strict:*"), forebay.Pattern("loose:*")}
	case p < 40:
		return []forebay.Target{forebay.Key(n.strict.Key(i)), forebay.Key(n.loose.Key(i))}
	}
	return []forebay.Target{forebay.Tag(fmt.Sprint("t", i))}
}

// write raises the counter and invalidates. One that waits for the log promises something to its own
// node alone; one that a dying master acknowledged, to the others once he is gone.
func (n checkNode) write(client, at, i int, k *checkedKey, random *rand.Rand, b *breaker) {
	v := k.raise(client)
	begun := time.Now()
	r, err := n.cache.Invalidate(context.Background(), n.targets(i, random)...)
	if err != nil {
		return
	}
	ended := time.Now()
	k.own[at].note(client, ack{v}, nil, begun, ended)
	if r.Deferred {
		return
	}
	if b.leaves(at) {
		ended = ended.Add(afterDeath)
	}
	k.strict.note(client, ack{v}, nil, begun, ended)
	k.others.acked(v, ended)
}

// readStrict reads. While two masters answer, what is read on the old one's side promises nothing.
func (n checkNode) readStrict(client, at, i int, k *checkedKey, b *breaker) {
	least := k.strict.floor.Load()
	begun, left := time.Now(), b.leaves(at)
	if v, err := n.strict.Get(context.Background(), i); err == nil && !left && !b.leaves(at) {
		k.strict.note(client, read{}, int(v), begun, time.Now())
		b.see(v < least)
	}
}

func (n checkNode) readOwn(client, at, i int, k *checkedKey, b *breaker) {
	least := k.own[at].floor.Load()
	begun := time.Now()
	if r := n.loose.Do(context.Background(), i); r.Err == nil {
		k.own[at].note(client, read{}, int(r.Value), begun, time.Now())
		b.see(r.Value < least)
		k.others.read(int(r.Value), begun, r.Unconfirmed)
	}
}
