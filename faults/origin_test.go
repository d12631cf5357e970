package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/redis"
)

// Half an answer is half an answer to whoever asked, and nothing that is kept.
func TestHalfAnAnswer(t *testing.T) {
	var calls atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil && req != nil {
				calls.Add(1)
				io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nCache-Control: max-age=60\r\n\r\nhalf")
			}
			conn.Close()
		}
	}()
	g, err := gateway.Open(t.Context(), gateway.Options{Logger: slog.New(slog.DiscardHandler), Config: gateway.Config{Origin: "http://" + l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	front := httptest.NewServer(g)
	defer front.Close()
	for range 3 {
		res, err := http.Get(front.URL)
		if err != nil {
			continue // told so at once
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil && res.StatusCode == 200 {
			t.Errorf("%q was taken for whole", body)
		}
	}
	if calls.Load() < 3 {
		t.Errorf("asked %d times: half an answer was kept", calls.Load())
	}
}

// Ten thousand callers at once for one cold key on three nodes: with Redis one load in all, without one
// for each node.
func TestTenThousandCallers(t *testing.T) {
	for _, shared := range []bool{true, false} {
		t.Run(fmt.Sprintf("shared=%v", shared), func(t *testing.T) {
			var server *redistest.Server
			if shared {
				server = redistest.Start(t)
			}
			var loads atomic.Int64
			var nodes []*forebay.Func[string, string]
			for range 3 {
				o := forebay.Options{Logger: slog.New(slog.DiscardHandler)}
				if shared {
					tier, err := redis.Open(t.Context(), redis.Options{URL: server.URL(), Budget: time.Second, Logger: o.Logger})
					if err != nil {
						t.Fatal(err)
					}
					defer tier.Close()
					o.Shared = tier
				}
				c, err := forebay.Open(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				f, err := forebay.Wrap(c, "cold", func(ctx context.Context, key string) (string, error) {
					loads.Add(1)
					select {
					case <-time.After(300 * time.Millisecond):
						return "value of " + key, nil
					case <-ctx.Done():
						return "", ctx.Err()
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				nodes = append(nodes, f)
			}
			var all sync.WaitGroup
			var wrong atomic.Int64
			for i := range 10_000 {
				all.Go(func() {
					if v, err := nodes[i%3].Get(t.Context(), "key"); err != nil || v != "value of key" {
						wrong.Add(1)
					}
				})
			}
			all.Wait()
			want := map[bool]int64{true: 1, false: 3}[shared]
			if wrong.Load() > 0 || loads.Load() != want {
				t.Errorf("%d wrong answers, %d loads; want %d", wrong.Load(), loads.Load(), want)
			}
		})
	}
}

// A million invalidations on one node reach the other, which reads what it must and bounds what it keeps.
func TestManyInvalidations(t *testing.T) {
	n := 50_000
	if *rate > 1000 {
		n = 1_000_000
	}
	server := redistest.Start(t)
	var caches []*forebay.Cache
	var reads []*forebay.Func[int, int64]
	var version atomic.Int64
	for range 2 {
		tier, err := redis.Open(t.Context(), redis.Options{URL: server.URL(), Budget: time.Second, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer tier.Close()
		c, err := forebay.Open(t.Context(), forebay.Options{Shared: tier, LedgerSize: 10_000, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f, err := forebay.Wrap(c, "many", func(context.Context, int) (int64, error) { return version.Load(), nil })
		if err != nil {
			t.Fatal(err)
		}
		caches, reads = append(caches, c), append(reads, f)
	}
	for i := range 10 {
		if _, err := reads[1].Get(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	version.Store(1)
	const batch = 500
	for i := 0; i < n; i += batch {
		targets := make([]forebay.Target, batch)
		for j := range targets {
			targets[j] = forebay.Key(reads[0].Key(i + j))
		}
		if r, err := caches[0].Invalidate(t.Context(), targets...); err != nil || r.Deferred {
			t.Fatal(r, err)
		}
	}
	for i := range 10 {
		until(t, "the other node sees it", func() bool {
			v, err := reads[1].Get(t.Context(), i)
			return errors.Is(err, nil) && v == 1
		})
	}
	for i, c := range caches {
		if s := c.Stats(); s.Log.Targets > 10_000 {
			t.Errorf("node %d holds %d targets", i, s.Log.Targets)
		}
	}
}
