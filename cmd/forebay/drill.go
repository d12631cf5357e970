package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/forebay-cache/forebay/admin"
)

type drillCommand struct {
	node
	Tier string        `arg:"" enum:"redis" help:"What to take away: redis."`
	For  time.Duration `default:"30s" help:"For how long. As long is measured before and after."`
}

// Run takes the shared tier away from a running node and prints what that did.
func (c *drillCommand) Run(t terminal) error {
	if !c.JSON {
		fmt.Fprintf(t.out, "before, during and after take %s each\n", c.For)
	}
	ctx, cancel := context.WithTimeout(t.ctx, 3*c.For+time.Minute)
	defer cancel()
	var r admin.Report
	if err := c.callFor(ctx, http.MethodPost, "/api/drill", map[string]string{"tier": c.Tier, "for": c.For.String()}, &r); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(r)
	}
	tw := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\trequests\tfailed\tp50\tp99\tslowest\thit rate\tloads\tload errors\t")
	for _, p := range []struct {
		name string
		admin.Phase
	}{{"before", r.Before}, {"during", r.During}, {"after", r.After}} {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%s\t%s\t%.1f %%\t%d\t%d\t\n", p.name, p.Requests, p.Failed, brief(p.P50), brief(p.P99), brief(p.Slowest), p.HitRate*100, p.Loads, p.LoadErrors)
	}
	tw.Flush()
	fmt.Fprintf(t.out, "degraded was said %s, healed %s; %d invalidations waited\n", after(r.DegradedIn), after(r.HealedIn), r.Invalidated)
	return nil
}

func brief(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func after(d time.Duration) string {
	if d < 0 {
		return "never"
	}
	return "after " + brief(d).String()
}
