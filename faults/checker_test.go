package faults

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
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
	mu  sync.Mutex
	ops []porcupine.Operation
}

func (r *recorder) note(client int, input, output any, call, end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: input, Output: output, Call: call.UnixNano(), Return: end.UnixNano()})
}

// A checkedKey is a counter and what was seen of it.
type checkedKey struct {
	name    string
	version atomic.Int64
	strict  recorder // of everybody's strict reads
	// own is of a node's own other reads, against its own invalidations.
	own [checkNodes + checkProcesses]recorder
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
	checkNodes   = 3
	checkKeys    = 12
	checkClients = 16

	checkProcesses = 2
)

// TestLinearizable lets readers and writers run on three nodes while faults come and go, records every
// operation with its times, and has porcupine check each key's history.
func TestLinearizable(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	t.Logf("go test -run Linearizable -operations %d -seed %d .", *operations, *seed)
	plan := rand.New(rand.NewPCG(*seed, 2))
	server := newPair(t, checkNodes+checkProcesses)
	keys := make([]*checkedKey, checkKeys)
	for i := range keys {
		keys[i] = &checkedKey{name: fmt.Sprint("k", i)}
	}
	load := func(_ context.Context, i int) (int64, error) {
		v := keys[i].version.Load()
		time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond) // what was read is on its way
		return v, nil
	}
	var nodes [checkNodes]checkNode
	for i := range nodes {
		n, end, err := openChecked(t.Context(), server.proxies[i].URL(), load)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(end)
		nodes[i] = n
	}

	var made, inFault, invalidations atomic.Int64
	var faulty atomic.Bool
	var work sync.WaitGroup
	for client := range checkClients {
		random := rand.New(rand.NewPCG(*seed, uint64(client)+10))
		work.Go(func() {
			for made.Add(1) <= int64(*operations) {
				if faulty.Load() {
					inFault.Add(1)
				}
				time.Sleep(time.Duration(random.IntN(600)) * time.Microsecond) // so that a run sees many faults
				at := random.IntN(checkNodes)
				i := random.IntN(checkKeys)
				switch p := random.IntN(100); {
				case p < 24:
					invalidations.Add(1)
					nodes[at].write(client, at, i, keys[i], random)
				case p < 30: // promises nothing, and must hide nothing
					nodes[at].cache.Expire(context.Background(), nodes[at].targets(i, random)...)
				case p < 62:
					nodes[at].readStrict(client, i, keys[i])
				default:
					nodes[at].readOwn(client, at, i, keys[i])
				}
			}
		})
	}
	processes := startProcesses(t, server, keys)
	stop := make(chan struct{})
	var faults sync.WaitGroup
	faults.Go(func() { breakThings(t, server, processes, plan, &faulty, stop) })
	work.Wait()
	close(stop)
	faults.Wait()
	outside := processes.stop()

	total := int64(*operations)
	t.Logf("%d operations of other processes, %d of them killed and %d frozen", outside, processes.killed, processes.frozen)
	t.Logf("%d operations, %.0f %% invalidations, %.0f %% inside a fault", total, 100*float64(invalidations.Load())/float64(total), 100*float64(inFault.Load())/float64(total))
	if invalidations.Load()*5 < total || inFault.Load()*10 < total*3 {
		t.Errorf("the plan is too easy: at least 20 %% invalidations and 30 %% of the operations inside a fault are wanted")
	}
	for _, k := range keys {
		k.strict.check(t, k.name+", strict")
		for i := range k.own {
			k.own[i].check(t, fmt.Sprintf("%s, node %d's own", k.name, i))
		}
	}
}

// checkFor bounds the search; a history that cannot be decided is a failure.
const checkFor = 2 * time.Minute

func (r *recorder) check(t *testing.T, what string) {
	t.Helper()
	if result := porcupine.CheckOperationsTimeout(promise, r.ops, checkFor); result != porcupine.Ok {
		t.Errorf("%s: %d operations are %s", what, len(r.ops), map[porcupine.CheckResult]string{porcupine.Illegal: "not linearizable", porcupine.Unknown: "undecided"}[result])
	}
}

