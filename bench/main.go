// Command bench measures Forebay against its peers, in one process and one run, and writes the
// figures down. Timings on a shared machine are noisy: every round runs each contender once, and
// what counts is the median of the rounds' ratios.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"strings"
)

func main() {
	if what := os.Getenv(childVariable); what != "" {
		if err := beChild(what); err != nil {
			log.Fatalf("bench: %s: %v", what, err)
		}
		return
	}
	write := flag.String("write", "", "file to write the report to; default: standard output only")
	only := flag.String("only", "", "run one section: near, memory, shared, http, gateway, world")
	rounds := flag.Int("rounds", 7, "rounds of each comparison")
	flag.Parse()

	var report bytes.Buffer
	fmt.Fprintf(&report, "# Performance\n\nWritten by `make bench` on %d cores, %s, %s/%s. Timings here are noisy: read the ratios, which are medians of %d rounds that ran every contender in turn. What a hit costs over HTTP, beside nginx and others, is [a page of its own](performance-http.md).\n",
		runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, *rounds)
	for _, s := range []struct {
		name string
		run  func(*bytes.Buffer, int) error
	}{{"near", nearHits}, {"memory", memory}, {"shared", shared}, {"http", platform}, {"gateway", throughHTTP}, {"world", world}} {
		if *only != "" && *only != s.name || *only == "" && s.name == "world" { // it takes minutes, most of them waiting
			continue
		}
		before := report.Len()
		if err := s.run(&report, *rounds); err != nil {
			log.Fatalf("bench: %s: %v", s.name, err)
		}
		fmt.Print(strings.TrimLeft(report.String()[before:], "\n"))
	}
	if *write != "" {
		if err := os.WriteFile(*write, report.Bytes(), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
