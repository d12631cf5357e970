package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/edge"
	"github.com/forebay-cache/forebay/httpcache"
)

type purgeCommand struct {
	node
	Key     *string `xor:"target" required:"" help:"One entry, by its full key."`
	Tag     *string `xor:"target" required:"" help:"Every entry with the tag."`
	Class   *string `xor:"target" required:"" help:"Every entry of the class."`
	Pattern *string `xor:"target" required:"" help:"Every entry whose key matches; '*' is any run of characters."`
	URL     *string `xor:"target" required:"" name:"url" help:"What the gateway has stored of one URL, all variants and callers."`
	All     bool    `xor:"target" required:"" help:"Everything."`
	Soft    bool    `help:"Expire: what is stored may still be served while it is loaded again."`
	DryRun  bool    `help:"Only say what it would reach in the node's near tier."`
	Wait    bool    `help:"Wait, a minute at most, until the log has taken it, every node that is heard has applied it, and the CDN above has purged it; each is said as it comes."`
}

const (
	purgeWait  = time.Minute
	purgeAgain = 2 * time.Second
	purgeShown = 10 // entries that a dry run lists
)

// Run invalidates on the node and prints the receipt.
func (c *purgeCommand) Run(t terminal) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	if c.DryRun {
		return c.preview(t, target)
	}
	req := map[string]any{"mode": "remove"}
	if c.Soft {
		req["mode"] = "expire"
	}
	if maps.Copy(req, target); c.All {
		req["all"] = true
	}
	receipt, err := c.invalidate(t, req)
	if err != nil {
		return err
	}
	var delivery *edge.Delivery
	if c.Wait {
		d, err := c.follow(t, receipt.ID)
		if delivery = &d; err != nil && !c.JSON {
			return err
		} else if err != nil {
			return errors.Join(err, c.printJSON(t, receipt, delivery))
		}
	}
	switch {
	case c.JSON:
		return c.printJSON(t, receipt, delivery)
	case receipt.Deferred:
		fmt.Fprintln(t.out, "deferred: it counts on this node, and everywhere once the log can be reached")
	default:
		fmt.Fprintln(t.out, receipt.ID)
	}
	fmt.Fprintf(t.err, "in this node's near tier it covered %d entries, %.1f KiB\n", receipt.Entries, float64(receipt.Bytes)/(1<<10))
	return nil
}

// invalidate does it, with --wait until the log has taken it.
func (c *purgeCommand) invalidate(t terminal, req map[string]any) (receipt admin.Receipt, err error) {
	for begun := time.Now(); ; {
		receipt = admin.Receipt{}
		if err := c.call(t.ctx, http.MethodPost, "/api/invalidate", req, &receipt); err != nil {
			return receipt, err
		}
		if !c.Wait || !receipt.Deferred {
			return receipt, nil
		}
		if time.Since(begun) > purgeWait {
			return receipt, fmt.Errorf("deferred for %s: it counts on this node; other nodes learn of it once the log can be reached", purgeWait)
		}
		select {
		case <-time.After(purgeAgain):
		case <-t.ctx.Done():
			return receipt, t.ctx.Err()
		}
	}
}

func (*purgeCommand) printJSON(t terminal, r admin.Receipt, d *edge.Delivery) error {
	return json.NewEncoder(t.out).Encode(struct {
		admin.Receipt
		Delivery *edge.Delivery `json:"delivery,omitempty"`
	}{r, d})
}

// target is the one thing that is named, as the operations take it; empty for everything.
func (c *purgeCommand) target() (map[string]any, error) {
	out := map[string]any{}
	for name, v := range map[string]*string{"key": c.Key, "tag": c.Tag, "class": c.Class, "pattern": c.Pattern} {
		if v != nil {
			out[name] = *v
		}
	}
	if c.URL != nil {
		u, err := url.Parse(*c.URL)
		if err != nil || u.Host == "" {
			return nil, usageError{fmt.Errorf("--url %s: write it whole, such as http://api.example.com/api/partners?org_id=acme, with the host that clients use", *c.URL)}
		}
		out["tag"] = httpcache.URITag(u)
	}
	return out, nil
}

// preview prints what an invalidation would reach.
func (c *purgeCommand) preview(t terminal, target map[string]any) error {
	query := url.Values{"limit": {fmt.Sprint(purgeShown)}}
	for name, v := range target {
		query.Set(name, v.(string))
	}
	var reached admin.Entries
	if err := c.call(t.ctx, http.MethodGet, "/api/entries?"+query.Encode(), nil, &reached); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(reached)
	}
	fmt.Fprintf(t.out, "it would reach %d entries, %.1f KiB, in this node's near tier, and what other nodes and the shared tier hold\n", reached.Count, float64(reached.Bytes)/(1<<10))
	for _, class := range slices.Sorted(maps.Keys(reached.Classes)) {
		fmt.Fprintf(t.out, "%8d  %s\n", reached.Classes[class], class)
	}
	for _, e := range reached.Entries {
		fmt.Fprintf(t.out, "          %s\n", e.Key)
	}
	if more := reached.Count - len(reached.Entries); more > 0 {
		fmt.Fprintf(t.out, "          and %d more\n", more)
	}
	return nil
}
