package redis_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/redis"
	"github.com/forebay-cache/forebay/shared"
)

// slow delays everything that is said through a proxy, in each direction.
func slow(p *redistest.Proxy, by time.Duration) {
	p.Change(func(b []byte) []byte {
		time.Sleep(by)
		return b
	})
}

// impatient gives a node a tier with the default budget; the tests' own is longer.
func impatient(t *testing.T, url string) func(*forebay.Options) {
	return func(o *forebay.Options) { o.Shared = open(t, redis.Options{URL: url, Budget: 50 * time.Millisecond}) }
}

// patient gives a node a tier that waits for a server however busy the machine is: each load that it saved counts.
func patient(t *testing.T, url string) func(*forebay.Options) {
	return func(o *forebay.Options) { o.Shared = open(t, redis.Options{URL: url, Budget: 10 * time.Second}) }
}

// A request asks a slow server for a value and a lease, and pays its budget once. The server answers in time each
// time, and is not blamed.
func TestARequestPaysItsBudgetOnce(t *testing.T) {
	const budget = time.Second
	p := redistest.NewProxy(t, redistest.Start(t))
	tier := open(t, redis.Options{URL: p.URL(), Budget: budget})
	eventually(t, 10*time.Second, "connected", func() bool { return tier.State().Connected })
	slow(p, 350*time.Millisecond) // each answer takes 700 ms: two of them are more than the budget
	visit := tier.Visit(ctx)
	if _, err := tier.Get(visit, "a"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tier.Lease(visit, "a", "token", time.Second); !errors.Is(err, shared.ErrAway) {
		t.Errorf("the lease: %v", err)
	}
	if !tier.State().Connected {
		t.Error("a server that answers in time was blamed")
	}
}

// A caller's own deadline comes before the budget.
func TestACallersOwnDeadline(t *testing.T) {
	p := redistest.NewProxy(t, redistest.Start(t))
	tier := open(t, redis.Options{URL: p.URL(), Budget: 5 * time.Second})
	eventually(t, 10*time.Second, "connected", func() bool { return tier.State().Connected })
	p.Hold()
	defer p.Flow()
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := tier.Get(short, "a")
	if took := time.Since(start); err == nil || took > time.Second {
		t.Errorf("%v after %s", err, took)
	}
	if !tier.State().Connected {
		t.Error("the server was blamed for the caller's haste")
	}
}

// A server that answers, and lets writes wait, is not back before they go on.
func TestPausedWrites(t *testing.T) {
	s := redistest.Start(t)
	o := &shop{}
	n := start(t, s.URL(), o, impatient(t, s.URL()))
	n.twoTier()
	s.Do("CLIENT", "PAUSE", "2500", "WRITE")
	get(t, n.loose, "first") // finds it out
	eventually(t, time.Second, "the tier is away", func() bool { return !n.cache.Stats().Shared.Connected })
	paid := 0
	for i, until := 0, time.Now().Add(1500*time.Millisecond); time.Now().Before(until); i++ {
		begun := time.Now()
		get(t, n.loose, fmt.Sprint("k", i))
		if time.Since(begun) > 40*time.Millisecond {
			paid++
		}
		<-time.After(10 * time.Millisecond)
	}
	if paid > 3 {
		t.Errorf("%d requests have paid for a server that writes nothing", paid)
	}
	n.twoTier()
}

// A key of another program where a lease should be is not a lease: who would give it back?
func TestAForeignLease(t *testing.T) {
	s := redistest.Start(t)
	o := &shop{}
	n := start(t, s.URL(), o)
	n.twoTier()
	for key, put := range map[string][]string{
		"a": {"LPUSH", "x"}, "b": {"SET", "x"}, "c": {"SET", "x", "EX", "3600"}, "d": {"SADD", "x"},
	} {
		s.Do(append([]string{put[0], leaseKey(n.loose.Key(key))}, put[1:]...)...)
		begun := time.Now()
		get(t, n.loose, key)
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("%v: the load waited %s", put, took)
		}
	}
}

var aways, rounds, writes, deferredWrites atomic.Int64

// lateChild runs a node under load in a process of its own, for as long as its input is open.
const lateChild = "FOREBAY_TEST_LATE_CHILD"

func TestLateChild(t *testing.T) {
	url := os.Getenv(lateChild)
	if url == "" {
		return // not the child
	}
	n := start(t, url, &shop{}, impatient(t, url))
	n.twoTier()
	fmt.Println("ready")
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		fmt.Printf("away %d of %d deferred %d of %d\n", aways.Load(), rounds.Load(), deferredWrites.Load(), writes.Load())
		os.Exit(0)
	}()
	for reader := range 16 { // an answer is always on its way
		go func() {
			for i := 0; ; i++ {
				get(t, n.loose, fmt.Sprint(reader, "-", i))
			}
		}()
	}
	for i := 0; ; i++ {
		rounds.Add(1)
		if !n.cache.Stats().Shared.Connected {
			aways.Add(1)
		}
		if i%10 == 0 {
			writes.Add(1)
			if n.invalidate(forebay.Tag(fmt.Sprint("t", i))).Deferred {
				deferredWrites.Add(1)
			}
		}
		<-time.After(time.Millisecond)
	}
}

// A process that does not run for longer than the budget, again and again, does not blame the server.
func TestAProcessThatWasLateItself(t *testing.T) {
	p := redistest.NewProxy(t, redistest.Start(t))
	slow(p, 5*time.Millisecond)
	child := exec.Command(os.Args[0], "-test.run", "^TestLateChild$", "-test.timeout", "60s")
	child.Env = append(os.Environ(), lateChild+"="+p.URL())
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Process.Kill()
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
	}
	for range 25 {
		child.Process.Signal(syscall.SIGSTOP)
		<-time.After(85 * time.Millisecond)
		child.Process.Signal(syscall.SIGCONT)
		<-time.After(40 * time.Millisecond)
	}
	in.Close()
	said := ""
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "away") {
			said = lines.Text()
		}
	}
	child.Wait()
	var away, all, deferred, wrote int
	if _, err := fmt.Sscanf(said, "away %d of %d deferred %d of %d", &away, &all, &deferred, &wrote); err != nil || deferred > 0 || away > all/10 || wrote == 0 {
		t.Errorf("the child says: %q", said)
	}
	t.Log(said)
}
