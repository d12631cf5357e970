// Package audit asks caches, some time after an invalidation, whether they still serve what it removed: the near tiers of
// the nodes, and URLs through an edge or a CDN. It trusts none of their own words on whether they are well. What Meta's Polaris
// does for its caches ("Cache made consistent", 2022).
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// After are the times after an invalidation at which it is asked.
var After = []time.Duration{time.Second, 10 * time.Second, time.Minute}

// A Place is a cache that is asked.
type Place interface {
	// Name says which one.
	Name() string
	// Tier is what kind it is: node or edge.
	Tier() string
	// Holds returns the oldest of what the cache would serve now of what a target covers, by the time since its load began, and the age
	// of which it cannot tell one from the other; found is false where there is nothing.
	Holds(ctx context.Context, t shared.Target) (what string, age, doubt time.Duration, found bool, err error)
}

// Options configure [New].
type Options struct {
	// Cache follows the log. It serves nothing itself.
	Cache *forebay.Cache
	// Clock is that of the log.
	Clock func() time.Time
	// Places are asked for before each check: nodes come and go.
	Places func(context.Context) []Place
	// PerSecond bounds how many invalidations are checked of each second; the others are not. Default 20.
	PerSecond int
	// Found is told of each violation. May be nil.
	Found func(Violation)
	// Logger gets what cannot be asked. Default slog.Default().
	Logger *slog.Logger
}

// A Violation is something that was served although it was removed.
type Violation struct {
	Place  string    `json:"place"`
	Tier   string    `json:"tier"`
	Target string    `json:"target"`
	ID     string    `json:"id" doc:"Of the invalidation: its place in the log"`
	After  string    `json:"after" doc:"How long after it: 1s, 10s or 1m0s"`
	What   string    `json:"what" doc:"The key, or the URL"`
	Age    float64   `json:"age_seconds" doc:"Since its load began"`
	At     time.Time `json:"at"`
}

// A Count is of the checks of one kind of cache at one time after an invalidation.
type Count struct {
	Tier       string `json:"tier" enum:"node,edge"`
	After      string `json:"after"`
	Checked    uint64 `json:"checked" doc:"Times that a cache was asked"`
	Violations uint64 `json:"violations"`
	Failed     uint64 `json:"failed" doc:"Times that it did not answer"`
}

// Findings are what an audit has found since it began.
type Findings struct {
	Since         time.Time   `json:"since"`
	At            time.Time   `json:"at"`
	Invalidations uint64      `json:"invalidations" doc:"That were seen"`
	Audited       uint64      `json:"audited" doc:"Of those, that were checked"`
	Counts        []Count     `json:"counts"`
	Latest        []Violation `json:"latest" doc:"Violations, the newest first"`
}

// Kept is the name under which the report is kept for the nodes: see [forebay.Cache.Kept].
const Kept = "audit"

// Bounds.
const (
	maxLatest = 20
	keepEvery = 2 * time.Second
	askFor    = 5 * time.Second // one question
	// maxPending bounds the checks that wait: at 20 a second and the longest wait there are 1,260.
	maxPending = 1 << 14
)

// An Auditor follows the log and asks. [Auditor.Run] does it.
type Auditor struct {
	o Options

	mu      sync.Mutex // guards the fields below
	report  Findings
	counts  map[[2]string]*Count
	pending []check // by time
	second  int64   // of which taken counts
	taken   int
}

// A check is due at a time.
type check struct {
	at     time.Time
	after  time.Duration
	target shared.Target
	id     shared.ID
}

