package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
)

// A patient is a node that lives through an incident: ten requests a second of a class, two of each key.
type patient struct {
	t     *testing.T
	a     *admin.Admin
	f     *forebay.Func[int, string]
	n     int
	fails atomic.Bool
	takes atomic.Int64
	key   func(n int) int
}

func live(t *testing.T, class forebay.Class, test func(p *patient)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		class.Name = "search"
		c, err := forebay.Open(t.Context(), forebay.Options{Classes: []forebay.Class{class}, NearBytes: 1 << 20, Secret: []byte("s")})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p := &patient{t: t, key: func(n int) int { return n / 2 }}
		p.takes.Store(int64(20 * time.Millisecond))
		p.f, err = forebay.Wrap(c, "search", func(ctx context.Context, n int) (string, error) {
			select {
			case <-time.After(time.Duration(p.takes.Load())):
			case <-ctx.Done():
				return "", ctx.Err()
			}
			if p.fails.Load() {
				return "", errors.New("connection refused")
			}
			return fmt.Sprint(n), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		p.a = admin.New(c, quiet(admin.Options{}))
		defer p.a.Close()
		test(p)
	})
}

// lives has the node asked for a while.
func (p *patient) lives(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		p.n++
		n := p.key(p.n)
		go p.f.Get(context.Background(), n)
	}
	synctest.Wait()
}

// says looks for a text in the verdict: "" is that nothing is wrong.
func (p *patient) says(when, want string) admin.Health {
	p.t.Helper()
	h := p.a.Health(context.Background())
	all := strings.Join(append(h.Reasons, h.Warnings...), "\n")
	if want == "" && all != "" || !strings.Contains(all, want) {
		p.t.Errorf("%s: %q; want %q", when, all, want)
	}
	if (len(h.Reasons) > 0) != (h.Status != "ok") {
		p.t.Errorf("%s: %s with %q", when, h.Status, h.Reasons)
	}
	return h
}

// An origin that dies is said within ten seconds, also by a node that has served well for long; what is said is
// true while it lasts, and is gone within a minute of its end.
func TestADeadOriginIsSaid(t *testing.T) {
	for _, before := range []time.Duration{30 * time.Second, 2 * time.Hour} {
		live(t, forebay.Class{TTL: time.Second, StaleIfError: -1}, func(p *patient) {
			p.lives(before)
			p.says("before", "")
			p.fails.Store(true)
			p.lives(10 * time.Second)
			h := p.says("after 10 s", "class search: calls of its origin fail (")
			since := h.Causes[0].Since
			if ago := time.Since(since); ago > 13*time.Second || h.Causes[0].Do == "" {
				t.Errorf("since %s ago; do %q", ago, h.Causes[0].Do)
			}
			p.lives(2 * time.Minute)
			if h := p.says("after two minutes", "calls of its origin fail ("); !h.Causes[0].Since.Equal(since) {
				t.Errorf("it began at %s, and now at %s", since, h.Causes[0].Since)
			}
			p.fails.Store(false)
			p.lives(30 * time.Second)
			p.says("after it is over", "")
			if i := p.a.Incidents(); len(i) != 1 || i[0].Until == nil || i[0].Until.Sub(i[0].Since) < 2*time.Minute {
				t.Errorf("%+v", i)
			}
		})
	}
}

func TestHalfTheAnswersFail(t *testing.T) {
	live(t, forebay.Class{TTL: time.Second}, func(p *patient) {
		p.lives(time.Minute)
		for range 20 {
			p.fails.Store(!p.fails.Load())
			p.lives(500 * time.Millisecond)
		}
		p.says("after ten seconds", "calls of its origin fail")
	})
}

// An origin that nobody asks any more is not said to fail.
func TestAQuietOriginIsForgotten(t *testing.T) {
	live(t, forebay.Class{TTL: time.Second}, func(p *patient) {
		p.fails.Store(true)
		p.lives(20 * time.Second)
		p.says("while it fails", "calls of its origin fail")
		time.Sleep(30 * time.Second)
		p.says("half a minute without a call", "calls of its origin fail")
		time.Sleep(45 * time.Second)
		p.says("a minute without a call", "")
	})
}

func TestASlowOriginIsSaid(t *testing.T) {
	live(t, forebay.Class{TTL: time.Second, MaxLoads: -1}, func(p *patient) {
		p.lives(time.Minute)
		p.says("before", "")
		p.takes.Store(int64(4 * time.Second))
		p.lives(10 * time.Second)
		p.says("after ten seconds", "class search: its origin is slow (a load takes")
		p.lives(10 * time.Minute)
		p.says("as long as it lasts", "its origin is slow (a load takes 4s, 20ms before)")
		p.takes.Store(int64(20 * time.Millisecond))
		p.lives(30 * time.Second)
		p.says("after it is over", "")
	})
}

// A class that hit, and hits no more since something new is in its key, is warned of.
func TestAClassThatHitsNoMore(t *testing.T) {
	live(t, forebay.Class{TTL: time.Hour, StaleIfError: -1}, func(p *patient) {
		p.key = func(n int) int { return n % 10 }
		p.lives(10 * time.Minute)
		p.says("while it hits", "")
		p.key = func(n int) int { return n + 1_000_000 }
		p.lives(6 * time.Minute)
		if h := p.says("with a request id", "no hit in"); h.Status != "ok" {
			t.Errorf("a warning makes it %s", h.Status)
		}
		p.key = func(n int) int { return n % 10 }
		p.lives(10 * time.Second)
		p.says("when it is gone", "")
	})
}

// An origin that is well for a moment in between is one incident; one that fails again later is another.
func TestAnIncidentGoesOn(t *testing.T) {
	live(t, forebay.Class{TTL: time.Second, StaleIfError: -1}, func(p *patient) {
		p.lives(time.Minute)
		fails := func(d, well time.Duration) {
			p.fails.Store(true)
			p.lives(d)
			p.says("while it fails", "calls of its origin fail")
			p.fails.Store(false)
			p.lives(well)
			p.says("while it is well", "")
		}
		fails(10*time.Second, 25*time.Second)
		first := p.a.Incidents()
		fails(10*time.Second, 2*time.Minute)
		one := p.a.Incidents()
		if len(first) != 1 || len(one) != 1 || !one[0].Since.Equal(first[0].Since) || !one[0].Until.After(*first[0].Until) {
			t.Errorf("%+v, then %+v", first, one)
		}
		fails(10*time.Second, time.Minute)
		if two := p.a.Incidents(); len(two) != 2 || !two[0].Since.After(*two[1].Until) {
			t.Errorf("%+v", two)
		}
	})
}
