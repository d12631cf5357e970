package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/audit"
)

type auditCommand struct {
	node
	logFlags
	Redis  string        `placeholder:"URL" env:"REDIS_URL,FOREBAY_REDIS" help:"The shared tier whose log is followed."`
	Secret string        `env:"FOREBAY_SECRET" hidden:""`
	URL    []string      `name:"url" placeholder:"URL" help:"Ask for this URL too, as clients do, through whatever stands before the gateway. Repeatable."`
	For    time.Duration `placeholder:"DURATION" help:"How long. Default: until it is stopped."`
}

var errViolations = errors.New("caches served what was removed: see above")

// Run audits the nodes on a log, and URLs.
func (c *auditCommand) Run(t terminal) error {
	if c.Redis == "" {
		return usageError{errors.New("an audit follows the log: name it with --redis URL")}
	}
	logger := c.logger(t.err)
	tier, err := openTier(t.ctx, c.Redis, logger)
	if err != nil {
		return err
	}
	defer tier.Close()
	host, _ := os.Hostname()
	o := forebay.Options{Node: "audit/" + host, Shared: tier, NearBytes: 1 << 20, SelfTest: -1, Logger: logger, Keys: [][]byte{}}
	if c.Secret != "" {
		o.Keys, o.Secret = nil, []byte(c.Secret)
	}
	cache, err := forebay.Open(t.ctx, o)
	if err != nil {
		return err
	}
	defer cache.Close()
	p := places{command: c}
	for _, url := range c.URL {
		e := audit.NewEdge(url, audit.Node{Base: c.base(), Token: c.Token})
		if err := e.Look(t.ctx); err != nil {
			return fmt.Errorf("--url %s: %w", url, err)
		}
		p.edges = append(p.edges, e)
	}
	if _, err := p.nodes(t.ctx); err != nil {
		return err
	}
	a := audit.New(audit.Options{Cache: cache, Clock: tier.Clock, Places: p.all, Logger: logger, Found: func(v audit.Violation) {
		fmt.Fprintf(t.out, "%s %s serves %s, %.1f s old, %s after %s was removed at %s\n", v.At.Local().Format("15:04:05"), v.Place, v.What, v.Age, v.After, v.Target, v.ID)
	}})
	ctx := t.ctx
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	return c.print(t, a.Run(ctx))
}

func (c *auditCommand) print(t terminal, r audit.Findings) error {
	violations := uint64(0)
	for _, n := range r.Counts {
		violations += n.Violations
	}
	if c.JSON {
		if err := json.NewEncoder(t.out).Encode(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(t.out, "%d invalidations, of which %d were audited\n", r.Invalidations, r.Audited)
		w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "cache\tafter\tasked\tviolations\tno answer\t")
		for _, n := range r.Counts {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t\n", n.Tier, n.After, n.Checked, n.Violations, n.Failed)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if violations > 0 {
		return errViolations
	}
	return nil
}

// places are the nodes that one of them names, and the URLs.
type places struct {
	command *auditCommand
	edges   []*audit.Edge

	mu    sync.Mutex // guards the fields below
	known []audit.Place
	at    time.Time
}

// placesFor is how long the nodes are taken to be the same.
const placesFor = 2 * time.Second

func (p *places) all(ctx context.Context) []audit.Place {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) > placesFor {
		p.at = time.Now()
		if nodes, err := p.nodes(ctx); err == nil {
			p.known = nodes
		}
	}
	out := append([]audit.Place(nil), p.known...)
	for _, e := range p.edges {
		out = append(out, e)
	}
	return out
}

// nodes asks the node of the flag which others there are.
func (p *places) nodes(ctx context.Context) (out []audit.Place, err error) {
	var nodes []admin.Node
	if err := p.command.call(ctx, http.MethodGet, "/api/nodes", nil, &nodes); err != nil {
		return nil, err
	}
	for _, n := range nodes {
		base := strings.TrimRight(n.Address, "/")
		if n.Self {
			base = p.command.base()
		}
		if base != "" && n.State != "unknown" {
			out = append(out, audit.Node{Title: n.Name, Base: base, Token: p.command.Token})
		}
	}
	return out, nil
}
