package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/shared"
)

// Two nodes see each other side by side; one that fails says so on the other, and one that says nothing is unknown
// before it is forgotten.
func TestNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := shared.NewMemory()
		open := func(name string) (*admin.Admin, *forebay.Func[int, string], func()) {
			c, err := forebay.Open(t.Context(), forebay.Options{Shared: tier, Node: name, Classes: []forebay.Class{{Name: "search", TTL: time.Second, StaleIfError: -1}}})
			if err != nil {
				t.Fatal(err)
			}
			f, err := forebay.Wrap(c, "search", func(_ context.Context, n int) (string, error) {
				if n < 0 {
					return "", errors.New("connection refused")
				}
				return fmt.Sprint(n), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			a := admin.New(c, quiet(admin.Options{Shared: tier, Version: "v-" + name, Address: "http://" + name}))
			return a, f, func() {
				a.Close()
				c.Close()
			}
		}
		a, f, closeA := open("a")
		defer closeA()
		b, g, closeB := open("b")
		closed := false
		defer func() {
			if !closed {
				closeB()
			}
		}()
		for i := range 300 {
			f.Get(t.Context(), i/2)
			g.Get(t.Context(), -1-i)
			time.Sleep(100 * time.Millisecond)
		}
		nodes := a.Nodes()
		if len(nodes) != 2 || nodes[0].Name != "a" || !nodes[0].Self || nodes[0].State != "ok" || *nodes[0].HitRate != 0.5 || nodes[0].Lookups < 9 || nodes[0].Lookups > 11 {
			t.Fatalf("%+v", nodes)
		}
		other := nodes[1]
		if other.Name != "b" || other.Self || other.State != "degraded" || other.Version != "v-b" || other.Address != "http://b" || !other.Confirmed || other.SeenSeconds > 4 ||
			len(other.Causes) == 0 || !strings.Contains(other.Causes[0], "class search: calls of its origin fail") || *other.HitRate != 0 || fmt.Sprint(other.Hears) != "[a]" {
			t.Errorf("%+v", other)
		}
		if nodes := b.Nodes(); len(nodes) != 2 || nodes[1].Name != "a" || nodes[1].State != "ok" {
			t.Errorf("the other's view: %+v", nodes)
		}
		// What somebody else has written is shown, and leads nowhere but to a node.
		b.Close()
		if err := tier.Set(t.Context(), "@node/b", []byte(`{"name":"x","self":true,"state":"ok","address":"javascript:alert(1)"}`), time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		if nodes := a.Nodes(); len(nodes) != 2 || nodes[1].Name != "b" || nodes[1].Self || nodes[1].Address != "" {
			t.Errorf("a card that nobody of ours wrote: %+v", nodes)
		}
		closeB()
		closed = true
		time.Sleep(20 * time.Second)
		if nodes := a.Nodes(); len(nodes) != 2 || nodes[1].State != "unknown" || nodes[1].SeenSeconds < 15 {
			t.Errorf("20 s after it stopped: %+v", nodes)
		}
		time.Sleep(11 * time.Minute)
		if nodes := a.Nodes(); len(nodes) != 1 {
			t.Errorf("11 minutes after: %+v", nodes)
		}
	})
}
