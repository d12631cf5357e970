package redis_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// closing is how long a process may take to end when its server says nothing: some budgets, and no more.
const closing = 2 * time.Second

// Close does not wait for a server that is silent, whatever it has not been told yet.
func TestCloseWithASilentServer(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*node){
		"idle":     func(*node) {},
		"writing":  func(n *node) { fill(n, 3000) },
		"deferred": func(n *node) { n.cache.Invalidate(ctx, forebay.Tag("t")) },
		"away": func(n *node) {
			eventually(n.t, 10*time.Second, "it is away", func() bool { return n.cache.Stats().Mode == forebay.Degraded })
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, o := redistest.Start(t), &shop{}
			n := start(t, s.URL(), o, func(opt *forebay.Options) { opt.SelfTest = 0; opt.InvalidateFor = -1 })
			get(t, n.loose, "k")
			if name != "writing" {
				s.Freeze()
			}
			before(n)
			if name == "writing" {
				s.Freeze()
			}
			defer s.Thaw()
			begun := time.Now()
			n.cache.Close()
			inCache := time.Since(begun)
			n.tier.Close()
			t.Logf("the cache in %s, and the tier: %s", inCache.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond))
			if all := time.Since(begun); all > closing {
				t.Errorf("closed after %s", all)
			}
		})
	}
}

func fill(n *node, values int) {
	for i := range values {
		get(n.t, n.loose, fmt.Sprint("fill", i))
	}
}

// A load that never ends keeps nobody from closing: where it has no timeout, it is given up after the default one.
func TestCloseWhileALoadHangs(t *testing.T) {
	t.Parallel()
	c, err := forebay.Open(ctx, forebay.Options{Logger: quiet, Classes: []forebay.Class{{Name: "hangs", LoadTimeout: -1}, {Name: "slow", LoadTimeout: 300 * time.Millisecond}}})
	if err != nil {
		t.Fatal(err)
	}
	block := make(chan struct{})
	defer close(block)
	f, err := forebay.Wrap(c, "slow", func(context.Context, int) (int, error) { <-block; return 0, nil }) // deaf to its context
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { _, err := f.Get(ctx, 1); answered <- err }()
	eventually(t, 5*time.Second, "it loads", func() bool { return c.Stats().Classes[1].Loads == 1 })
	begun := time.Now()
	c.Close()
	if took := time.Since(begun); took > closing {
		t.Errorf("closed after %s", took)
	}
	if err := <-answered; !errors.Is(err, forebay.ErrLoadTimeout) {
		t.Error(err)
	}
}
