package admin

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/forebay-cache/forebay"
)

// An Item is one thing that happened, or the same thing several times within a moment.
type Item struct {
	Seq      uint64    `json:"seq"`
	Time     time.Time `json:"time"`
	Kind     string    `json:"kind" enum:"invalidation,tier,log,node,drill,audit,verdict,configuration" doc:"What it is about; audit is what an operator did"`
	Text     string    `json:"text"`
	Count    int       `json:"count" doc:"How often, within a second"`
	Target   string    `json:"target,omitempty"`
	Mode     string    `json:"mode,omitempty"`
	Receipt  string    `json:"receipt,omitempty" doc:"Place in the log"`
	Deferred bool      `json:"deferred,omitempty"`
	By       string    `json:"by,omitempty" doc:"The name of the token, and the address"`
	Here     bool      `json:"here" doc:"It began on this node"`
	Node     string    `json:"node,omitempty" doc:"Where an operator did it, if not on this node"`

	covers func(key, class string, tags []string) bool // nil: it is no invalidation
}

// activity is what happened lately: a bounded list, in which many alike are one.
type activity struct {
	mu            sync.Mutex // guards the fields below
	items         []Item
	seq           uint64
	last          standing
	invalidations int // since they were last taken
	burst         int // items of the present second
	second        int64
}

// standing is what a change of is worth an item.
type standing struct {
	known, away, confirmed bool
	reason                 string
	nodes                  map[string]bool
}

const (
	maxItems = 1000
	// maxBurst bounds the items of a second: a purge of ten thousand keys must not push out the rest.
	maxBurst = 20
)

// Observe implements [forebay.Observer]. It runs under locks of the cache.
func (y *activity) Observe(e forebay.Event) {
	switch e.Kind {
	case forebay.EventInvalidate, forebay.EventLearn:
		here := e.Kind == forebay.EventInvalidate
		text := "invalidated by another node"
		if here {
			text = "invalidated"
		}
		item := Item{Kind: "invalidation", Text: text, Mode: e.Mode.String(), Deferred: e.Receipt.Deferred, Here: here}
		if !e.Receipt.Deferred {
			item.Receipt = e.Receipt.ID.String()
		}
		for _, t := range e.Targets {
			item.Target, item.covers = t.String(), reachOf(t)
			y.note(item)
		}
	case forebay.EventFence:
		y.note(Item{Kind: "log", Text: "the log started over: everything that was stored before counts for nothing", Receipt: e.Receipt.ID.String()})
	}
}

// reachOf says what an invalidation of a target covers.
func reachOf(t forebay.Target) func(key, class string, tags []string) bool {
	return func(key, class string, tags []string) bool {
		return forebay.Entry{Key: key, Class: class, Tags: tags}.Matches(t)
	}
}

// note adds an item. The same as the last one, within its second, counts it up; what is too much for
// a second is counted in one item for all.
func (y *activity) note(i Item) {
	y.mu.Lock()
	defer y.mu.Unlock()
	i.Time, i.Count = time.Now().UTC(), 1
	if i.Kind == "invalidation" {
		y.invalidations++
	}
	if s := i.Time.Unix(); s != y.second {
		y.second, y.burst = s, 0
	}
	if y.burst >= maxBurst && i.Kind == "invalidation" {
		i.Text, i.Target, i.Mode, i.covers = "further invalidations", "", "", nil
	}
	if n := len(y.items); n > 0 {
		last := &y.items[n-1]
		if last.Kind == i.Kind && last.Text == i.Text && last.Target == i.Target && last.Mode == i.Mode && i.Time.Sub(last.Time) < time.Second && i.Kind != "audit" {
			last.Count++
			last.Receipt, last.Deferred = i.Receipt, i.Deferred
			return
		}
	}
	y.burst++
	y.seq++
	i.Seq = y.seq
	if len(y.items) == maxItems {
		y.makeRoomLocked()
	}
	y.items = append(y.items, i)
}

// makeRoomLocked forgets a tenth of the items, the oldest: of the invalidations, while they are most of all. Programs
// invalidate every second, and must not push out what operators did and what changed.
func (y *activity) makeRoomLocked() {
	invalidations := 0
	for _, i := range y.items {
		if i.Kind == "invalidation" {
			invalidations++
		}
	}
	room := maxItems / 10
	y.items = slices.DeleteFunc(y.items, func(i Item) bool {
		if room == 0 || invalidations > maxItems/2 && i.Kind != "invalidation" {
			return false
		}
		room--
		return true
	})
}

