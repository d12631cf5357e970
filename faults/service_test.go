package faults

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

const (
	notes        = 200
	noteLoad     = 20 * time.Millisecond
	loadedHeader = "Loaded"
)

// A noteStore is the slow store of a service of notes: each is a counter.
type noteStore [notes]atomic.Int64

// openService starts one node of the service. It reads through the cache, strictly, and a write answers when
// its invalidation does.
func openService(t *testing.T, redisURL string, store *noteStore, deferred *atomic.Int64) *httptest.Server {
	t.Helper()
	w := &world{t: t}
	cache, err := forebay.Open(t.Context(), forebay.Options{Shared: w.tier(redisURL), Logger: slog.New(slog.DiscardHandler),
		Classes: []forebay.Class{{Name: "notes", Strict: true, TTL: time.Minute}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close() })
	read, err := forebay.Wrap(cache, "notes", func(_ context.Context, id int) (int64, error) {
		v := store[id].Load()
		time.Sleep(noteLoad)
		return v, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /notes/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		res := read.Do(r.Context(), id)
		if res.Err != nil {
			http.Error(w, res.Err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set(loadedHeader, strconv.FormatBool(res.Status != forebay.Hit))
		fmt.Fprint(w, res.Value)
	})
	mux.HandleFunc("PUT /notes/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		v := store[id].Add(1)
		receipt, err := cache.Invalidate(r.Context(), forebay.Key(read.Key(id)))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		if receipt.Deferred {
			deferred.Add(1)
		}
		fmt.Fprint(w, v)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// TestAServiceWithoutFaults has 100 clients read and write on three nodes as fast as they can, and nothing
// breaks: no write is deferred, no answer fails, and none is older than what was answered before it was asked.
func TestAServiceWithoutFaults(t *testing.T) {
	const clients, ofThem = 100, 3
	var store noteStore
	var deferred atomic.Int64
	var nodes [ofThem]*httptest.Server
	server := redistest.Start(t)
	for i := range nodes {
		nodes[i] = openService(t, server.URL(), &store, &deferred)
	}
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: patience}
	ask := func(method string, node, id int) (v int64, loaded bool, err error) {
		req, _ := http.NewRequestWithContext(t.Context(), method, nodes[node].URL+"/notes/"+strconv.Itoa(id), nil)
		res, err := client.Do(req)
		if err != nil {
			return 0, false, err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(text)))
		}
		if err != nil {
			return 0, false, err
		}
		v, err = strconv.ParseInt(string(text), 10, 64)
		return v, res.Header.Get(loadedHeader) == "true", err
	}
	var answered [notes]atomic.Int64 // the version that a write was answered with
	var mu sync.Mutex
	var taken []time.Duration // without a load
	var writes atomic.Int64
	var work sync.WaitGroup
	end := time.Now().Add(*duration)
	for range clients {
		work.Go(func() {
			var own []time.Duration
			for time.Now().Before(end) {
				node, id, least := rand.IntN(ofThem), rand.IntN(notes), int64(0)
				method := "GET"
				if least = answered[id].Load(); rand.IntN(10) == 0 {
					method = "PUT"
					writes.Add(1)
				}
				begun := time.Now()
				v, loaded, err := ask(method, node, id)
				took := time.Since(begun)
				if err != nil {
					t.Errorf("%s: %s", method, err)
					return
				}
				if v < least {
					t.Errorf("note %d: %d after %d was answered", id, v, least)
				}
				if method == "PUT" {
					raiseTo(&answered[id], v)
				}
				if !loaded {
					own = append(own, took)
				}
				time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
			}
			mu.Lock()
			defer mu.Unlock()
			taken = append(taken, own...)
		})
	}
	work.Wait()
	if len(taken) == 0 || writes.Load() == 0 {
		t.Fatal("nothing was done")
	}
	slices.Sort(taken)
	t.Logf("%d writes, %d deferred; %d requests without a load: p99 %s, slowest %s", writes.Load(), deferred.Load(), len(taken), taken[len(taken)*99/100], taken[len(taken)-1])
	if n := deferred.Load(); n > 0 {
		t.Errorf("%d of %d writes were deferred", n, writes.Load())
	}
}

func raiseTo(a *atomic.Int64, v int64) {
	for old := a.Load(); old < v && !a.CompareAndSwap(old, v); old = a.Load() {
	}
}
