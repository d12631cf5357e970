package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// urls is how many are asked for in turn.
const urls = 1000

// A kase is one kind of load; the first contender is what the others are compared with.
type kase struct {
	name        string
	path        string // before the number
	fields      string // of the request, as Lua has tables
	connections int
	pipeline    int
	tls, h2     bool
	contenders  []contender
}

var cases = []kase{
	{name: "1 KiB, 64 connections", path: "/1024/", contenders: []contender{raw, forebay, withoutL, nginx, haproxy, varnish, h2o, netHTTP, fast}},
	{name: "100 B", path: "/100/", contenders: []contender{nginx, forebay}},
	{name: "16 KiB", path: "/16384/", contenders: []contender{nginx, forebay}},
	{name: "256 KiB", path: "/262144/", contenders: []contender{nginx, forebay}},
	{name: "1 KiB, 1,000 connections", path: "/1024/", connections: 1000, contenders: []contender{raw, forebay, nginx}},
	{name: "1 KiB, 10,000 connections", path: "/1024/", connections: 10000, contenders: []contender{raw, forebay, nginx}},
	{name: "1 KiB, 16 requests at a time on each connection", path: "/1024/", pipeline: 16, contenders: []contender{nginx, forebay}},
	{name: "with a credential", path: "/1024/", fields: `["Authorization"]="Bearer abc"`, contenders: []contender{forebay}},
	{name: "varies on Accept-Language", path: "/1024/vary", fields: `["Accept-Language"]="fr"`, contenders: []contender{nginx, forebay}},
	{name: "304", path: "/1024/", fields: `["If-None-Match"]='"abcdef0123456789"'`, contenders: []contender{nginx, forebay}},
	{name: "with the fields of a browser and a trace", path: "/1024/", fields: `["User-Agent"]="Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36", ["Accept"]="application/json", ["Accept-Language"]="en", ["Traceparent"]="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`, contenders: []contender{nginx, forebay}},
	{name: "compressed, 16 KiB", path: "/16384/", fields: `["Accept-Encoding"]="gzip"`, contenders: []contender{coded}},
	{name: "TLS, HTTP/1.1", path: "/1024/", tls: true, contenders: []contender{nginxTLS, forebayTLS}},
	{name: "TLS, HTTP/2", path: "/1024/", tls: true, h2: true, contenders: []contender{nginxTLS, forebayTLS}},
}

// A result is what one contender needed in the rounds.
type result struct {
	micros []float64 // of CPU, for each request
	rate   []float64
	p99    []string
}

