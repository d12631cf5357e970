package edge

import (
	"context"
	"encoding/json"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A report is how far a node has applied the log.
type report struct {
	Head shared.Stamp `json:"head"`
	At   time.Time    `json:"at"`
}

// A reporter says how far its node has applied the log, whenever that has changed.
type reporter struct {
	cache *forebay.Cache
	bell  chan struct{}
}

const (
	// reportEvery bounds how often a node reports: what comes faster is one report.
	reportEvery = 20 * time.Millisecond
	// reportAnyway is how often it does without being asked: a report may be lost.
	reportAnyway = 3 * time.Second
	reportPrefix = "edge:"
)

func newReporter(c *forebay.Cache) *reporter { return &reporter{c, make(chan struct{}, 1)} }

func (r *reporter) run(ctx context.Context) {
	var last shared.Stamp
	for {
		if at := head(r.cache); at != last {
			text, _ := json.Marshal(report{at, time.Now()})
			if r.cache.Keep(ctx, reportPrefix+r.cache.Stats().Nodes[0].Name, text) == nil {
				last = at
			}
		}
		select {
		case <-time.After(reportEvery):
		case <-ctx.Done():
			return
		}
		select {
		case <-r.bell:
		case <-time.After(reportAnyway):
		case <-ctx.Done():
			return
		}
	}
}

// awaitNodes waits until every node that is heard has applied the log up to a place, for a time at most, and returns who has.
func awaitNodes(ctx context.Context, c *forebay.Cache, at shared.Stamp, patience time.Duration) []Applied {
	end := time.Now().Add(patience)
	for {
		all, out := applied(ctx, c, at)
		if all || time.Now().After(end) {
			return out
		}
		select {
		case <-time.After(reportEvery):
		case <-ctx.Done():
			return out
		}
	}
}

// applied says which nodes have applied the log up to a place.
func applied(ctx context.Context, c *forebay.Cache, at shared.Stamp) (all bool, out []Applied) {
	nodes := c.Stats().Nodes
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = reportPrefix + n.Name
	}
	kept, err := c.Kept(ctx, names...)
	all = err == nil
	for i, n := range nodes {
		one := Applied{Node: n.Name}
		var r report
		if err == nil && kept[i] != nil && json.Unmarshal(kept[i], &r) == nil {
			one.ID = r.Head.ID.String()
			if at == (shared.Stamp{}) || r.Head.Epoch == at.Epoch && r.Head.ID.Compare(at.ID) >= 0 {
				one.At = r.At
			}
		}
		all = all && !one.At.IsZero()
		out = append(out, one)
	}
	return all, out
}
