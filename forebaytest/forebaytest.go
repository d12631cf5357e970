// Package forebaytest is for the tests of programs that use forebay: caches that end with the test, nodes that share a tier in this
// process, and an observer that remembers. Nothing in it needs a server, and all of it works in the bubbles of testing/synctest, where
// time passes when a test sleeps.
package forebaytest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// Open opens a cache that is closed when the test ends. It is on, whatever FOREBAY_OFF says.
func Open(t testing.TB, o forebay.Options) *forebay.Cache {
	t.Helper()
	o.Off = forebay.NeverOff
	c, err := forebay.Open(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the cache: %v", err)
		}
	})
	return c
}

// Nodes opens n caches with the same options on one shared tier: the nodes of a service, in this process. Private classes share by a
// secret that is made up, where the options have none.
func Nodes(t testing.TB, n int, o forebay.Options) []*forebay.Cache {
	t.Helper()
	tier := shared.NewMemory()
	t.Cleanup(func() { tier.Close() })
	o.Shared = tier
	if len(o.Secret) == 0 {
		o.Secret = []byte("of the nodes of a test")
	}
	nodes := make([]*forebay.Cache, n)
	for i := range nodes {
		one := o
		one.Node = fmt.Sprint("node-", i+1)
		nodes[i] = Open(t, one)
	}
	return nodes
}

// A Recorder is an observer that remembers what it was told. The zero Recorder is ready: give it to [forebay.Options.Observer].
// It is safe for concurrent use.
type Recorder struct {
	mu     sync.Mutex // guards events
	events []forebay.Event
}

// Observe implements [forebay.Observer].
func (r *Recorder) Observe(e forebay.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Events returns what was told so far of the kinds, in its order; without a kind all.
func (r *Recorder) Events(kinds ...forebay.EventKind) []forebay.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []forebay.Event
	for _, e := range r.events {
		if len(kinds) == 0 || slices.Contains(kinds, e.Kind) {
			out = append(out, e)
		}
	}
	return out
}

// Loads is how many loads of a class have ended.
func (r *Recorder) Loads(class string) int {
	n := 0
	for _, e := range r.Events(forebay.EventLoad) {
		if e.Class == class {
			n++
		}
	}
	return n
}
