package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/redis"
	"github.com/forebay-cache/forebay/shared"
	"github.com/forebay-cache/forebay/shared/sharedtest"
)

var ctx = context.Background()

// quiet is a logger for tests that provoke what it would say.
var quiet = slog.New(slog.DiscardHandler)

// open opens a tier that is patient with a machine under load, unless the test says otherwise.
func open(t testing.TB, o redis.Options) *redis.Tier {
	t.Helper()
	o.Logger = quiet
	if o.Budget == 0 {
		o.Budget = 500 * time.Millisecond
	}
	tier, err := redis.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tier.Close() })
	return tier
}

// TestContract runs against a server of its own, or the one that FOREBAY_TEST_REDIS names.
func TestContract(t *testing.T) {
	t.Parallel()
	url := os.Getenv("FOREBAY_TEST_REDIS")
	if url == "" {
		url = redistest.Start(t).URL()
	}
	n := 0
	sharedtest.Run(t, func(t *testing.T) shared.Tier {
		n++
		return open(t, redis.Options{URL: url, Budget: 10 * time.Second, Namespace: fmt.Sprintf("test-%d-%d", time.Now().UnixNano(), n)})
	})
}

func eventually(t *testing.T, within time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Since(start) < within {
		if holds() {
			return time.Since(start)
		}
		<-tick.C
	}
	t.Fatalf("not within %s: %s", within, what)
	return 0
}

// Whatever happens to the server, an operation returns within the budget, and heals by itself.
func TestGuest(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		begin, end func(s *redistest.Server)
	}{
		"killed": {(*redistest.Server).Kill, (*redistest.Server).Restart},
		"frozen": {(*redistest.Server).Freeze, (*redistest.Server).Thaw},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			tier := open(t, redis.Options{URL: s.URL(), Budget: 50 * time.Millisecond})
			if err := tier.Set(ctx, "a", []byte("v"), time.Minute); err != nil {
				t.Fatal(err)
			}
			fault.begin(s)
			slowest, failed := time.Duration(0), 0
			for range 400 {
				start := time.Now()
				if _, err := tier.Get(ctx, "a"); err != nil {
					failed++
				}
				slowest = max(slowest, time.Since(start))
				pause := time.NewTimer(5 * time.Millisecond)
				<-pause.C
			}
			if failed != 400 {
				t.Errorf("%d of 400 look-ups failed", failed)
			}
			t.Logf("slowest %s", slowest)
			if slowest > time.Second { // the budget is 50 ms; a machine under load may be late
				t.Errorf("a look-up took %s", slowest)
			}
			if st := tier.State(); st.Connected && st.Breaker == "closed" {
				t.Errorf("state %+v", st)
			}
			fault.end(s)
			healed := eventually(t, 10*time.Second, "the tier answers again", func() bool { _, err := tier.Get(ctx, "a"); return err == nil })
			t.Logf("healed after %s", healed)
		})
	}
}

func TestStartsWithoutAServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Kill()
	start := time.Now()
	tier := open(t, redis.Options{URL: s.URL()})
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("opening took %s", took)
	}
	if st := tier.State(); st.Connected || !strings.Contains(st.Problem, "nothing listens there") {
		t.Errorf("state %+v", st)
	}
	if _, err := tier.Get(ctx, "a"); err != shared.ErrAway {
		t.Errorf("got %v", err)
	}
	s.Restart()
	eventually(t, 10*time.Second, "the tier is joined", func() bool { return tier.State().Connected && tier.State().Problem == "" })
}

// A caller that came later does not wait for a time of its own once another caller has waited for all of its.
func TestWhoWaitsIsReleased(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const budget = 600 * time.Millisecond
	tier := open(t, redis.Options{URL: s.URL(), Budget: budget})
	s.Freeze()
	defer s.Thaw()
	first := make(chan error)
	go func() {
		_, err := tier.Get(ctx, "a")
		first <- err
	}()
	time.Sleep(budget / 2)
	if _, err := tier.Get(ctx, "b"); err != shared.ErrAway {
		t.Errorf("who came later got %v", err)
	}
	if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who came first got %v", err)
	}
	s.Thaw()
	eventually(t, 10*time.Second, "it is used again", func() bool {
		_, err := tier.Get(ctx, "a")
		return err == nil
	})
}

