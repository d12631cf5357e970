package types_test

import (
	"context"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// versioned is a node of a program in which the value of class "user" has the type V.
func versioned[V any](t *testing.T, url string, v V, loads *int) (*forebay.Cache, *forebay.Func[string, V]) {
	t.Helper()
	c := node(t, url, forebay.Options{SelfTest: 100 * time.Millisecond})
	f, err := forebay.Wrap(c, "user", func(context.Context, string) (V, error) { *loads++; return v, nil })
	if err != nil {
		t.Fatal(err)
	}
	return c, f
}

// Two versions of a program run side by side during a deploy, or two programs use one namespace: neither gets the
// other's values, neither overwrites them, an invalidation reaches both, and each says that the other is there.
func TestTwoVersionsOfAType(t *testing.T) {
	type v1 struct{ Name string }
	type v2 struct{ FullName string }
	type v3 struct{ Name int }
	url := redistest.Start(t).URL()
	var loads [4]int
	a, fa := versioned(t, url, v1{"ada"}, &loads[0])
	b, fb := versioned(t, url, v2{"Ada L."}, &loads[1])
	_, fc := versioned(t, url, v3{7}, &loads[2])
	again, fd := versioned(t, url, v1{"ada"}, &loads[3]) // of the first version
	ask := func() {
		t.Helper()
		for range 5 { // in turns, as a load balancer would
			va, _ := fa.Get(ctx, "k")
			settle(t, a)
			vb, _ := fb.Get(ctx, "k")
			settle(t, b)
			vc, _ := fc.Get(ctx, "k")
			vd, _ := fd.Get(ctx, "k")
			if va.Name != "ada" || vb.FullName != "Ada L." || vc.Name != 7 || vd.Name != "ada" {
				t.Fatal(va, vb, vc, vd)
			}
		}
	}
	ask()
	if loads != [4]int{1, 1, 1, 0} {
		t.Errorf("loads of the versions: %v, want one each, and none for the second node of the first", loads)
	}
	if _, err := a.Invalidate(ctx, forebay.Key(fa.Key("k"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all know it", func() bool { _, ok := fb.Peek(ctx, "k"); return !ok })
	eventually(t, "all know it", func() bool { _, ok := fc.Peek(ctx, "k"); return !ok })
	ask()
	if loads[0]+loads[3] != 2 || loads[1] != 2 || loads[2] != 2 {
		t.Errorf("after an invalidation on one node: loads %v", loads)
	}
	for _, c := range []*forebay.Cache{a, b, again} {
		eventually(t, "another version is seen", func() bool { return c.Stats().Shared.Others["user"] != "" })
	}
}

// One program alone sees nobody else, whatever it wrote before it was started again.
func TestNoOtherVersion(t *testing.T) {
	url := redistest.Start(t).URL()
	var loads int
	a, fa := versioned(t, url, "old", &loads)
	fa.Get(ctx, "k")
	settle(t, a)
	a.Close()
	time.Sleep(5 * time.Millisecond) // ages are milliseconds
	b, fb := versioned(t, url, 7, &loads)
	fb.Get(ctx, "k")
	time.Sleep(time.Second) // the census has been round
	if who := b.Stats().Shared.Others; len(who) != 0 {
		t.Errorf("%v", who)
	}
}
