package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	smallBody = 100     // bytes
	fillRate  = 10_000  // misses a second that can be relied on
	fewKeys   = 10_000  // the first of keys: the others are compared with it
	someKeys  = 1000000 // what a large cache holds
	manyKeys  = 5000000
)

// keys shows what a hit and an entry cost where very many are stored, and are asked for in no order.
func (b *bench) keys(w *bytes.Buffer) error {
	fmt.Fprintf(w, "\n### Keys\n\nHits of %d B in random order, after each was asked for several times. An entry is what the live heap has grown by; the collector's share is that of the CPU while hits are served.\n\n| keys | CPU µs | to the first | B an entry, with key, head and body | collector |\n| --- | --- | --- | --- | --- |\n", smallBody)
	var first float64
	for _, n := range []int{fewKeys, someKeys, manyKeys} {
		if n > b.most {
			continue
		}
		micros, each, collector, err := b.keyed(n)
		if err != nil {
			return fmt.Errorf("%d keys: %w", n, err)
		}
		if first == 0 {
			first = micros
		}
		fmt.Fprintf(w, "| %d | %.1f | %.2f | %.0f | %s |\n", n, micros, micros/first, each, collector)
	}
	return nil
}

func (b *bench) keyed(n int) (micros, each float64, collector string, err error) {
	s, operators, err := b.withOperators("--near-bytes", "12GiB")
	if err != nil {
		return 0, 0, "", err
	}
	defer b.stop(s)
	before, err := heap(operators)
	if err != nil {
		return 0, 0, "", err
	}
	path := fmt.Sprintf("/%d/", smallBody)
	inTurn := kase{path: path, urls: n}
	for range 20 { // each load begins with the first again: hits until something is missing
		span := time.Duration(n/fillRate+1) * time.Second
		if _, _, err := b.load(inTurn, s, span); err != nil {
			return 0, 0, "", err
		}
		if entries, err := metric(operators, `forebay_near_entries{class="http"}`); err != nil || entries >= float64(n) {
			break
		}
	}
	after, err := heap(operators)
	if err != nil {
		return 0, 0, "", err
	}
	entries, err := metric(operators, `forebay_near_entries{class="http"}`)
	if err != nil || entries < float64(n)*0.99 {
		return 0, 0, "", fmt.Errorf("%.0f entries are stored: %w", entries, err)
	}
	if _, _, err := b.load(inTurn, s, time.Duration(n/fillRate+4)*time.Second); err != nil { // until the lane knows them
		return 0, 0, "", err
	}
	atRandom := kase{path: path, urls: n, random: true}
	var rounds []float64
	for range b.rounds {
		begun, err := s.cpu()
		if err != nil {
			return 0, 0, "", err
		}
		answered, _, err := b.load(atRandom, s, b.each)
		if err != nil {
			return 0, 0, "", err
		}
		ended, err := s.cpu()
		if err != nil {
			return 0, 0, "", err
		}
		rounds = append(rounds, float64((ended-begun)/time.Microsecond)/float64(answered))
	}
	collector, err = b.collector(s, operators, atRandom)
	return median(rounds), (after - before) / entries, collector, err
}

// withOperators starts the gateway with its admin listener.
func (b *bench) withOperators(more ...string) (s *server, operators string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	operators = l.Addr().String()
	l.Close()
	s, err = b.start("forebay", func(addr string) (*exec.Cmd, error) {
		cmd := b.forebay(addr, more...)
		cmd.Args[slices.Index(cmd.Args, "off")] = operators
		return cmd, nil
	})
	return s, operators, err
}

// collector is the share of the garbage collector while a load is served.
func (b *bench) collector(s *server, operators string, c kase) (string, error) {
	loaded := make(chan error, 1)
	go func() {
		_, _, err := b.load(c, s, 7*time.Second)
		loaded <- err
	}()
	top, err := exec.Command("go", "tool", "pprof", "-top", "-cum", "-nodecount=500", "-nodefraction=0", "-seconds=5", "http://"+operators+"/debug/pprof/profile").Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w", err)
	}
	share := "0 %"
	for line := range strings.Lines(string(top)) {
		if fields := strings.Fields(line); len(fields) > 5 && fields[5] == "runtime.gcBgMarkWorker" {
			share = fields[4]
		}
	}
	return share, <-loaded
}

// heap is what lives, in bytes.
func heap(operators string) (float64, error) {
	if _, err := get("http://" + operators + "/debug/pprof/heap?gc=1"); err != nil {
		return 0, err
	}
	return metric(operators, "go_memstats_heap_alloc_bytes")
}

func metric(operators, name string) (float64, error) {
	text, err := get("http://" + operators + "/metrics")
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(text, "\n"+name+" ")
	if !ok {
		return 0, fmt.Errorf("no metric %s", name)
	}
	value, _, _ := strings.Cut(rest, "\n")
	return strconv.ParseFloat(value, 64)
}

func get(url string) (string, error) {
	res, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, res.Status)
	}
	return string(text), err
}
