package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A Node is a process on the same log, as it says of itself.
type Node struct {
	Name          string   `json:"name"`
	Self          bool     `json:"self" doc:"The one that answers"`
	State         string   `json:"state" enum:"ok,degraded,unhealthy,unknown" doc:"unknown: nothing was heard of it for ten seconds"`
	SeenSeconds   float64  `json:"seen_seconds" doc:"Since it last said something of itself"`
	Causes        []string `json:"causes"`
	Version       string   `json:"version"`
	Address       string   `json:"address,omitempty" doc:"Of its admin listener, as it knows it itself"`
	UptimeSeconds float64  `json:"uptime_seconds"`
	Lookups       float64  `json:"lookups_per_second" doc:"In the last minute"`
	HitRate       *float64 `json:"hit_rate" doc:"In the last minute; null: nothing was looked up"`
	NearBytes     uint64   `json:"near_bytes"`
	NearMaxBytes  uint64   `json:"near_max_bytes"`
	LagMS         float64  `json:"lag_ms"`
	Confirmed     bool     `json:"confirmed" doc:"It knows every invalidation"`
	Hears         []string `json:"hears" doc:"The others that it hears"`
	Did           []Item   `json:"did,omitempty" doc:"What operators did there lately"`
}

const (
	cardEvery  = 3 * time.Second
	cardLife   = time.Minute
	unknownFor = 10 * time.Second // without a word
	maxCard    = 16 << 10
)

// cards are what the nodes say of themselves through the shared tier. They are shown and decide nothing, and are not
// authenticated: whoever writes to the server can write one.
type cards struct {
	mu   sync.Mutex // guards the fields below
	held map[string]card
}

type card struct {
	node Node
	text string
	at   time.Time // when it last changed, by this node's clock
}

// exchangeCards writes this node's card and reads those of the others, until Close.
func (a *Admin) exchangeCards(tier shared.Tier) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tick := time.NewTicker(questionEvery)
	defer tick.Stop()
	var last time.Time
	for {
		if time.Since(last) >= cardEvery {
			last = time.Now()
			a.writeCard(ctx, tier)
		}
		a.readCards(ctx, tier)
		a.answerQuestions(ctx, tier)
		select {
		case <-tick.C:
		case <-a.stopped:
			return
		}
	}
}

func cardKey(name string) string { return "@node/" + name } // no class is called so

func (a *Admin) writeCard(ctx context.Context, tier shared.Tier) {
	n := a.self(ctx)
	n.Did = a.activity.did()
	text, err := json.Marshal(n)
	if len(text) > maxCard {
		n.Did = nil
		text, err = json.Marshal(n)
	}
	if err == nil && len(text) <= maxCard {
		tier.Set(ctx, cardKey(n.Name), text, cardLife) // where it fails, others see that nothing comes
	}
}

func (a *Admin) readCards(ctx context.Context, tier shared.Tier) {
	others := a.cache.Stats().Nodes[1:]
	keys := make([]string, len(others))
	for i, o := range others {
		keys[i] = cardKey(o.Name)
	}
	values := make([][]byte, len(others))
	if len(keys) > 0 {
		if got, err := tier.GetMany(ctx, keys); err == nil {
			values = got
		}
	}
	now := time.Now()
	a.cards.mu.Lock()
	defer a.cards.mu.Unlock()
	for i, o := range others {
		held, ok := a.cards.held[o.Name]
		switch node := (Node{}); {
		case len(values[i]) > 0 && len(values[i]) <= maxCard && string(values[i]) != held.text && json.Unmarshal(values[i], &node) == nil:
			node.Name, node.Self = o.Name, false
			if !strings.HasPrefix(node.Address, "http://") && !strings.HasPrefix(node.Address, "https://") {
				node.Address = "" // the page makes a link of it
			}
			a.cards.held[o.Name] = card{node, string(values[i]), now}
		case !ok: // it is on the log, and says nothing
			a.cards.held[o.Name] = card{Node{Name: o.Name, State: "unknown"}, "", now.Add(-o.Seen)}
		}
	}
	for name, c := range a.cards.held {
		if now.Sub(c.at) > goneFor {
			delete(a.cards.held, name)
		}
	}
}

// self is this node's card.
func (a *Admin) self(ctx context.Context) Node {
	s := a.cache.Stats()
	h := a.healthOf(ctx, s)
	n := Node{
		Name: s.Nodes[0].Name, State: h.Status, Causes: []string{}, Version: a.o.Version, Address: a.o.Address, UptimeSeconds: s.Uptime.Seconds(),
		NearBytes: s.Near.Bytes, NearMaxBytes: s.Near.MaxBytes, LagMS: inMS(s.Log.Lag), Confirmed: s.Log.Confirmed, Hears: []string{},
	}
	for _, c := range h.Causes {
		n.Causes = append(n.Causes, cut(c.Check+": "+c.Reason, maxPath))
	}
	for _, other := range s.Nodes[1:] {
		n.Hears = append(n.Hears, other.Name)
	}
	n.Lookups, n.HitRate = a.verdict.lookups(time.Now(), s)
	return n
}

// lookups is how often the node looked up in the last minute, and how often with success.
func (v *verdict) lookups(now time.Time, s forebay.Stats) (perSecond float64, hitRate *float64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var found, missed uint64
	for _, c := range s.Classes {
		then := v.before(now, c.Class.Name, time.Minute)
		found += c.Hits() + c.StaleHits + c.Coalesced - then.Hits() - then.StaleHits - then.Coalesced
		missed += c.Misses - then.Misses
	}
	if found+missed == 0 {
		return 0, nil
	}
	rate := float64(found) / float64(found+missed)
	return float64(found+missed) / min(time.Minute, max(s.Uptime, time.Second)).Seconds(), &rate
}

// Nodes returns what the nodes on the log say of themselves, this one first. One that says nothing any more is there for
// ten minutes.
func (a *Admin) Nodes() []Node {
	self := a.self(context.Background())
	self.Self = true
	out := []Node{self}
	now := time.Now()
	a.cards.mu.Lock()
	defer a.cards.mu.Unlock()
	for _, c := range a.cards.held {
		n := c.node
		if n.SeenSeconds = now.Sub(c.at).Seconds(); now.Sub(c.at) > unknownFor {
			n.State = "unknown"
		}
		if n.Causes == nil {
			n.Causes = []string{}
		}
		if n.Hears == nil {
			n.Hears = []string{}
		}
		out = append(out, n)
	}
	slices.SortFunc(out[1:], func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