// refused counts a sign-in that was refused. Those of a minute are one item: a client that tries passwords must not
// push out what happened.
func (y *activity) refused(by string) {
	const text = "a sign-in was refused"
	y.mu.Lock()
	for i := len(y.items) - 1; i >= 0 && time.Since(y.items[i].Time) < time.Minute; i-- {
		if last := &y.items[i]; last.Text == text {
			if last.Count++; hostOf(last.By) != hostOf(by) {
				last.By = "several addresses"
			}
			y.mu.Unlock()
			return
		}
	}
	y.mu.Unlock()
	y.note(Item{Kind: "audit", Text: text, By: by})
}

func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

func (y *activity) takeInvalidations() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	defer func() { y.invalidations = 0 }()
	return y.invalidations
}

// compare notes what has changed since the last time.
func (y *activity) compare(s forebay.Stats) {
	now := standing{known: true, confirmed: s.Log.Confirmed, nodes: map[string]bool{}}
	for _, n := range s.Nodes[1:] {
		now.nodes[n.Name] = true
	}
	if sh := s.Shared; sh != nil {
		var usable bool
		usable, now.reason = sh.Usable()
		now.away = !usable
	}
	y.mu.Lock()
	before := y.last
	y.last = now
	y.mu.Unlock()
	if !before.known {
		return
	}
	if s.Shared != nil && now.away != before.away {
		text := "the shared tier is back"
		if now.away {
			text = "the shared tier cannot be used: " + now.reason
		}
		y.note(Item{Kind: "tier", Text: text, Here: true})
	}
	if s.Shared != nil && now.confirmed != before.confirmed {
		text := "this node knows every invalidation again"
		if !now.confirmed {
			text = "invalidations of other nodes may be missing: strict classes load"
		}
		y.note(Item{Kind: "log", Text: text, Here: true})
	}
	for name := range now.nodes {
		if !before.nodes[name] {
			y.note(Item{Kind: "node", Text: "a node has come: " + name})
		}
	}
	for name := range before.nodes {
		if !now.nodes[name] && !now.away {
			y.note(Item{Kind: "node", Text: "a node has gone: " + name})
		}
	}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// Activity returns what happened lately, the oldest first: on this node, and what operators did on the others.
func (a *Admin) Activity() []Item {
	out := a.activity.latest(maxItems)
	a.cards.mu.Lock()
	for name, c := range a.cards.held {
		for _, i := range c.node.Did {
			i.Here, i.Node = false, name
			out = append(out, i)
		}
	}
	a.cards.mu.Unlock()
	slices.SortStableFunc(out, func(a, b Item) int { return a.Time.Compare(b.Time) })
	return out
}

// maxDid bounds what the other nodes are told.
const maxDid = 20

// did is what operators did here lately.
func (y *activity) did() []Item {
	all := slices.DeleteFunc(y.latest(maxItems), func(i Item) bool { return i.Kind != "audit" })
	all = all[max(0, len(all)-maxDid):]
	for i := range all {
		all[i].Target = cut(all[i].Target, maxPath)
	}
	return all
}

// audit records what an operator did: in the log, and in the activity.
func (a *Admin) audit(ctx context.Context, i Item) {
	i.Kind, i.By, i.Here = "audit", callerOf(ctx).String(), true
	a.activity.note(i)
	a.o.Logger.Info("operator: "+i.Text, slog.String("target", i.Target), slog.String("mode", i.Mode),
		slog.String("receipt", i.Receipt), slog.Bool("deferred", i.Deferred), slog.String("by", i.By))
}

// Configured records that the configuration has changed, or could not.
func (a *Admin) Configured(text string) {
	a.activity.note(Item{Kind: "configuration", Text: text, Here: true})
}

// latest returns the last few items, the oldest first.
func (y *activity) latest(n int) []Item {
	y.mu.Lock()
	defer y.mu.Unlock()
	return append([]Item{}, y.items[max(0, len(y.items)-n):]...)
}
