package redis_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/shared"
)

var (
	soakFor  = flag.Duration("soak", 10*time.Second, "how long TestSoak runs")
	soakSeed = flag.Uint64("seed", 0, "plan of TestSoak's faults; 0 draws one")
)

// The origin of the soak remembers when each version was written and acknowledged.
type ledgerOf struct {
	mu    sync.Mutex
	acked []ackedAt // in the order of acknowledgement
}

type ackedAt struct {
	version int
	at      time.Time
}

// required is the least version that a read begun at a time may return, if what was acknowledged
// only within the lag before it need not be seen.
func (l *ledgerOf) required(at time.Time, lag time.Duration) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	least := 0
	for _, a := range l.acked {
		if a.at.Before(at.Add(-lag)) {
			least = max(least, a.version)
		}
	}
	return least
}

func (l *ledgerOf) ack(version int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, ackedAt{version, time.Now()})
	if len(l.acked) > 2000 {
		l.acked = l.acked[1000:]
	}
}

// statedLag is what a confirmed node may be behind, and a margin for a machine under load.
const statedLag = 2*time.Second + 500*time.Millisecond

// TestSoak lets writers and readers run on three nodes while faults come and go: the server is
// killed and comes back empty or with its file, is frozen, flushed, or cut off from one node. Strict
// reads, and reads on the node that invalidated, never get less than what was acknowledged before
// they began; other reads never less than what was acknowledged the stated lag before, unless they
// say that they are unconfirmed. Every request is answered.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("go test ./redis -run Soak -soak %s -seed %d", *soakFor, seed)
	plan := rand.New(rand.NewPCG(seed, 1))

	const keys = 4
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	o := &shop{took: 3 * time.Millisecond}
	var truth [keys]ledgerOf
	var proxies []*redistest.Proxy
	var nodes []*node
	for range 3 {
		p := redistest.NewProxy(t, s)
		proxies = append(proxies, p)
		nodes = append(nodes, start(t, p.URL(), o, func(opts *forebay.Options) { opts.LedgerSize = 20 }))
	}

	stop := make(chan struct{})
	stopped := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	var ops, invalidations, deferred, unconfirmed atomic.Int64
	var own [3][keys]atomic.Int64 // what each node itself has invalidated, acknowledged or not
	var work sync.WaitGroup
	for k := range keys {
		key := fmt.Sprint("k", k)
		work.Go(func() {
			for !stopped() {
				v := o.write(key)
				i := rand.IntN(len(nodes))
				targets := []shared.Target{forebay.Tag("tag-" + key), forebay.Everything(), forebay.Pattern("*:" + key + ",")}
				r, err := nodes[i].cache.Invalidate(ctx, targets[rand.IntN(len(targets))])
				if err != nil {
					t.Errorf("invalidate: %v", err)
				}
				invalidations.Add(1)
				own[i][k].Store(int64(v))
				if r.Deferred {
					deferred.Add(1)
				} else {
					truth[k].ack(v)
				}
				pause := time.NewTimer(time.Duration(rand.IntN(25)) * time.Millisecond)
				<-pause.C
			}
		})
	}
	for i, n := range nodes {
		for k := range keys {
			key := fmt.Sprint("k", k)
			work.Go(func() {
				for !stopped() {
					begin := time.Now()
					least, mine := truth[k].required(begin, 0), int(own[i][k].Load())
					r := n.strict.Do(ctx, key)
					ops.Add(1)
					if r.Err != nil || r.Value < max(least, mine) {
						t.Errorf("node %d: a strict read of %s got %d, %v (%s %s %s); %d was acknowledged, %d its own", i, key, r.Value, r.Err, r.Status, r.Tier, r.Reason, least, mine)
					}
				}
			})
			work.Go(func() {
				for !stopped() {
					begin := time.Now()
					least, mine := truth[k].required(begin, statedLag), int(own[i][k].Load())
					r := n.loose.Do(ctx, key)
					ops.Add(1)
					if r.Unconfirmed {
						unconfirmed.Add(1)
						least = 0
					}
					if r.Err != nil || r.Value < max(least, mine) {
						t.Errorf("node %d: a read of %s got %d, %v (%s %s %s); %d was acknowledged long before, %d its own", i, key, r.Value, r.Err, r.Status, r.Tier, r.Reason, least, mine)
					}
					pause := time.NewTimer(time.Duration(rand.IntN(3)) * time.Millisecond)
					<-pause.C
				}
			})
		}
	}

	faults := 0
	for end := time.Now().Add(*soakFor); time.Now().Before(end) && !t.Failed(); faults++ {
		wait(t, time.Duration(200+plan.IntN(800))*time.Millisecond)
		length := time.Duration(100+plan.IntN(2900)) * time.Millisecond
		switch plan.IntN(5) {
		case 0:
			s.Kill()
			wait(t, length)
			s.Restart()
		case 1:
			s.Freeze()
			wait(t, length)
			s.Thaw()
		case 2:
			s.Do("FLUSHALL")
		case 3:
			p := proxies[plan.IntN(len(proxies))]
			p.Hold()
			wait(t, length)
			p.Flow()
		case 4:
			s.Do("FLUSHALL")
			s.Kill()
			s.Restart()
		}
	}
	close(stop)
	work.Wait()
	for _, n := range nodes {
		n.twoTier()
	}
	t.Logf("%d reads, %d invalidations (%d deferred), %d unconfirmed answers, %d faults, %d loads",
		ops.Load(), invalidations.Load(), deferred.Load(), unconfirmed.Load(), faults, o.loads.Load())
}

// wait lets a fault last.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
