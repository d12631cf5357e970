package edge

import (
	"context"
	"slices"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// States of an invalidation at the CDN.
const (
	Waiting = "waiting" // or under way
	Purged  = "purged"
	Failed  = "refused"
	None    = "none" // nothing is purged
)

// A Delivery says what became of an invalidation beyond this node.
type Delivery struct {
	ID    string    `json:"id" doc:"Its place in the log"`
	Nodes []Applied `json:"nodes" doc:"Those that are heard, and when they had applied it"`
	State string    `json:"state" doc:"Of the CDN: waiting, purged or refused; none where nothing is purged"`
	Turn  *Turn     `json:"turn,omitempty" doc:"With which it was purged; only the latest are remembered"`
	Why   string    `json:"why,omitempty" doc:"Why it waits, or was refused"`
}

// Complete reports whether there is nothing to wait for.
func (r Delivery) Complete() bool {
	if r.State == None {
		return !slices.ContainsFunc(r.Nodes, func(a Applied) bool { return a.At.IsZero() })
	}
	return r.State != Waiting
}

// Receipt returns the delivery of the invalidation at a place in the log.
func (q *Queue) Receipt(ctx context.Context, id shared.ID) (Delivery, error) {
	out := Delivery{ID: id.String(), State: Waiting}
	if q.o.Purger == nil {
		out.State = None
		_, out.Nodes = applied(ctx, q.o.Cache, shared.Stamp{Epoch: head(q.o.Cache).Epoch, ID: id})
		return out, ctx.Err()
	}
	s, found, err := q.load(ctx)
	if err != nil {
		return Delivery{}, err
	}
	_, out.Nodes = applied(ctx, q.o.Cache, shared.Stamp{Epoch: head(q.o.Cache).Epoch, ID: id})
	if !found || id.Compare(s.Cursor.ID) > 0 {
		if p := q.problem.Load(); p != nil {
			out.Why = p.text
		}
		return out, nil
	}
	out.State = Purged
	for i := range s.Turns {
		if t := &s.Turns[i]; covers(t.First, t.ID, id) {
			out.Turn = t
			out.Nodes = t.Nodes
		}
	}
	for _, d := range s.Dead {
		if covers(d.First, d.ID, id) {
			out.State, out.Why = Failed, d.Reason
		}
	}
	return out, nil
}

// A Status is how the queue is.
type Status struct {
	Place   string    `json:"place,omitempty" doc:"In the log, up to which the CDN is purged"`
	Waiting bool      `json:"waiting" doc:"There is something to purge beyond it"`
	Leads   bool      `json:"leads" doc:"This node does the purges"`
	Problem string    `json:"problem,omitempty" doc:"Why the queue does not go on, as far as this node knows"`
	Since   time.Time `json:"since,omitzero" doc:"Of the problem"`
	Turns   []Turn    `json:"turns" doc:"The latest, the newest first"`
	Dead    []Dead    `json:"dead" doc:"What the CDN has refused: it can be retried"`
	Ended   uint64    `json:"ended" doc:"Turns, by all nodes"`
	Failed  uint64    `json:"failed" doc:"Turns that were refused"`
}

// Status returns how the queue is, as all nodes know it.
func (q *Queue) Status(ctx context.Context) (Status, error) {
	if q.o.Purger == nil {
		return Status{Turns: []Turn{}, Dead: []Dead{}}, nil
	}
	s, found, err := q.load(ctx)
	if err != nil {
		return Status{}, err
	}
	out := Status{Leads: q.leads.Load(), Turns: []Turn{}, Dead: s.Dead, Ended: s.Ended, Failed: s.Failed}
	if out.Dead == nil {
		out.Dead = []Dead{}
	}
	if found {
		out.Place = s.Cursor.ID.String()
	}
	b, err := q.read(ctx, s.Cursor, found)
	out.Waiting = err == nil && len(b.hard)+len(b.soft) > 0
	for i := len(s.Turns) - 1; i >= 0; i-- {
		out.Turns = append(out.Turns, s.Turns[i])
	}
	if p := q.problem.Load(); p != nil {
		out.Problem, out.Since = p.text, p.since
	}
	return out, nil
}
