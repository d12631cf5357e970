package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/maypok86/otter/v2"
)

// childVariable makes this program one of the servers that are compared: "proxy", "gateway", "full"
// (a gateway whose near tier is) or "origin", and where its origin is.
const childVariable = "FOREBAY_BENCH_CHILD"

const (
	bodySize   = 1 << 10
	perRound   = 6000 // requests of each contender in a round
	clients    = 8
	clockTicks = 100     // of /proc/PID/stat in a second
	fullBytes  = 8 << 20 // of a near tier that a round fills
)

// throughHTTP measures what the gateway costs: the CPU of a process that passes misses, against one
// that does nothing but pass them, and the allocations of a hit.
func throughHTTP(w *bytes.Buffer, rounds int) error {
	children := map[string]*child{}
	for _, name := range []string{"origin", "proxy", "keeper", "gateway", "full"} {
		to := ""
		if origin := children["origin"]; origin != nil {
			to = origin.addr
		}
		one, err := startChild(name, to)
		if err != nil {
			return err
		}
		defer one.stop()
		children[name] = one
	}
	proxy, keeper, gate, full := children["proxy"], children["keeper"], children["gateway"], children["full"]

	n := 0
	another := func(i int) string { return fmt.Sprintf("/item?n=%d", n+i) }
	same := func(int) string { return "/item?n=0" }
	for _, one := range []*child{full, keeper} { // until they are
		if _, err := one.cost(another); err != nil {
			return err
		}
	}
	var plain, kept, filling, steady, hit []float64
	for range rounds {
		n += perRound
		for _, one := range []struct {
			of   *child
			path func(int) string
			to   *[]float64
		}{{proxy, another, &plain}, {keeper, another, &kept}, {full, another, &steady}, {gate, another, &filling}, {gate, same, &hit}} {
			cost, err := one.of.cost(one.path)
			if err != nil {
				return err
			}
			*one.to = append(*one.to, cost)
		}
	}
	allocations, err := hitAllocations()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n## The gateway\n\nCPU of the server's process for each request, user and system, from /proc; %d clients, answers of 1 KiB, each miss another URI and stored. The plain one is `httputil.ReverseProxy` with as many idle connections; the one that keeps has each answer beside in otter, under its URI, and knows no key, no freshness and no other caller: the least that a cache can do.\n\n"+
		"| | CPU µs | to the plain one |\n| --- | --- | --- |\n| plain reverse proxy | %.0f | 1.00 |\n| one that keeps each answer (%d MiB, full) | %.0f | %.2f |\n| miss, the near tier full (%d MiB) | %.0f | %.2f |\n| miss, the near tier growing | %.0f | %.2f |\n| hit | %.0f | %.2f |\n\n"+
		"A hit allocates %d times more than an empty handler that sends the same fields and body.\n",
		clients, median(plain), fullBytes>>20, median(kept), perPair(kept, plain), fullBytes>>20, median(steady), perPair(steady, plain), median(filling), perPair(filling, plain), median(hit), perPair(hit, plain), allocations)
	return nil
}

// perPair is the median of the ratios of each round, which its load has in common.
func perPair(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios)
}

// hitAllocations counts a hit's allocations over those of a handler that sends the same.
func hitAllocations() (int, error) {
	cache, err := forebay.Open(ctx, forebay.Options{})
	if err != nil {
		return 0, err
	}
	defer cache.Close()
	h, err := httpcache.New(cache, httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /item", TTL: time.Hour}}})
	if err != nil {
		return 0, err
	}
	cached := h.Handler(http.HandlerFunc(serveItem))
	ask := httptest.NewRequest("GET", "http://site.example/item?n=1", nil)
	first := httptest.NewRecorder()
	cached.ServeHTTP(first, ask)
	again := httptest.NewRecorder()
	cached.ServeHTTP(again, ask)
	if !strings.Contains(again.Header().Get("Cache-Status"), "hit") {
		return 0, errors.New("no hit: " + again.Header().Get("Cache-Status"))
	}
	fields, body := again.Header(), again.Body.Bytes()
	empty := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		for name, lines := range fields {
			header[name] = lines
		}
		w.WriteHeader(http.StatusOK)
		w.Write(body)
	})
	count := func(h http.Handler) float64 {
		return testing.AllocsPerRun(2000, func() { h.ServeHTTP(&discard{header: http.Header{}}, ask) })
	}
	return int(count(cached) - count(empty)), nil
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func serveItem(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("Content-Length", strconv.Itoa(bodySize))
	w.Write(payload)
}

