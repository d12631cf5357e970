package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/relay"
	tiers "github.com/forebay-cache/forebay/shared"
)

// A way is a connection between regions: what goes through it comes later, in both directions, and nothing does while it is cut.
// It needs no rights and no kernel's help, as network namespaces and tc netem would.
type way struct {
	listener net.Listener
	to       string
	delay    time.Duration // one way

	mu    sync.Mutex // guards the fields below
	cut   bool
	conns map[net.Conn]bool
}

func newWay(to string, roundTrip time.Duration) (*way, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &way{listener: l, to: strings.TrimPrefix(to, "http://"), delay: roundTrip / 2, conns: map[net.Conn]bool{}}
	go w.accept()
	return w, nil
}

func (w *way) url() string { return "http://" + w.listener.Addr().String() }

func (w *way) accept() {
	for {
		c, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		cut := w.cut
		w.mu.Unlock()
		if cut {
			c.Close()
			continue
		}
		go w.carry(c)
	}
}

func (w *way) carry(near net.Conn) {
	defer near.Close()
	time.Sleep(2 * w.delay) // the handshake
	far, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer far.Close()
	w.mu.Lock()
	w.conns[near], w.conns[far] = true, true
	w.mu.Unlock()
	go w.later(far, near)
	w.later(near, far)
	w.mu.Lock()
	delete(w.conns, near)
	delete(w.conns, far)
	w.mu.Unlock()
}

type piece struct {
	bytes []byte
	due   time.Time
}

// later carries bytes, each piece as late as the way is long.
func (w *way) later(to, from net.Conn) {
	pieces := make(chan piece, 1024)
	go func() {
		defer close(pieces)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			if n > 0 {
				pieces <- piece{b[:n], time.Now().Add(w.delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			from.Close()
		}
	}
	to.Close()
}

func (w *way) setCut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for c := range w.conns {
			c.Close()
		}
	}
}

// A region is where clients are.
type region struct {
	name      string
	roundTrip time.Duration
	middle    *way // to the gateway in the middle
	origin    *way // to the API itself
	edge      string
	cache     *forebay.Cache
}

// partners is the reference platform's API, without its cache: each call takes 200 to 500 ms.
type partners struct {
	version atomic.Int64
	calls   atomic.Int64
}

func (p *partners) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.calls.Add(1)
	time.Sleep(200*time.Millisecond + rand.N(300*time.Millisecond))
	w.Header().Set("Cache-Control", "max-age=900, stale-while-revalidate=60, stale-if-error=3600")
	w.Header().Set("Cache-Tag", "partners")
	fmt.Fprintf(w, "%s %d %s", r.URL, p.version.Load(), strings.Repeat("x", 1000))
}

const worldSecret = "a secret of all regions"

