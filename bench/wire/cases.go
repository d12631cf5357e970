package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// urls is how many are asked for in turn, where a case says nothing else.
const urls = 1000

// A kase is one kind of load; the first contender is what the others are compared with.
type kase struct {
	name        string
	method      string // default: GET
	path        string // before the number
	fields      string // of the request, as Lua has tables
	body        string
	urls        int // different ones; -1: every one
	random      bool
	connections int
	pipeline    int
	tls, h2     bool
	contenders  []contender
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
		warm := one.asks(c)
		if warm.method == "HEAD" {
			warm.method = "" // what stores
		}
		for _, load := range []kase{warm, one.asks(c)} { // until everything is stored, and known
			if _, _, err := b.load(load, s, max(b.each, 2*time.Second)); err != nil {
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
			n, p99, err := b.load(c.contenders[i].asks(c), s, b.each)
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
	} else if c.method == "HEAD" { // wrk waits for a body
		if cmd, err = b.role("heads", s.addr); err != nil {
			return 0, "", err
		}
		cmd.Env = append(cmd.Env, spanVariable+"="+span.String())
	} else {
		script, err := b.file("load.lua", c.lua())
		if err != nil {
			return 0, "", err
		}
		cmd = b.unpacked("usr/bin/wrk", "-t1", "-c"+strconv.Itoa(connections), fmt.Sprintf("-d%ds", int(span.Seconds())), "--latency", "--timeout", "10s", "-s", script, c.scheme()+"://"+s.addr+"/")
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

func (c kase) scheme() string {
	if c.tls {
		return "https"
	}
	return "http"
}

func (b *bench) urlList(c kase, s *server) (string, error) {
	var list strings.Builder
	for i := range urls {
		fmt.Fprintf(&list, "%s://%s%s%d\n", c.scheme(), s.addr, c.path, i)
	}
	return b.file("urls", list.String())
}

// lua is wrk's script of a case.
func (c kase) lua() string {
	method, path, number := cmp.Or(c.method, "GET"), c.path, fmt.Sprintf("(n + 1) %% %d", cmp.Or(c.urls, urls))
	if c.random {
		number = fmt.Sprintf("math.random(0, %d)", c.urls-1)
	}
	if c.urls < 0 {
		path, number = path+strconv.FormatInt(time.Now().UnixNano(), 36)+"-", "n + 1"
	}
	one := fmt.Sprintf("wrk.format(%q, %q .. n, {%s}, body)", method, path, c.fields)
	head := "local n = 0\nlocal body\n"
	if c.body != "" {
		head = fmt.Sprintf("local n = 0\nlocal body = %q\n", c.body)
	}
	if c.pipeline == 0 {
		return fmt.Sprintf("%srequest = function() n = %s return %s end\n", head, number, one)
	}
	return fmt.Sprintf("%srequest = function() local all = {} for i = 1, %d do n = %s all[i] = %s end return table.concat(all) end\n", head, c.pipeline, number, one)
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
	for _, one := range []*exec.Cmd{b.unpacked("usr/sbin/nginx", "-v"), b.unpacked("usr/sbin/haproxy", "-v"), b.unpacked("usr/sbin/varnishd", "-V"), b.unpacked("usr/bin/h2o", "--version"), b.unpacked("usr/sbin/squid", "-v"),
		exec.Command(filepath.Join(b.dir, "forebay"), "version")} {
		fmt.Fprintf(w, "- `%s`\n", version(one))
	}
	fmt.Fprintf(w, "\nConfigurations are in `bench/wire/contenders.go`. nginx has its cache in memory (/dev/shm) with open files kept, HAProxy, Varnish and Squid in memory; h2o 2.2 has no cache and serves files; net/http, fasthttp and the loop in C answer everything with one answer. Left out: Traffic Server, which does not start as root.\n")
}
