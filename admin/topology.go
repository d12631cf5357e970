package admin

import (
	"fmt"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
)

// Topology is the parts as they are connected now, and what flows between them: the mean of the last
// few seconds.
type Topology struct {
	Time  time.Time `json:"time"`
	Parts []Part    `json:"parts"`
	Edges []Edge    `json:"edges"`
}

// A Part is a box of the picture.
type Part struct {
	ID      string   `json:"id" enum:"clients,front,near,shared,log,nodes,origin,database"`
	Name    string   `json:"name"`
	State   string   `json:"state" enum:"ok,degraded,away,off" doc:"off: it is not configured"`
	Detail  string   `json:"detail" doc:"The state in words"`
	Figures []Figure `json:"figures"`
}

// A Figure is what is known of a part.
type Figure struct {
	Name  string   `json:"name"`
	Value *float64 `json:"value" doc:"null: no data"`
	Unit  string   `json:"unit" enum:"count,per_second,ms,bytes,ratio,seconds,text"`
	Text  string   `json:"text,omitempty"`
}

// An Edge is what flows from a part to another.
type Edge struct {
	From  string  `json:"from"`
	To    string  `json:"to"`
	Rate  float64 `json:"rate" doc:"Per second"`
	What  string  `json:"what" doc:"What is counted"`
	State string  `json:"state" enum:"ok,degraded,away,off"`
}

// meanOver is how many seconds the rates are the mean of.
const meanOver = 5

// States of a part.
const (
	stateOK       = "ok"
	stateDegraded = "degraded"
	stateAway     = "away"
	stateOff      = "off"
)

// Topology returns the picture as of now.
func (a *Admin) Topology() Topology {
	s, p := a.cache.Stats(), a.series.recent(meanOver)
	if p == nil {
		p = &Point{Seconds: 1}
	}
	d := drawing{a: a, s: s, p: p, causes: a.verdict.look(time.Now(), s)}
	t := Topology{Time: time.Now().UTC(), Parts: []Part{
		{ID: "clients", Name: "Clients", State: stateOK, Detail: "who asks", Figures: []Figure{d.rate("requests", float64(p.Requests))}},
		d.front(), d.near(), d.shared(), d.log(), d.nodes(), d.origin(),
	}}
	if a.o.Parts.Database != "" {
		t.Parts = append(t.Parts, d.database())
	}
	if a.mcp.served.Load() {
		t.Parts = append(t.Parts, d.mcp())
	}
	t.Edges = d.edges()
	return t
}

// A drawing is what the picture is made from.
type drawing struct {
	a *Admin
	s forebay.Stats
	p *Point

	causes []Cause
}

func (d drawing) per(n float64) float64 { return n / max(d.p.Seconds, 1e-3) }

func (d drawing) rate(name string, n float64) Figure {
	v := d.per(n)
	return Figure{Name: name, Value: &v, Unit: "per_second"}
}

func figure(name, unit string, v float64) Figure { return Figure{Name: name, Value: &v, Unit: unit} }

func words(name, text string) Figure { return Figure{Name: name, Unit: "text", Text: text} }

func (d drawing) sum() (c ClassPoint) {
	for _, one := range d.p.Classes {
		c = c.plus(one)
	}
	return c
}

func (c ClassPoint) lookups() uint64 { return c.Near + c.Shared + c.Stale + c.Coalesced + c.Misses }

func (d drawing) front() Part {
	p := Part{ID: "front", Name: title(d.a.o.Parts.Front), State: stateOK, Detail: "hands requests to the cache", Figures: []Figure{
		d.rate("requests", float64(d.p.Requests)), d.rate("failed (5xx)", float64(d.p.Failed)), words("version", firstOf(d.a.o.Version, "unknown")),
	}}
	for _, name := range []string{"near", "shared", "stale", "coalesced", "miss"} {
		if q, ok := d.p.Latency[name]; ok {
			p.Figures = append(p.Figures, figure("p50 "+name, "ms", q.P50))
		}
	}
	return p
}

func (d drawing) near() Part {
	n, c := d.s.Near, d.sum()
	p := Part{ID: "near", Name: "Near tier", State: stateOK, Detail: "in this process", Figures: []Figure{
		ratio("hit rate", c.Near, c.lookups()), figure("entries", "count", float64(n.Entries)),
		figure("memory", "bytes", float64(n.Bytes)), figure("bound", "bytes", float64(n.MaxBytes)), d.rate("evictions", float64(d.p.Evictions)),
	}}
	if d.a.cache.Closed() {
		p.State, p.Detail = stateAway, "the cache is closed"
	}
	return p
}

// ratio is no data where nothing was asked.
func ratio(name string, part, of uint64) Figure {
	if of == 0 {
		return Figure{Name: name, Unit: "ratio"}
	}
	return figure(name, "ratio", float64(part)/float64(of))
}

func (d drawing) shared() Part {
	sh := d.s.Shared
	p := Part{ID: "shared", Name: "Shared tier", State: stateOff, Detail: "not configured: set REDIS_URL or --redis", Figures: []Figure{}}
	if sh == nil {
		return p
	}
	p.State, p.Detail = stateOK, firstOf(sh.Version, "connected")
	if usable, why := sh.Usable(); !usable {
		p.State, p.Detail = stateAway, why
	}
	p.Figures = []Figure{
		words("breaker", sh.Breaker), words("version", firstOf(sh.Version, "unknown")),
		d.rate("look-ups", float64(d.p.SharedLookups)), d.rate("errors", float64(d.p.SharedErrors)),
		{Name: "p50", Value: milliseconds(sh.P50), Unit: "ms"}, {Name: "p99", Value: milliseconds(sh.P99), Unit: "ms"},
		figure("memory", "bytes", float64(sh.UsedMemory)), figure("writes waiting", "count", float64(sh.Queued)),
		figure("writes dropped", "count", float64(sh.Dropped)),
	}
	return p
}