// breakThings kills, freezes and flushes by the plan; between faults it lets things be for a moment.
func breakThings(t *testing.T, server *pair, processes *processes, plan *rand.Rand, faulty *atomic.Bool, stop chan struct{}) {
	pause := func(d time.Duration) bool {
		select {
		case <-stop:
			return false
		case <-time.After(d):
			return true
		}
	}
	for pause(time.Duration(100+plan.IntN(300)) * time.Millisecond) {
		faulty.Store(true)
		length := time.Duration(100+plan.IntN(500)) * time.Millisecond
		switch plan.IntN(8) {
		case 0:
			server.master.Kill()
			pause(length)
			server.master.Restart()
		case 1:
			server.master.Freeze()
			pause(length)
			server.master.Thaw()
		case 2:
			server.master.Do("FLUSHALL")
			pause(length)
		case 3:
			server.master.Do("DEL", "forebay:log") // what it says of the values is lost, and they are not
			pause(length)
		case 4:
			processes.freeze(plan.IntN(checkProcesses), func() { pause(length) })
		case 5:
			processes.kill(plan.IntN(checkProcesses))
			pause(length)
		case 6:
			p := server.proxies[plan.IntN(len(server.proxies))]
			p.Hold()
			pause(length)
			p.Flow()
		case 7:
			server.failover(func() { pause(length) })
		}
		faulty.Store(false)
	}
}

// A checkNode is a cache with a strict and another function on the same counters.
type checkNode struct {
	cache  *forebay.Cache
	strict *forebay.Func[int, int64]
	loose  *forebay.Func[int, int64]
}

func openChecked(ctx context.Context, url string, load func(context.Context, int) (int64, error)) (n checkNode, end func(), err error) {
	quiet := slog.New(slog.DiscardHandler)
	tier, err := redis.Open(ctx, redis.Options{URL: url, Logger: quiet})
	if err != nil {
		return n, nil, err
	}
	n.cache, err = forebay.Open(ctx, forebay.Options{Shared: tier, Logger: quiet, LedgerSize: 40,
		Classes: []forebay.Class{{Name: "strict", Strict: true, TTL: time.Hour}, {Name: "loose", TTL: time.Hour, Stale: time.Hour}}})
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
	n.loose, err = forebay.Wrap(n.cache, "loose", load, tagged)
	return n, end, err
}

// targets are four ways to reach what is stored of a key.
func (n checkNode) targets(i int, random *rand.Rand) []forebay.Target {
	return [][]forebay.Target{
		{forebay.Key(n.strict.Key(i)), forebay.Key(n.loose.Key(i))},
		{forebay.Tag(fmt.Sprint("t", i))},
		{forebay.InClass("strict"), forebay.InClass("loose")},
		{forebay.Pattern("strict:*"), forebay.Pattern("loose:*")},
	}[random.IntN(4)]
}

// write raises the counter and invalidates. One that waits for the log promises something to its own
// node alone.
func (n checkNode) write(client, at, i int, k *checkedKey, random *rand.Rand) {
	v := k.raise(client)
	begun := time.Now()
	r, err := n.cache.Invalidate(context.Background(), n.targets(i, random)...)
	if err != nil {
		return
	}
	ended := time.Now()
	k.own[at].note(client, ack{v}, nil, begun, ended)
	if !r.Deferred {
		k.strict.note(client, ack{v}, nil, begun, ended)
	}
}

func (n checkNode) readStrict(client, i int, k *checkedKey) {
	begun := time.Now()
	if v, err := n.strict.Get(context.Background(), i); err == nil {
		k.strict.note(client, read{}, int(v), begun, time.Now())
	}
}

func (n checkNode) readOwn(client, at, i int, k *checkedKey) {
	begun := time.Now()
	if v, err := n.loose.Get(context.Background(), i); err == nil {
		k.own[at].note(client, read{}, int(v), begun, time.Now())
	}
}