// measure runs the contenders of a case in turn.
func (b *bench) measure(w *bytes.Buffer, c kase) error {
	results := make([]result, len(c.contenders))
	var servers []*server
	for _, one := range c.contenders {
		s, err := b.start(one.name, func(addr string) (*exec.Cmd, error) { return one.begin(b, addr) })
		if err != nil {
			return err
		}
		defer b.stop(s)
		servers = append(servers, s)
		for range 2 { // until everything is stored, and known
			if _, _, err := b.load(c, s, max(b.each, 2*time.Second)); err != nil {
				return fmt.Errorf("%s: %w", one.name, err)
			}
		}
	}
	for range b.rounds {
		for i, s := range servers {
			before, err := s.cpu()
			if err != nil {
				return err
			}
			n, p99, err := b.load(c, s, b.each)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			after, err := s.cpu()
			if err != nil {
				return err
			}
			r := &results[i]
			r.micros = append(r.micros, float64((after-before)/time.Microsecond)/float64(n))
			r.rate, r.p99 = append(r.rate, float64(n)/b.each.Seconds()), append(r.p99, p99)
		}
	}
	fmt.Fprintf(w, "\n### %s\n\n| | CPU µs | to the first | requests/s | p99 |\n| --- | --- | --- | --- | --- |\n", c.name)
	for i, r := range results {
		ratios := make([]float64, b.rounds)
		for n := range ratios {
			ratios[n] = r.micros[n] / results[0].micros[n]
		}
		fmt.Fprintf(w, "| %s | %.1f | %.2f | %.0f | %s |\n", c.contenders[i].name, median(r.micros), median(ratios), median(r.rate), r.p99[len(r.p99)/2])
	}
	return nil
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

var (
	requestsIn = regexp.MustCompile(`(\d+) requests in`)
	done       = regexp.MustCompile(`(\d+) done, (\d+) succeeded`)
	wrkP99     = regexp.MustCompile(`99% +(\S+)`)
	bad        = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)|Socket errors: [^\n]*(read|write|connect) [1-9]`)
)

// load asks a server from the second core, and returns how many requests were answered.
func (b *bench) load(c kase, s *server, span time.Duration) (n int, p99 string, err error) {
	scheme := "http"
	if c.tls {
		scheme = "https"
	}
	connections := 64
	if c.connections > 0 {
		connections = c.connections
	}
	var cmd *exec.Cmd
	if c.h2 {
		list, err := b.urlList(c, s)
		if err != nil {
			return 0, "", err
		}
		cmd = b.unpacked("usr/bin/h2load", "-c", "16", "-m", "8", "-D", strconv.Itoa(int(span.Seconds())), "-i", list)
	} else {
		script, err := b.file("load.lua", c.lua())
		if err != nil {
			return 0, "", err
		}
		cmd = b.unpacked("usr/bin/wrk", "-t1", "-c"+strconv.Itoa(connections), "-d"+span.String(), "--latency", "--timeout", "10s", "-s", script, scheme+"://"+s.addr+"/")
	}
	cmd.Args = append([]string{"taskset", "-c", "1", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/usr/bin/taskset"
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, "", fmt.Errorf("%w: %s", err, out)
	}
	found := requestsIn.FindSubmatch(out)
	if c.h2 {
		found = done.FindSubmatch(out)
	}
	if found == nil || bad.Match(out) {
		return 0, "", fmt.Errorf("the load went wrong: %s", out)
	}
	if n, err = strconv.Atoi(string(found[1])); err != nil || n == 0 {
		return 0, "", fmt.Errorf("nothing was answered: %s", out)
	}
	if of := wrkP99.FindSubmatch(out); of != nil {
		p99 = string(of[1])
	}
	return n, p99, nil
}

func (b *bench) urlList(c kase, s *server) (string, error) {
	var list strings.Builder
	for i := range urls {
		fmt.Fprintf(&list, "https://%s%s%d\n", s.addr, c.path, i)
	}
	return b.file("urls", list.String())
}

// lua is wrk's script of a case.
func (c kase) lua() string {
	one := fmt.Sprintf(`wrk.format("GET", %q .. n, {%s})`, c.path, c.fields)
	if c.pipeline == 0 {
		return fmt.Sprintf("local n = 0\nrequest = function() n = (n + 1) %% %d return %s end\n", urls, one)
	}
	return fmt.Sprintf("local n = 0\nrequest = function() local all = {} for i = 1, %d do n = (n + 1) %% %d all[i] = %s end return table.concat(all) end\n", c.pipeline, urls, one)
}

// version is what a command says of itself.
func version(cmd *exec.Cmd) string {
	out, _ := cmd.CombinedOutput() // some say it with a failure
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

func (b *bench) header(w *bytes.Buffer) {
	fmt.Fprintf(w, "# What a hit costs over HTTP\n\nWritten by `make bench-http` on %s, %s. Each server has one core to itself, and is asked from another one by wrk (h2load for HTTP/2) for %d URLs in turn; CPU is that of all its processes, user and system, from /proc. Figures are medians of %d rounds of %s in which every contender ran in turn, the ratio that of each round. The origin's answers may be kept for an hour. Nobody writes an access log.\n\n",
		cpuModel(), kernel(), urls, b.rounds, b.each)
	for _, one := range []*exec.Cmd{b.unpacked("usr/sbin/nginx", "-v"), b.unpacked("usr/sbin/haproxy", "-v"), b.unpacked("usr/sbin/varnishd", "-V"), b.unpacked("usr/bin/h2o", "--version"),
		exec.Command(filepath.Join(b.dir, "forebay"), "version")} {
		fmt.Fprintf(w, "- `%s`\n", version(one))
	}
	fmt.Fprintf(w, "\nConfigurations are in `bench/wire/contenders.go`. nginx has its cache in memory (/dev/shm) with open files kept, HAProxy and Varnish in memory; h2o 2.2 has no cache and serves files; net/http, fasthttp and the loop in C answer everything with one answer. Left out: Traffic Server and Squid, HEAD (wrk cannot read its answers), POST and QUERY, hits of the shared tier, millions of keys, and loads at a given rate (wrk sends as fast as it can, so its p99 is that of a full core).\n")
}
