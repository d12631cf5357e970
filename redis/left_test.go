package redis_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// What is left, exactly: three cases in which an acknowledged invalidation does not reach a read. Each is
// shown here, so that nobody takes the promise for more than it is.

// Two masters answer at once: what one side has acknowledged, the other does not know, until the old
// master stops.
func TestLeftTwoMasters(t *testing.T) {
	t.Parallel()
	old, promoted := pair(t)
	proxy := redistest.NewProxy(t, old)
	o := &shop{}
	a, b := start(t, old.URL(), o), start(t, proxy.URL(), o)
	v := o.write("k")
	a.invalidate(forebay.Tag("tag-k"))
	promoted.Do("REPLICAOF", "NO", "ONE")
	proxy.Switch(promoted)
	b.twoTier()
	eventually(t, 20*time.Second, "the other side has it, from the new master", func() bool {
		r := b.strict.Do(ctx, "k")
		return r.Status == forebay.Hit && r.Value == v && strings.Contains(promoted.Do("XLEN", "forebay:log"), ":")
	})
	pause := time.NewTimer(time.Second) // it is all the other side's own by now
	<-pause.C
	get(t, b.strict, "k")
	o.write("k")
	if r := a.invalidate(forebay.Tag("tag-k")); r.Deferred {
		t.Fatal("the old master did not acknowledge")
	}
	if got := get(t, b.strict, "k"); got != v {
		t.Errorf("the other side read %d: it knows more than the documentation says", got)
	}
	old.Kill()
	old.Restart() // it comes back as what it is: empty, so everybody starts over there
	if got := get(t, a.strict, "k"); got != v+1 {
		t.Errorf("its own side reads %d, want %d", got, v+1)
	}
}

// An origin that itself reads from a replica that lags gives the older answer to a load that began after
// the invalidation.
func TestLeftALaggingOrigin(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	o := &shop{}
	n := start(t, s.URL(), o)
	o.write("k")
	lagging := 1
	f, err := forebay.Wrap(n.cache, "strict/lagging", func(context.Context, string) (int, error) { return lagging, nil })
	if err != nil {
		t.Fatal(err)
	}
	get(t, f, "k")
	o.write("k") // at the origin's master; its replica still has the first
	n.invalidate(forebay.Key(f.Key("k")))
	if got := get(t, f, "k"); got != 1 {
		t.Fatalf("read %d", got)
	}
	lagging = 2
	if got := get(t, f, "k"); got != 1 {
		t.Errorf("read %d: it knows more than the documentation says", got)
	}
}

// A writer that invalidates only the new tags of a value does not reach what was stored with the old ones.
func TestLeftOnlyTheNewTags(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := start(t, s.URL(), &shop{})
	owner := "acme"
	f, err := forebay.Wrap(n.cache, "strict/owner", func(context.Context, string) (string, error) { return owner, nil },
		forebay.KeepBy(func(_ context.Context, _, owner string) forebay.Keep {
			return forebay.Keep{Tags: []string{"of:" + owner}}
		}))
	if err != nil {
		t.Fatal(err)
	}
	f.Get(ctx, "k")
	owner = "ember"
	n.invalidate(forebay.Tag("of:ember"))
	if got, _ := f.Get(ctx, "k"); got != "acme" {
		t.Errorf("read %s: it knows more than the documentation says", got)
	}
	n.invalidate(forebay.Tag("of:acme"), forebay.Tag("of:ember"))
	if got, _ := f.Get(ctx, "k"); got != "ember" {
		t.Errorf("with both: %s", got)
	}
}