var payload = bytes.Repeat([]byte("x"), bodySize)

// A child is one of the servers in a process of its own.
type child struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	addr   string
	client *http.Client
}

func startChild(kind, origin string) (*child, error) {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+kind+" "+origin)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, stdin: in, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}, Timeout: 30 * time.Second}}
	if _, err := fmt.Fscanln(out, &c.addr); err != nil {
		c.stop()
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return c, nil
}

// stop lets the child see the end of its input, and waits.
func (c *child) stop() {
	c.client.CloseIdleConnections()
	c.stdin.Close()
	c.cmd.Wait()
}

// cost is the CPU time of the child for each request of a round, in microseconds.
func (c *child) cost(path func(i int) string) (float64, error) {
	before, err := c.cpu()
	if err != nil {
		return 0, err
	}
	next := make(chan int)
	failed := make(chan error, clients)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for i := range next {
				if err := c.ask(path(i)); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for i := range perRound {
		next <- i
	}
	close(next)
	all.Wait()
	after, err := c.cpu()
	select {
	case err := <-failed:
		return 0, err
	default:
	}
	return (after - before) * 1e6 / perRound, err
}

func (c *child) ask(path string) error {
	res, err := c.client.Get("http://" + c.addr + path)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n != bodySize || res.StatusCode != 200 {
		return fmt.Errorf("%s: %s, %d bytes, %v", path, res.Status, n, err)
	}
	return nil
}

// cpu is what the process has used so far, in seconds.
func (c *child) cpu() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return float64(user+system) / clockTicks, errors.Join(err1, err2)
}

// beChild serves until the end of the input.
func beChild(what string) error {
	kind, origin, _ := strings.Cut(what, " ")
	var h http.Handler
	switch kind {
	case "origin":
		h = http.HandlerFunc(serveItem)
	case "proxy":
		to := &url.URL{Scheme: "http", Host: origin}
		h = &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to); r.SetXForwarded() },
			Transport: &http.Transport{MaxIdleConnsPerHost: 256, MaxIdleConns: 256, DisableCompression: true},
		}
	case "keeper":
		keeper, err := newKeeper(origin)
		if err != nil {
			return err
		}
		h = keeper
	case "gateway", "full":
		near := int64(0) // the default
		if kind == "full" {
			near = fullBytes
		}
		g, err := gateway.Open(context.Background(), gateway.Options{Config: gateway.Config{Origin: "http://" + origin}, NearBytes: near, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		defer g.Close()
		h = g
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go http.Serve(l, h)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// newKeeper is a reverse proxy that keeps what passes, and never looks it up.
func newKeeper(origin string) (http.Handler, error) {
	type answer struct {
		header http.Header
		body   []byte
	}
	held, err := otter.New(&otter.Options[string, *answer]{MaximumWeight: fullBytes, Weigher: func(key string, a *answer) uint32 { return uint32(512 + len(key) + len(a.body)) }})
	if err != nil {
		return nil, err
	}
	to := &url.URL{Scheme: "http", Host: origin}
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to); r.SetXForwarded() },
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, MaxIdleConns: 256, DisableCompression: true},
		ModifyResponse: func(res *http.Response) error {
			body := make([]byte, bodySize)
			if _, err := io.ReadFull(res.Body, body); err != nil {
				return err
			}
			res.Body.Close()
			held.Set(res.Request.URL.RequestURI(), &answer{res.Header.Clone(), body})
			res.Body = io.NopCloser(bytes.NewReader(body))
			return nil
		},
	}, nil
}
