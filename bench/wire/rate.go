package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// atRate shows how long answers take at a rate that both servers reach: four fifths of what nginx can do.
func (b *bench) atRate(w *bytes.Buffer) error {
	hits := kase{path: "/1024/"}
	servers := map[string]*server{}
	for _, one := range []contender{nginx, forebay} {
		s, err := b.start(one.name, func(addr string) (*exec.Cmd, error) { return one.begin(b, addr) })
		if err != nil {
			return err
		}
		defer b.stop(s)
		servers[one.name] = s
		for range 2 {
			if _, _, err := b.load(hits, s, 2*time.Second); err != nil {
				return err
			}
		}
	}
	n, _, err := b.load(hits, servers[nginx.name], 4*time.Second)
	if err != nil {
		return err
	}
	rate := n / 4 * 4 / 5
	fmt.Fprintf(w, "\n### At a given rate\n\n%d requests a second on 64 connections, four fifths of nginx's most, by h2load.\n\n| | p50 µs | p99 µs | CPU µs |\n| --- | --- | --- | --- |\n", rate)
	for _, name := range []string{nginx.name, forebay.name} {
		var p50, p99, micros []float64
		for range b.rounds {
			before, err := servers[name].cpu()
			if err != nil {
				return err
			}
			took, err := b.paced(hits, servers[name], rate)
			if err != nil {
				return err
			}
			after, err := servers[name].cpu()
			if err != nil {
				return err
			}
			slices.Sort(took)
			p50, p99 = append(p50, took[len(took)/2]), append(p99, took[len(took)*99/100])
			micros = append(micros, float64((after-before)/time.Microsecond)/float64(len(took)))
		}
		fmt.Fprintf(w, "| %s | %.0f | %.0f | %.1f |\n", name, median(p50), median(p99), median(micros))
	}
	return nil
}

// paced asks so often a second, and returns how long each answer took, in microseconds.
func (b *bench) paced(c kase, s *server, rate int) (took []float64, err error) {
	c.tls = false
	list, err := b.urlList(c, s)
	if err != nil {
		return nil, err
	}
	log := filepath.Join(b.dir, "paced.log")
	os.Remove(log) // it is appended to
	cmd := b.unpacked("usr/bin/h2load", "--h1", "-c", "64", "-D", "4", "--rps", strconv.Itoa(rate/64), "--log-file", log, "-i", list)
	cmd.Args = append([]string{"taskset", "-c", "1", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/usr/bin/taskset"
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	text, err := os.ReadFile(log)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[1] != "200" {
			continue
		}
		micros, err := strconv.ParseFloat(fields[2], 64)
		if err != nil {
			return nil, err
		}
		took = append(took, micros)
	}
	if len(took) < rate {
		return nil, fmt.Errorf("%d of %d answers", len(took), 4*rate)
	}
	return took, err
}
