// Command wire measures what a hit costs over HTTP: the CPU of a server's processes for each request, beside caches and
// servers that are known for their speed. Each server runs alone on one core, and its load comes from another.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"
)

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role); err != nil {
			log.Fatal(role, ": ", err)
		}
		return
	}
	write := flag.String("write", "", "file to write the report to; default: standard output only")
	rounds := flag.Int("rounds", 5, "rounds of each case: every contender runs once in each")
	each := flag.Duration("for", 2*time.Second, "how long a contender is loaded in a round")
	only := flag.String("only", "", "run one case, by the beginning of its name; or rate, others, keys, profile")
	most := flag.Int("keys", someKeys, "the most keys that are stored: 5000000 takes a quarter of an hour and 12 GiB more")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *write, *only, *rounds, *most, *each); err != nil {
		log.Fatal("bench: ", err)
	}
}

func run(ctx context.Context, write, only string, rounds, most int, each time.Duration) error {
	dir, err := os.MkdirTemp("", "forebay-wire")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{ctx: ctx, dir: dir, rounds: rounds, most: most, each: each}
	defer b.stopAll()
	if err := b.prepare(); err != nil {
		return err
	}
	var report bytes.Buffer
	b.header(&report)
	for _, c := range cases {
		if only != "" && !bytes.HasPrefix([]byte(c.name), []byte(only)) {
			continue
		}
		before := report.Len()
		if err := b.measure(&report, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Print(report.String()[before:])
	}
	for _, section := range []struct {
		name string
		run  func(*bytes.Buffer) error
	}{{"rate", b.atRate}, {"others", b.others}, {"keys", b.keys}, {"profile", b.profile}} {
		if only != "" && only != section.name {
			continue
		}
		before := report.Len()
		if err := section.run(&report); err != nil {
			return err
		}
		fmt.Print(report.String()[before:])
	}
	if write == "" {
		return nil
	}
	return os.WriteFile(write, report.Bytes(), 0o644)
}
