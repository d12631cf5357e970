package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/edge"
)

// receiptAsk is how long one question waits.
const receiptAsk = 5 * time.Second

// follow waits until an invalidation has come everywhere, and says on standard error how far it is, to people.
func (c *purgeCommand) follow(t terminal, id string) (r edge.Delivery, err error) {
	said := map[string]bool{}
	say := func(format string, args ...any) {
		if line := fmt.Sprintf(format, args...); !c.JSON && !said[line] {
			said[line] = true
			fmt.Fprintln(t.err, line)
		}
	}
	for begun := time.Now(); ; {
		r = edge.Delivery{}
		ctx, cancel := context.WithTimeout(t.ctx, receiptAsk+clientTimeout)
		err = c.callFor(ctx, http.MethodGet, "/api/receipts/"+url.PathEscape(id)+"?wait="+receiptAsk.String(), nil, &r)
		cancel()
		if err != nil {
			return r, err
		}
		printReceipt(r, say)
		switch {
		case r.State == edge.Failed:
			return r, fmt.Errorf("the nodes have applied it; the CDN has refused to purge it: %s: it is kept, and can be made again with: forebay edge --retry", r.Why)
		case r.Complete():
			return r, nil
		case time.Since(begun) > purgeWait:
			return r, fmt.Errorf("not everywhere after %s: it counts on this node and in the log; %s", purgeWait, missing(r))
		}
	}
}

func printReceipt(r edge.Delivery, say func(string, ...any)) {
	for _, n := range r.Nodes {
		if !n.At.IsZero() {
			say("applied by %s at %s", n.Node, n.At.Local().Format("15:04:05.000"))
		}
	}
	if t := r.Turn; t != nil && t.Error == "" {
		say("purged at the CDN at %s and again until %s (%s)", t.Purged.Local().Format("15:04:05.000"), t.Done.Local().Format("15:04:05.000"), strings.Join(t.Purges, ", "))
		if p := t.Probe; p != nil && p.New {
			say("a probe has seen the new answer at %s: %s", p.At.Local().Format("15:04:05.000"), p.URL)
		} else if p != nil {
			say("a probe has not seen the new answer: %s: %s", p.URL, p.Error)
		}
	}
}

// missing says what is waited for.
func missing(r edge.Delivery) string {
	var nodes []string
	for _, n := range r.Nodes {
		if n.At.IsZero() {
			nodes = append(nodes, n.Node)
		}
	}
	switch {
	case len(nodes) > 0:
		return "not heard from: " + strings.Join(nodes, ", ")
	case r.Why != "":
		return r.Why
	}
	return "the CDN is not purged yet"
}

type edgeCommand struct {
	node
	Retry bool `help:"Purge again what the CDN has refused."`
}

// Run prints how far the CDN above is purged.
func (c *edgeCommand) Run(t terminal) error {
	if c.Retry {
		var done admin.Retried
		if err := c.call(t.ctx, http.MethodPost, "/api/edge/retry", nil, &done); err != nil {
			return err
		}
		fmt.Fprintf(t.err, "%d tags are purged again\n", done.Tags)
	}
	var s admin.CDN
	if err := c.call(t.ctx, http.MethodGet, "/api/edge", nil, &s); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(s)
	}
	if s.Vendor == "" {
		fmt.Fprintln(t.out, "no CDN is purged: cdn in the gateway's file names one")
		return nil
	}
	fmt.Fprintf(t.out, "%s is purged up to %s%s\n", s.Vendor, s.Place, map[bool]string{true: "; there is more to purge", false: ""}[s.Waiting])
	if s.Problem != "" {
		fmt.Fprintf(t.out, "since %s: %s\n", s.Since.Local().Format("2006-01-02 15:04:05"), s.Problem)
	}
	for _, d := range s.Dead {
		fmt.Fprintf(t.out, "refused since %s: %d tags, from %s to %s: %s\n", d.Since.Local().Format("2006-01-02 15:04:05"), len(d.Tags), d.First, d.ID, d.Reason)
	}
	for _, turn := range s.Turns[:min(len(s.Turns), purgeShown)] {
		state := "purged " + turn.Done.Local().Format("2006-01-02 15:04:05")
		if turn.Error != "" {
			state = "refused"
		}
		fmt.Fprintf(t.out, "  %s  %d tags  %s\n", turn.ID, turn.Tags, state)
	}
	return nil
}
