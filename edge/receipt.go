package edge

import (
	"context"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// States of an invalidation at the CDN.
const (
	Waiting = "waiting" // or under way
	Purged  = "purged"
	Failed  = "refused"
)

// A Receipt says what became of an invalidation beyond this node.
type Receipt struct {
	ID    string    `json:"id" doc:"Its place in the log"`
	Nodes []Applied `json:"nodes" doc:"Those that are heard, and when they had applied it"`
	State string    `json:"state" doc:"Of the CDN: waiting, purged or refused"`
	Turn  *Turn     `json:"turn,omitempty" doc:"With which it was purged; only the latest are remembered"`
	Why   string    `json:"why,omitempty" doc:"Why it waits, or was refused"`
}

// Receipt returns that of a place in the log.
func (q *Queue) Receipt(ctx context.Context, id shared.ID) (Receipt, error) {
	s, found, err := q.load(ctx)
	if err != nil {
		return Receipt{}, err
	}
	out := Receipt{ID: id.String(), State: Waiting}
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