// Bad input gets a clear line with the remedy.
func TestWhatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "http://host", "redis://host/notanumber", "::"} {
		if _, err := redis.Open(ctx, redis.Options{URL: url, Logger: quiet}); err == nil || !strings.Contains(err.Error(), "redis://") {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := redis.Open(ctx, redis.Options{URL: "redis://user:secret@host/x/y"}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("the error shows the password: %v", err)
	}
	master := redistest.Start(t)
	for _, test := range []struct {
		name  string
		url   func(t *testing.T) string
		holds string
	}{
		{"wrong password", func(t *testing.T) string {
			s := redistest.Start(t, "--requirepass", "right")
			return strings.Replace(s.URL(), "redis://", "redis://:wrong@", 1)
		}, "user or password"},
		{"no password", func(t *testing.T) string { return redistest.Start(t, "--requirepass", "right").URL() }, "user or password"},
		{"a replica", func(t *testing.T) string {
			return redistest.Start(t, "--replicaof", "127.0.0.1 "+fmt.Sprint(master.Port)).URL()
		}, "connect to its master"},
		{"too old", func(t *testing.T) string {
			p := redistest.NewProxy(t, redistest.Start(t))
			p.Change(func(said []byte) []byte {
				return bytes.ReplaceAll(said, []byte("redis_version:7."), []byte("redis_version:5."))
			})
			return p.URL()
		}, "6.2 or later"},
		{"a foreign key", func(t *testing.T) string {
			s := redistest.Start(t)
			s.Do("SET", "forebay:log", "mine")
			return s.URL()
		}, "choose another namespace"},
	} {
		t.Run(test.name, func(t *testing.T) {
			tier := open(t, redis.Options{URL: test.url(t)})
			eventually(t, 5*time.Second, "the state says "+test.holds, func() bool { return strings.Contains(tier.State().Problem, test.holds) })
			if tier.State().Connected {
				t.Error("connected")
			}
		})
	}
}

// A reading never says a run that is not the one of the server that answered.
func TestTheRunFollowsTheServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	tier := open(t, redis.Options{URL: s.URL()})
	first, err := tier.Append(ctx, shared.ID{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s.Restart()
	var r shared.Reading
	eventually(t, 10*time.Second, "the server answers again", func() bool {
		r, err = tier.Read(ctx, shared.Stamp{Epoch: first.Epoch, ID: first.Records[0].ID})
		return err == nil
	})
	if r.Run == first.Run || len(r.Records) != 0 {
		t.Errorf("read %+v after a restart that lost everything; the run was %s", r, first.Run)
	}
	again, err := tier.Append(ctx, shared.ID{}, nil)
	if err != nil || len(again.Records) != 1 || !again.Records[0].Fence || again.Records[0].Epoch == first.Records[0].Epoch {
		t.Errorf("%+v, %v", again, err)
	}
}

// A way that carries a PING in time, and no value: requests do not go there again and again.
func TestANarrowWay(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	proxy := redistest.NewProxy(t, s)
	tier := open(t, redis.Options{URL: proxy.URL(), Budget: 50 * time.Millisecond})
	if err := tier.Set(ctx, "k", make([]byte, 4<<10), time.Minute); err != nil {
		t.Fatal(err)
	}
	proxy.Change(func(b []byte) []byte { // 20 KB/s
		passed := time.NewTimer(time.Duration(len(b)) * 50 * time.Microsecond)
		<-passed.C
		return b
	})
	if _, err := tier.Get(ctx, "k"); err == nil {
		t.Fatal("4 KB came through in time")
	}
	for range 100 {
		if tier.State().Connected {
			t.Fatal("requests go there again")
		}
		pause := time.NewTimer(20 * time.Millisecond)
		<-pause.C
	}
	if p := tier.State().Problem; !strings.Contains(p, "takes") && !strings.Contains(p, "not answer") {
		t.Errorf("it says %q", p)
	}
	proxy.Change(nil)
	eventually(t, 10*time.Second, "the tier is back", func() bool { return tier.State().Connected && tier.State().Problem == "" })
	if v, err := tier.Get(ctx, "k"); err != nil || len(v) != 4<<10 {
		t.Errorf("%d bytes, %v", len(v), err)
	}
}

// One round trip per shared hit, counted at the server: a GET, and for a strict read, a GET and an
// XRANGE in one pipeline.
func TestCommandsPerHit(t *testing.T) {
	t.Parallel()
	const hits = 50
	s, o := redistest.Start(t), &shop{}
	a := start(t, s.URL(), o)
	for i := range hits {
		get(t, a.loose, fmt.Sprint(i))
		get(t, a.strict, fmt.Sprint(i))
	}
	a.settled()
	b := start(t, s.URL(), o)
	loads := o.loads.Load()
	before, ranges := calls(s, "get"), calls(s, "xrange")
	for i := range hits {
		get(t, b.loose, fmt.Sprint(i))
	}
	if n := calls(s, "get") - before; n != hits {
		t.Errorf("%d GETs for %d shared hits", n, hits)
	}
	for i := range hits {
		get(t, b.strict, fmt.Sprint(i))
	}
	if n := calls(s, "get") - before; n != 2*hits {
		t.Errorf("%d GETs for %d shared hits and as many strict ones", n, hits)
	}
	// Both followers read the log too, now and then.
	if n := calls(s, "xrange") - ranges; n < hits || n > hits+10 {
		t.Errorf("%d XRANGEs for %d strict reads", n, hits)
	}
	if o.loads.Load() != loads {
		t.Errorf("%d loads", o.loads.Load()-loads)
	}
}

func calls(s *redistest.Server, command string) int {
	n := 0
	for line := range strings.SplitSeq(s.Do("INFO", "commandstats"), "\r\n") {
		fmt.Sscanf(line, "cmdstat_"+command+":calls=%d", &n)
	}
	return n
}