func openGateway(c gateway.Config, tier tiers.Tier) (*gateway.Gateway, *httptest.Server, error) {
	c.Classes = []forebay.Class{{Name: "partner_data", TTL: 15 * time.Minute, Stale: time.Minute, StaleIfError: time.Hour, MaxLoads: -1}}
	c.Rules = []httpcache.Rule{{Match: "GET /api/", Class: "partner_data"}}
	g, err := gateway.Open(context.Background(), gateway.Options{Config: c, Shared: tier, Secret: []byte(worldSecret), Token: relay.Token([]byte(worldSecret)), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	return g, httptest.NewServer(g), nil
}

// world measures what clients in three regions wait.
func world(out *bytes.Buffer, _ int) error {
	api := &partners{}
	origin := httptest.NewServer(api)
	defer origin.Close()
	root := tiers.NewMemory()
	middle, middleServer, err := openGateway(gateway.Config{Origin: origin.URL, Children: true}, root)
	if err != nil {
		return err
	}
	defer middle.Close()
	defer middleServer.Close()
	regions := []*region{{name: "near", roundTrip: 5 * time.Millisecond}, {name: "far", roundTrip: 80 * time.Millisecond}, {name: "farthest", roundTrip: 200 * time.Millisecond}}
	for _, r := range regions {
		if r.middle, err = newWay(middleServer.URL, r.roundTrip); err != nil {
			return err
		}
		if r.origin, err = newWay(origin.URL, r.roundTrip); err != nil {
			return err
		}
		log, err := relay.Open(relay.Options{Parents: []string{r.middle.url()}, Token: relay.Token([]byte(worldSecret)), Keys: [][]byte{[]byte(worldSecret)}, Coarse: true, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		g, s, err := openGateway(gateway.Config{Parents: []string{r.middle.url()}}, log)
		if err != nil {
			return err
		}
		defer g.Close()
		defer s.Close()
		r.edge, r.cache = s.URL, g.Cache()
	}
	fmt.Fprintf(out, "\n## Around the world\n\nThree regions with their clients %s, %s and %s from the API, there and back; the API takes 200 to 500 ms for a call, as the platform's; 12 clients in each region ask for 200 URLs, some far more often than others, for 20 s. The way between regions is delayed in user space. `make bench-world`.\n\n| | region | p50 | p99 | hits | calls of the API |\n| --- | --- | --- | --- | --- | --- |\n",
		regions[0].roundTrip, regions[1].roundTrip, regions[2].roundTrip)
	for _, by := range []struct {
		name string
		at   func(*region) string
	}{{"no cache", func(r *region) string { return r.origin.url() }}, {"one gateway, near the API", func(r *region) string { return r.middle.url() }}, {"a gateway in each region", func(r *region) string { return r.edge }}} {
		if _, err := middle.Cache().Invalidate(context.Background(), forebay.Everything()); err != nil {
			return err
		}
		time.Sleep(time.Second)
		before := api.calls.Load()
		rows := make([]string, len(regions))
		var all sync.WaitGroup
		for i, r := range regions {
			all.Go(func() {
				times, hits := ask(by.at(r), 12, 20*time.Second)
				rows[i] = fmt.Sprintf("| %s | %s | %s | %s | %.0f %% ", by.name, r.name, quantile(times, 0.5).Round(100*time.Microsecond), quantile(times, 0.99).Round(time.Millisecond), 100*hits)
			})
		}
		all.Wait()
		for _, row := range rows {
			fmt.Fprintf(out, "%s| %d |\n", row, api.calls.Load()-before)
		}
	}
	if err := worldInvalidations(out, api, middle, regions); err != nil {
		return err
	}
	return worldCut(out, regions[2])
}

// ask has clients ask until a time, and returns what they waited, and the share of hits.
func ask(base string, clients int, lasts time.Duration) (times []time.Duration, hits float64) {
	var mu sync.Mutex
	var all sync.WaitGroup
	var hit, count float64
	end := time.Now().Add(lasts)
	for n := range clients {
		all.Go(func() {
			zipf := rand.NewZipf(rand.New(rand.NewPCG(uint64(n), 7)), 1.2, 4, 199)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 10 * time.Second}
			for time.Now().Before(end) {
				begun := time.Now()
				res, err := getOf(client, fmt.Sprintf("%s/api/partners?org_id=%d", base, zipf.Uint64()))
				took := time.Since(begun)
				mu.Lock()
				if count++; err == nil {
					times = append(times, took)
					if strings.Contains(strings.Join(res.Header["Cache-Status"], ","), "; hit") {
						hit++
					}
				}
				mu.Unlock()
				time.Sleep(rand.N(20 * time.Millisecond))
			}
		})
	}
	all.Wait()
	return times, hit / max(count, 1)
}

func getOf(client *http.Client, url string) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Host = "www.example.com"
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", res.Status)
	}
	return res, err
}

// worldInvalidations measures how long after an invalidation in the middle a region's gateway knows of it.
func worldInvalidations(out *bytes.Buffer, api *partners, middle *gateway.Gateway, regions []*region) error {
	fmt.Fprint(out, "\n| an invalidation near the API is known in the region | p50 | p99 |\n| --- | --- | --- |\n")
	for _, r := range regions {
		var times []time.Duration
		for range 100 {
			api.version.Add(1)
			number := r.cache.Number()
			begun := time.Now()
			if _, err := middle.Cache().Invalidate(context.Background(), forebay.Tag("partners")); err != nil {
				return err
			}
			for !r.cache.InvalidatedSince(number, "", "partner_data", []string{"partners"}) {
				time.Sleep(200 * time.Microsecond)
			}
			times = append(times, time.Since(begun))
			time.Sleep(30 * time.Millisecond)
		}
		fmt.Fprintf(out, "| %s, %s away | %s | %s |\n", r.name, r.roundTrip, quantile(times, 0.5).Round(100*time.Microsecond), quantile(times, 0.99).Round(time.Millisecond))
	}
	return nil
}

// worldCut cuts a region off for 30 s.
func worldCut(out *bytes.Buffer, r *region) error {
	ask(r.edge, 12, 5*time.Second)
	r.middle.setCut(true)
	begun := time.Now()
	client := &http.Client{Timeout: 10 * time.Second}
	var answered, failed int
	said := time.Duration(-1)
	for time.Since(begun) < 30*time.Second {
		if _, err := getOf(client, fmt.Sprintf("%s/api/partners?org_id=%d", r.edge, rand.IntN(10))); err == nil {
			answered++
		} else {
			failed++
		}
		if said < 0 && r.cache.Stats().Mode == forebay.Degraded {
			said = time.Since(begun)
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.middle.setCut(false)
	healed := time.Now()
	for r.cache.Stats().Mode != forebay.TwoTier {
		if time.Since(healed) > time.Minute {
			return fmt.Errorf("the region does not heal")
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Fprintf(out, "\nThe farthest region cut off for 30 s: %d requests for what it had were answered, %d were not; it said so after %s, and was well again %s after the way was back.\n",
		answered, failed, said.Round(10*time.Millisecond), time.Since(healed).Round(10*time.Millisecond))
	return nil
}
