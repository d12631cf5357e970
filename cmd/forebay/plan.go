package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/forebay-cache/forebay/internal/plan"
)

type planCommand struct {
	Log       string   `arg:"" name:"accesslog" help:"The access log: common or combined format, or JSON; .gz too; - for standard input."`
	NearBytes byteSize `placeholder:"SIZE" help:"Memory of the near tier that is planned. Default: 512MiB."`
	Write     string   `placeholder:"FILE" help:"Write the rules to this file, for forebay serve --config."`
	Origin    string   `placeholder:"URL" help:"The origin in that file. Default: http://127.0.0.1:5000."`
	JSON      bool     `name:"json" help:"Print the report as JSON."`
}

// Run reads an access log and says what a cache would do.
func (c *planCommand) Run(t terminal) error {
	log, size, err := openLog(c.Log)
	if err != nil {
		return usageError{err}
	}
	defer log.Close()
	bar := newBar(t.err, size)
	lines := io.Reader(bar.reading(log))
	if strings.HasSuffix(c.Log, ".gz") {
		unzipped, err := gzip.NewReader(lines)
		if err != nil {
			return usageError{fmt.Errorf("%s: %w: is it a gzip file?", c.Log, err)}
		}
		lines = unzipped
	}
	r, err := plan.Read(stoppable{t.ctx.Done(), lines}, plan.Options{NearBytes: int64(c.NearBytes), Progress: func(int64) { bar.show() }})
	bar.end()
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", c.Log, err)}
	}
	if c.JSON {
		if err := json.NewEncoder(t.out).Encode(r); err != nil {
			return err
		}
	} else {
		printPlan(t.out, r)
	}
	if c.Write == "" {
		return nil
	}
	origin := c.Origin
	if origin == "" {
		origin = "http://127.0.0.1:5000"
	}
	if err := os.WriteFile(c.Write, []byte("origin: "+origin+"\n"+r.Rules()), 0o644); err != nil {
		return usageError{err}
	}
	if !c.JSON {
		fmt.Fprintf(t.out, "\nwritten to %s: look at it, then: forebay check --ask %s\n", c.Write, c.Write)
	}
	return nil
}

// openLog opens a file, or standard input. A size of 0 is not known.
func openLog(name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder: name a file", name)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

var errStopped = errors.New("it was stopped")

// A stoppable reader ends when its program does.
type stoppable struct {
	stop <-chan struct{}
	from io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	select {
	case <-s.stop:
		return 0, errStopped
	default:
		return s.from.Read(p)
	}
}

// A bar shows how much of a file was read: on a terminal as a bar, elsewhere as a line now and then. Short files have none.
type bar struct {
	to       io.Writer
	terminal bool
	size     int64
	read     int64
	begun    time.Time
	shown    time.Time
}

const (
	barAfter = time.Second // nobody needs one for less
	barWidth = 30
)

func newBar(to io.Writer, size int64) *bar {
	b := &bar{to: to, size: size, begun: time.Now()}
	if f, ok := to.(*os.File); ok {
		info, err := f.Stat()
		b.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

func (b *bar) reading(from io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := from.Read(p)
		b.read += int64(n)
		return n, err
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (b *bar) show() {
	every := 200 * time.Millisecond
	if !b.terminal {
		every = 10 * time.Second
	}
	now := time.Now()
	if now.Sub(b.begun) < barAfter || now.Sub(b.shown) < every {
		return
	}
	b.shown = now
	text := fmt.Sprintf("%d MiB read", b.read>>20)
	if b.size > 0 {
		share := float64(b.read) / float64(b.size)
		full := min(int(share*barWidth), barWidth)
		left := time.Duration(float64(now.Sub(b.begun)) * (1 - share) / max(share, 0.001)).Round(time.Second)
		text = fmt.Sprintf("[%s%s] %3.0f %%, %s left", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*share, left)
	}
	if b.terminal {
		fmt.Fprintf(b.to, "\r%-60s", text)
	} else {
		fmt.Fprintln(b.to, text)
	}
}

func (b *bar) end() {
	if b.terminal && !b.shown.IsZero() {
		fmt.Fprintf(b.to, "\r%-60s\r", "")
	}
}

// planned is how many routes are printed.
const planned = 20

func printPlan(w io.Writer, r *plan.Report) {
	fmt.Fprintf(w, "%d requests from %s to %s", r.Requests, r.From.Format(time.DateTime), r.To.Format(time.DateTime))
	if r.Unread > 0 {
		fmt.Fprintf(w, "; %d lines are no requests (%s)", r.Unread, strings.Join(r.Examples, "; "))
	}
	fmt.Fprintln(w, ".")
	if !r.Queries {
		fmt.Fprintln(w, "No request has a query: if the log leaves queries out, the real hit rate is lower.")
	}
	fmt.Fprint(w, "\nIf every GET were cached, hits by time to live, in ", mib64(r.NearBytes), ":")
	for _, s := range r.ByTTL {
		fmt.Fprintf(w, "  %s %.1f %%", plan.Short(s.TTL), 100*s.HitRate)
	}
	fmt.Fprint(w, "\nand by memory, for ", plan.Short(r.ByMemory[0].TTL), ":")
	for _, s := range r.ByMemory {
		fmt.Fprintf(w, "  %s %.1f %%", mib64(s.NearBytes), 100*s.HitRate)
	}
	fmt.Fprint(w, "\n\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ROUTE\tREQUESTS\tTOOK\tHITS 10s\t1m\t5m\t15m\t1h\tCHANGED\tTTL\tCALLS SPARED\tTIME SAVED")
	for _, one := range r.Routes[:min(planned, len(r.Routes))] {
		took, ttl := "-", "no: "+one.Why
		if one.Took > 0 {
			took = one.Took.Round(100 * time.Microsecond).String()
		}
		spared, saved := "", ""
		if one.TTL > 0 {
			ttl, spared = plan.Short(one.TTL), fmt.Sprint(one.Spared)
			if r.HasTimes {
				saved = one.Saved.Round(time.Second).String()
			}
		}
		fmt.Fprintf(tw, "%s\t%d\t%s", one.Match, one.Requests, took)
		for _, rate := range one.HitRates {
			fmt.Fprintf(tw, "\t%.0f %%", 100*rate)
		}
		fmt.Fprintf(tw, "\t%.1f %%\t%s\t%s\t%s\n", 100*one.Changed[len(one.Changed)-1], ttl, spared, saved)
	}
	tw.Flush()
	if more := len(r.Routes) - planned; more > 0 {
		fmt.Fprintf(w, "and %d routes more (--json)\n", more)
	}
	fmt.Fprintf(w, "\nWith the rules below %.1f %% of the requests are hits: %d calls of the origin are spared", 100*r.HitRate, r.Spared)
	if r.HasTimes {
		fmt.Fprintf(w, ", and %s of waiting", r.Saved.Round(time.Second))
	}
	fmt.Fprintf(w, ".\nCHANGED is the share of hits within an hour for which the log has another size or an error: what the origin says of its answers goes before each rule, and whoever writes through the gateway invalidates.\n\n%s", r.Rules())
}

func mib64(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