func (d drawing) log() Part {
	l := d.s.Log
	p := Part{ID: "log", Name: "Invalidation log", State: stateOK, Detail: "in this process", Figures: []Figure{
		words("head", l.Head.ID.String()), words("floor", l.Floor.String()), figure("lag", "ms", inMS(l.Lag)),
		figure("targets remembered", "count", float64(l.Targets)), d.rate("invalidations", float64(d.p.Invalidations)),
	}}
	if d.s.Shared == nil {
		return p
	}
	p.Detail = "every invalidation of the others is known"
	p.Figures = append(p.Figures, figure("waiting to be told", "count", float64(d.s.Shared.Deferred)))
	if !l.Confirmed {
		p.State, p.Detail = stateDegraded, "invalidations of other nodes may be missing: strict classes load"
	}
	return p
}

func (d drawing) nodes() Part {
	others := d.s.Nodes[1:]
	p := Part{ID: "nodes", Name: "Other nodes", State: stateOff, Detail: "without a shared tier each node is alone", Figures: []Figure{}}
	if d.s.Shared == nil {
		return p
	}
	p.State, p.Detail = stateOK, "none on this log now"
	if len(others) > 0 {
		p.Detail = fmt.Sprintf("%d on this log", len(others))
	}
	if !d.s.Log.Confirmed {
		p.State, p.Detail = stateDegraded, "nothing is known of them: this node cannot read the log"
	}
	p.Figures = append(p.Figures, words("this node", d.s.Nodes[0].Name))
	for _, n := range others[:min(len(others), 20)] {
		p.Figures = append(p.Figures, figure(n.Name+", heard of", "seconds", seconds(n.Seen)))
	}
	return p
}

func (d drawing) origin() Part {
	c := d.sum()
	p := Part{ID: "origin", Name: title(d.a.o.Parts.Origin), State: stateOK, Detail: "where answers come from", Figures: []Figure{
		d.rate("loads", float64(c.Loads)), d.rate("load errors", float64(c.LoadErrors)), d.rate("seconds saved", c.SavedSeconds),
	}}
	loading := int64(0)
	for _, k := range d.s.Classes {
		loading += k.Loading
	}
	p.Figures = append(p.Figures, figure("loading now", "count", float64(loading)))
	for _, cause := range d.causes {
		if strings.HasPrefix(cause.Check, "class ") && !cause.Warning {
			p.State, p.Detail = stateDegraded, cause.text()
		}
	}
	return p
}

func (d drawing) database() Part {
	return Part{ID: "database", Name: d.a.o.Parts.Database, State: stateOK, Detail: "what the origin asks", Figures: []Figure{
		d.rate("calls of the origin", d.originCalls()),
	}}
}

// mcp is the MCP server: another way to the same cached functions.
func (d drawing) mcp() Part {
	p := Part{ID: "mcp", Name: "MCP server", State: stateOK, Detail: "tools for models, on the same entries", Figures: []Figure{d.rate("calls", float64(d.p.MCPCalls))}}
	if s := d.a.mcp.stats(); s != nil {
		p.Figures = append(p.Figures, ratio("hits", s.Hits, s.Calls), figure("calls so far", "count", float64(s.Calls)), figure("failed so far", "count", float64(s.Failed)))
	}
	return p
}

func (d drawing) originCalls() float64 {
	if d.p.OriginCalls == nil {
		return 0
	}
	return float64(*d.p.OriginCalls)
}

// edges are the way of a request, in order, and the log beside it.
func (d drawing) edges() []Edge {
	c := d.sum()
	edge := func(from, to, what, state string, n float64) Edge {
		return Edge{From: from, To: to, What: what, State: state, Rate: d.per(n)}
	}
	shared, origin := d.shared().State, d.origin().State
	out := []Edge{
		edge("clients", "front", "requests", stateOK, float64(d.p.Requests)),
		edge("front", "near", "look-ups", stateOK, float64(c.lookups())),
		edge("near", "shared", "look-ups", shared, float64(d.p.SharedLookups)),
	}
	if shared == stateOK || shared == stateDegraded {
		out = append(out, edge("shared", "origin", "loads", origin, float64(c.Loads)), edge("near", "origin", "loads", stateOff, 0))
	} else {
		out = append(out, edge("shared", "origin", "loads", stateOff, 0), edge("near", "origin", "loads", origin, float64(c.Loads)))
	}
	if c.Bypasses > 0 {
		out = append(out, edge("front", "origin", "calls for one caller", origin, float64(c.Passed)))
	}
	if d.a.mcp.served.Load() {
		out = append(out, edge("clients", "mcp", "calls", stateOK, float64(d.p.MCPCalls)), edge("mcp", "near", "look-ups", stateOK, float64(d.p.MCPCalls)))
	}
	if d.s.Shared != nil {
		out = append(out, edge("log", "near", "invalidations", d.log().State, float64(d.p.Invalidations)), edge("nodes", "log", "", d.log().State, 0))
	} else {
		out = append(out, edge("log", "near", "invalidations", stateOK, float64(d.p.Invalidations)))
	}
	if d.a.o.Parts.Database != "" {
		out = append(out, edge("origin", "database", "calls", stateOK, d.originCalls()))
	}
	return out
}

func title(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
