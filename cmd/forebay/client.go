package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/forebay-cache/forebay/admin"
)

// A node is the admin listener of a running forebay.
type node struct {
	Node  string `default:"127.0.0.1:9191" env:"FOREBAY_NODE" placeholder:"ADDR" help:"Admin listener of the running node: HOST:PORT or URL."`
	Token string `env:"FOREBAY_ADMIN_TOKEN" hidden:""`
	JSON  bool   `name:"json" help:"Print the answer as JSON, for programs."`
}

// base is where the node's operations are.
func (n node) base() string {
	base := strings.TrimRight(n.Node, "/")
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	return base
}

// clientTimeout bounds a request to a node.
const clientTimeout = 10 * time.Second

// call sends a request and decodes the answer; problem details become the error.
func (n node) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	return n.callFor(ctx, method, path, in, out)
}

// callFor is call for what takes its time.
func (n node) callFor(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, n.base()+path, body)
	if err != nil {
		return usageError{fmt.Errorf("--node %s: %w", n.Node, err)}
	}
	if n.Token != "" {
		req.Header.Set("Authorization", "Bearer "+n.Token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("no node answers at %s: %w: name its admin listener with --node", n.Node, errors.Unwrap(err))
	}
	defer res.Body.Close()
	if res.StatusCode >= 400 {
		var p struct{ Detail string }
		json.NewDecoder(res.Body).Decode(&p)
		if res.StatusCode == http.StatusUnauthorized {
			return fmt.Errorf("%s%s: %s: %s: set FOREBAY_ADMIN_TOKEN to the node's token", n.Node, path, res.Status, p.Detail)
		}
		return fmt.Errorf("%s%s: %s: %s", n.Node, path, res.Status, p.Detail)
	}
	return json.NewDecoder(res.Body).Decode(out)
}

type statsCommand struct {
	node
	Watch bool `help:"Renew every second."`
}

// Run prints the verdict, and the statistics as a table.
func (c *statsCommand) Run(t terminal) error {
	for {
		var o admin.Overview
		if err := c.call(t.ctx, http.MethodGet, "/api/overview", nil, &o); err != nil {
			return err
		}
		if c.Watch && isTerminal(t.out) && !c.JSON {
			fmt.Fprint(t.out, "\x1b[H\x1b[2J")
		}
		if c.JSON {
			if err := json.NewEncoder(t.out).Encode(o); err != nil {
				return err
			}
		} else {
			printHealth(t.out, o.Health)
			printStats(t.out, o.Stats)
		}
		if !c.Watch {
			return nil
		}
		select {
		case <-time.After(time.Second):
		case <-t.ctx.Done():
			return nil
		}
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// printHealth prints what is wrong, each cause with since when, what it touches and what to do.
func printHealth(w io.Writer, h admin.Health) {
	if h.Status != "ok" || len(h.Causes) > 0 {
		fmt.Fprintln(w, h.Status)
	}
	for _, c := range h.Causes {
		word := ""
		if c.Warning {
			word = "warning: "
		}
		fmt.Fprintf(w, "  %s%s: %s\n    since %s", word, c.Check, c.Reason, c.Since.Local().Format("2006-01-02 15:04:05"))
		if c.Impact != "" {
			fmt.Fprintf(w, "; %s", c.Impact)
		}
		if c.Do != "" {
			fmt.Fprintf(w, "\n    what to do: %s", c.Do)
		}
		fmt.Fprintln(w)
	}
	if len(h.Causes) > 0 {
		fmt.Fprintln(w)
	}
}

func printStats(w io.Writer, s admin.Stats) {
	fmt.Fprintf(w, "%s, up %s, hit rate %s, saved %.1f s, near %d entries in %.1f of %.1f MiB\n\n", s.Mode,
		time.Duration(s.UptimeSeconds*float64(time.Second)).Round(time.Second), rate(s.HitRate), s.SavedSeconds,
		s.Near.Entries, float64(s.Near.Bytes)/(1<<20), float64(s.Near.MaxBytes)/(1<<20))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "class\tttl\thit rate\thits\tstale\tjoined\tmisses\tbypasses\tcalls\tfailed\tentries\tsaved\t")
	names := make([]string, 0, len(s.Classes))
	for name := range s.Classes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := s.Classes[name]
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f s\t\n", name, time.Duration(c.TTLSeconds*float64(time.Second)),
			rate(c.HitRate), c.Hits, c.StaleHits, c.Coalesced, c.Misses, c.Bypasses, c.Loads+c.Passed, c.LoadErrors+c.PassedErrors, c.Entries, c.SavedSeconds)
	}
	tw.Flush()
	printReasons(w, names, s)
	printTiers(w, s)
	if len(s.Advice) > 0 {
		fmt.Fprintln(w, "\nnot cached, because the origin does not say for how long:")
		for _, one := range s.Advice[:min(len(s.Advice), maxAdvice)] {
			fmt.Fprintf(w, "  %6d  %s\n", one.Answers, one.Flag)
			if one.Credentials > 0 {
				fmt.Fprintf(w, "          %d of them asked for with a cookie or credentials: each caller would have an entry of its own\n", one.Credentials)
			}
		}
	}
}

// printReasons prints why requests missed, and why responses were not stored.
func printReasons(w io.Writer, names []string, s admin.Stats) {
	line := "\n"
	for _, name := range names {
		for _, of := range []struct {
			what string
			by   map[string]uint64
		}{{"missed", s.Classes[name].MissesBy}, {"not stored", s.Classes[name].NotStored}} {
			if reasons := reasonsOf(of.by); reasons != "" {
				fmt.Fprintf(w, "%s%s %s: %s\n", line, name, of.what, reasons)
				line = ""
			}
		}
	}
}

// printTiers prints the shared tier, the log and the nodes on it; nothing for a node that is alone.
func printTiers(w io.Writer, s admin.Stats) {
	if s.Shared == nil {
		return
	}
	state := "usable"
	if !s.Shared.Usable {
		state = "not usable: " + s.Shared.Why
	}
	fmt.Fprintf(w, "\nshared  %s, %s, %d look-ups, %d errors, %d writes dropped\n", s.Shared.Version, state, s.Shared.Lookups, s.Shared.Errors, s.Shared.Dropped)
	fmt.Fprintf(w, "log     at %s, confirmed %t, checked %.0f ms ago, %d invalidations wait\n", s.Log.Head, s.Log.Confirmed, s.Log.LagMS, s.Shared.Deferred)
	for _, n := range s.Nodes[min(1, len(s.Nodes)):] {
		fmt.Fprintf(w, "node    %s, heard %.0f s ago\n", n.Name, n.SeenSeconds)
	}
}

// maxAdvice is how many routes are worth a line each.
const maxAdvice = 10

func rate(r *float64) string {
	if r == nil {
		return "no data"
	}
	return fmt.Sprintf("%.1f %%", *r*100)
}
