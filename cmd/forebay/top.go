package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/forebay-cache/forebay/admin"
)

type topCommand struct {
	node
	Every time.Duration `default:"1s" help:"How often to look."`
}

// Run prints what a node does, again and again, until it is interrupted.
func (c *topCommand) Run(t terminal) error {
	if c.Every < 100*time.Millisecond {
		return usageError{fmt.Errorf("--every %s: at least 100ms", c.Every)}
	}
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	var before admin.Overview
	for {
		var now admin.Overview
		if err := c.call(t.ctx, http.MethodGet, "/api/overview", nil, &now); err != nil {
			if t.ctx.Err() != nil {
				return nil
			}
			return err
		}
		if !before.Time.IsZero() {
			if err := c.show(t, before, now); err != nil {
				return err
			}
		}
		before = now
		select {
		case <-tick.C:
		case <-t.ctx.Done():
			return nil
		}
	}
}

// A classRate is what a class did in each second between two looks.
type classRate struct {
	Class   string   `json:"class"`
	Lookups float64  `json:"lookups_per_second"`
	HitRate *float64 `json:"hit_rate"`
	Calls   float64  `json:"origin_calls_per_second"`
	Failed  float64  `json:"failed_per_second"`
	Saved   float64  `json:"saved_seconds_per_second"`
}

func (c *topCommand) show(t terminal, before, now admin.Overview) error {
	rates := ratesOf(before, now)
	if c.JSON {
		return json.NewEncoder(t.out).Encode(map[string]any{"time": now.Time, "status": now.Health.Status, "classes": rates})
	}
	if isTerminal(t.out) {
		fmt.Fprint(t.out, "\x1b[H\x1b[2J")
	}
	fmt.Fprintf(t.out, "%s  %s  %s  near %d entries, %.1f of %.1f MiB\n", now.Time.Local().Format("15:04:05"), now.Health.Status, now.Stats.Mode,
		now.Stats.Near.Entries, float64(now.Stats.Near.Bytes)/(1<<20), float64(now.Stats.Near.MaxBytes)/(1<<20))
	printHealth(t.out, now.Health)
	tw := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "class\tlook-ups/s\thit rate\torigin calls/s\tfailed/s\tsaved s/s\t")
	for _, r := range rates {
		fmt.Fprintf(tw, "%s\t%.1f\t%s\t%.1f\t%.1f\t%.2f\t\n", r.Class, r.Lookups, rate(r.HitRate), r.Calls, r.Failed, r.Saved)
	}
	return tw.Flush()
}

// ratesOf compares two looks, the busiest class first. Statistics that began again meanwhile count from their beginning.
func ratesOf(before, now admin.Overview) []classRate {
	seconds := now.Time.Sub(before.Time).Seconds()
	if now.Stats.UptimeSeconds < before.Stats.UptimeSeconds {
		before.Stats.Classes, seconds = nil, max(now.Stats.UptimeSeconds, 0.001)
	}
	out := []classRate{}
	for _, name := range slices.Sorted(maps.Keys(now.Stats.Classes)) {
		a, b := before.Stats.Classes[name], now.Stats.Classes[name]
		spared := b.Hits + b.StaleHits + b.Coalesced - a.Hits - a.StaleHits - a.Coalesced
		lookups := spared + b.Misses - a.Misses
		r := classRate{
			Class: name, Lookups: float64(lookups) / seconds, Calls: float64(b.Loads+b.Passed-a.Loads-a.Passed) / seconds,
			Failed: float64(b.LoadErrors+b.PassedErrors-a.LoadErrors-a.PassedErrors) / seconds, Saved: (b.SavedSeconds - a.SavedSeconds) / seconds,
		}
		if lookups > 0 {
			hits := float64(spared) / float64(lookups)
			r.HitRate = &hits
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b classRate) int { return -cmp.Compare(a.Lookups, b.Lookups) })
	return out
}

type routesCommand struct{ node }

// Run prints what happened to the requests of each route in the last minutes.
func (c *routesCommand) Run(t terminal) error {
	var routes []admin.Route
	if err := c.call(t.ctx, http.MethodGet, "/api/routes", nil, &routes); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(routes)
	}
	printRoutes(t.out, routes)
	return nil
}

func printRoutes(w io.Writer, routes []admin.Route) {
	if len(routes) == 0 {
		fmt.Fprintln(w, "no requests in the last minutes")
		return
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ROUTE\tREQUESTS/S\tHIT RATE\tHIT P99\tMISS P50\tMISS P99\t5XX\tORIGIN CALLS\tSAVED\tNOT STORED")
	for _, r := range routes {
		fmt.Fprintf(tw, "%s\t%.1f\t%s\t%s\t%s\t%s\t%d\t%d\t%.1f s\t%s\n", r.Route, float64(r.Requests)/max(r.Seconds, 1), rate(r.HitRate),
			millis(r.Hits.N, r.Hits.P99), millis(r.Misses.N, r.Misses.P50), millis(r.Misses.N, r.Misses.P99), r.Status["5xx"], r.OriginCalls, r.SavedSeconds, reasonsOf(r.NotStored))
	}
	tw.Flush()
}

func millis(n uint64, ms float64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// reasonsOf lists the most frequent first.
func reasonsOf(by map[string]uint64) string {
	names := slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(-cmp.Compare(by[a], by[b]), cmp.Compare(a, b)) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, by[name])
	}
	return strings.Join(names, ", ")
}