// New returns an auditor of the invalidations that its cache learns from now on.
func New(o Options) *Auditor {
	if o.PerSecond == 0 {
		o.PerSecond = 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Auditor{o: o, counts: map[[2]string]*Count{}, report: Findings{Since: time.Now()}}
}

// Run audits until ctx ends, and returns what it found.
func (a *Auditor) Run(ctx context.Context) Findings {
	stop := a.o.Cache.Observe(forebay.ObserverFunc(func(e forebay.Event) {
		if e.Kind == forebay.EventLearn && e.Mode == forebay.Remove {
			a.learn(e.Targets[0], e.Receipt.ID)
		}
	}))
	defer stop()
	var asking sync.WaitGroup
	defer asking.Wait()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var kept time.Time
	for {
		select {
		case <-ctx.Done():
			a.keep(context.WithoutCancel(ctx))
			return a.Report()
		case <-tick.C:
		}
		if due := a.due(time.Now()); len(due) > 0 {
			places := a.o.Places(ctx)
			asking.Go(func() { a.ask(ctx, places, due) })
		}
		if time.Since(kept) > keepEvery {
			kept = time.Now()
			a.keep(ctx)
		}
	}
}

// learn notes the checks of an invalidation. It is called under locks of the cache.
func (a *Auditor) learn(t shared.Target, id shared.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.report.Invalidations++
	now := time.Now()
	if now.Unix() != a.second {
		a.second, a.taken = now.Unix(), 0
	}
	// Of a second's invalidations the first ones are taken, and one that comes by chance: a burst is not looked at by its
	// beginning alone.
	if a.taken >= a.o.PerSecond && rand.IntN(100) > 0 || len(a.pending)+len(After) > maxPending {
		return
	}
	a.taken++
	a.report.Audited++
	for _, after := range After {
		c := check{now.Add(after), after, t, id}
		at, _ := slices.BinarySearchFunc(a.pending, c, func(x, y check) int { return x.at.Compare(y.at) })
		a.pending = slices.Insert(a.pending, at, c)
	}
}

// due takes the checks whose time has come.
func (a *Auditor) due(now time.Time) []check {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for n < len(a.pending) && !a.pending[n].at.After(now) {
		n++
	}
	out := slices.Clone(a.pending[:n])
	a.pending = slices.Delete(a.pending, 0, n)
	return out
}

// ask asks each place for each check, the places at the same time.
func (a *Auditor) ask(ctx context.Context, places []Place, due []check) {
	var all sync.WaitGroup
	for _, p := range places {
		all.Go(func() {
			for _, c := range due {
				if ctx.Err() != nil {
					return
				}
				a.askOne(ctx, p, c)
			}
		})
	}
	all.Wait()
}

// askOne asks one place. What it holds is a violation if its load began before the invalidation was in the log.
func (a *Auditor) askOne(ctx context.Context, p Place, c check) {
	asking, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	what, age, doubt, found, err := p.Holds(asking, c.target)
	since := a.o.Clock().Sub(time.UnixMilli(int64(c.id.Ms))) // after the answer: what is older than this was loaded before
	if ctx.Err() != nil {
		return
	}
	violated := err == nil && found && age > since+doubt
	a.count(p.Tier(), c.after, violated, err != nil)
	if err != nil {
		a.o.Logger.Warn("audit: a cache cannot be asked", "place", p.Name(), "error", err)
		return
	}
	if !violated {
		return
	}
	v := Violation{Place: p.Name(), Tier: p.Tier(), Target: c.target.String(), ID: c.id.String(), After: c.after.String(), What: what, Age: age.Seconds(), At: time.Now()}
	a.mu.Lock()
	a.report.Latest = slices.Insert(a.report.Latest, 0, v)
	a.report.Latest = a.report.Latest[:min(len(a.report.Latest), maxLatest)]
	a.mu.Unlock()
	if a.o.Found != nil {
		a.o.Found(v)
	}
}

func (a *Auditor) count(tier string, after time.Duration, violated, failed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := [2]string{tier, after.String()}
	c := a.counts[k]
	if c == nil {
		c = &Count{Tier: tier, After: after.String()}
		a.counts[k] = c
	}
	c.Checked++
	if violated {
		c.Violations++
	}
	if failed {
		c.Failed++
	}
}

// Report is what was found so far.
func (a *Auditor) Report() Findings {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.report
	out.At, out.Latest, out.Counts = time.Now(), append([]Violation{}, a.report.Latest...), []Count{}
	for _, tier := range []string{"node", "edge"} {
		for _, after := range After {
			if c := a.counts[[2]string{tier, after.String()}]; c != nil {
				out.Counts = append(out.Counts, *c)
			}
		}
	}
	return out
}

// keep lets the nodes show the report.
func (a *Auditor) keep(ctx context.Context) {
	text, err := json.Marshal(a.Report())
	if err == nil {
		err = a.o.Cache.Keep(ctx, Kept, text)
	}
	if err != nil {
		a.o.Logger.Warn("audit: the report cannot be kept for the nodes", "error", err)
	}
}

// Read returns the report that an auditor has kept; found is false where there is none.
func Read(ctx context.Context, c *forebay.Cache) (r Findings, found bool, err error) {
	kept, err := c.Kept(ctx, Kept)
	if err != nil || kept[0] == nil {
		return r, false, err
	}
	if err := json.Unmarshal(kept[0], &r); err != nil {
		return r, false, fmt.Errorf("the report of the audit: %w", err)
	}
	return r, true, nil
}
