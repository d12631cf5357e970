package faults

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	operations = flag.Int("operations", 100_000, "how many operations TestLinearizable makes")
	seed       = flag.Uint64("seed", 0, "plan of TestLinearizable; 0 draws one")
	clients    = flag.Int("clients", 32, "how many run at the same time in TestLinearizable: fewer make it longer, and see more faults")
	aim        = flag.String("aim", "", "faults of TestLinearizable, by name and comma; default all")
	ledger     = flag.Int("ledger", 40, "how many targets a node of TestLinearizable remembers")
	byTag      = flag.Bool("bytag", false, "invalidate by tag alone in TestLinearizable")
)

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
		return openChecked(t.Context(), server.proxies[i].URL(), "", load, loadBusy)
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
	b := &breaker{t: t, server: server, busy: often, seen: &seen, plan: rand.New(rand.NewPCG(*seed, 2)), stop: make(chan struct{})}
	processes := startProcesses(t, server, keys, often, &b.astray)
	b.processes = processes
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

// operate lets the clients run. The last node only reads: a client that writes learns by that what others do.
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
