package plan

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Report is what a cache would have done on the requests of a log.
type Report struct {
	Requests  int           `json:"requests"`
	Unread    int           `json:"unread"` // lines that are no requests
	Examples  []string      `json:"unread_examples,omitempty"`
	From      time.Time     `json:"from"`
	To        time.Time     `json:"to"`
	NearBytes int64         `json:"near_bytes"`
	HasTimes  bool          `json:"has_times"`
	Queries   bool          `json:"has_queries"`
	ByTTL     []Share       `json:"by_ttl"`    // if every route were cached for so long
	ByMemory  []Share       `json:"by_memory"` // the same for 5 minutes
	Routes    []Route       `json:"routes"`    // what is worth a rule first
	HitRate   float64       `json:"hit_rate"`  // of all requests, with the rules
	Spared    int           `json:"spared"`    // calls of the origin
	Saved     time.Duration `json:"saved_ns"`  // that clients would not have waited
}

// A Share is how many requests would have been hits.
type Share struct {
	TTL       time.Duration `json:"ttl_ns"`
	NearBytes int64         `json:"near_bytes"`
	HitRate   float64       `json:"hit_rate"`
}

// A Route is what was asked for on one.
type Route struct {
	Match    string        `json:"match"`
	Requests int           `json:"requests"`
	Took     time.Duration `json:"took_ns"` // on average; 0: not recorded
	HitRates []float64     `json:"hit_rates"`
	Changed  []float64     `json:"changed"` // of the hits: what the log has is of another size, or an error
	TTL      time.Duration `json:"ttl_ns"`  // of the rule; 0: none
	Why      string        `json:"why"`
	Users    float64       `json:"users"` // share of the requests that had a credential
	Spared   int           `json:"spared"`
	Saved    time.Duration `json:"saved_ns"`
}

const (
	worthwhile  = 0.1  // hit rate from which on a rule is worth its line
	fewRequests = 20   // too few to say anything of
	mayDiffer   = 0.01 // of the hits
	worthLonger = 0.02 // what a longer TTL must bring
)

func (s *simulation) report() (*Report, error) {
	if s.known == 0 {
		if s.failed == 0 {
			return nil, errors.New("the log is empty")
		}
		return nil, fmt.Errorf("no line is a request in the common, combined or JSON format:\n%s", strings.Join(s.unreadAt, "\n"))
	}
	out := &Report{Requests: s.known, Unread: s.failed, Examples: s.unreadAt, From: s.first, To: s.last, NearBytes: s.nearBytes, HasTimes: s.took}
	for _, p := range s.byTTL {
		out.ByTTL = append(out.ByTTL, Share{p.ttl, s.nearBytes, part(p.hits, s.known)})
	}
	for i, p := range s.byMemory {
		out.ByMemory = append(out.ByMemory, Share{p.ttl, int64(memories[i] * float64(s.nearBytes)), part(p.hits, s.known)})
	}
	for _, r := range s.merged() {
		out.Queries = out.Queries || strings.Contains(r.example, "?")
		one := r.judged()
		out.Routes = append(out.Routes, one)
		if one.TTL > 0 {
			out.Spared += one.Spared
			out.Saved += one.Saved
		}
	}
	out.HitRate = part(out.Spared, s.known)
	slices.SortFunc(out.Routes, func(a, b Route) int {
		return cmp.Or(cmp.Compare(b.Saved, a.Saved), cmp.Compare(b.Spared, a.Spared), cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Match, b.Match))
	})
	return out, nil
}

// merged are the routes, with those in one that were found to be one only later.
func (s *simulation) merged() map[string]*route {
	out := map[string]*route{}
	for _, r := range s.routes {
		if r.pattern != otherRoutes {
			r.pattern = s.tree.pattern(r.example)
		}
		name := r.method + " " + r.pattern
		to := out[name]
		if to == nil {
			out[name] = r
			continue
		}
		to.requests, to.cacheable, to.withUser = to.requests+r.requests, to.cacheable+r.cacheable, to.withUser+r.withUser
		to.tookSum, to.tookN, to.bytes = to.tookSum+r.tookSum, to.tookN+r.tookN, to.bytes+r.bytes
		for i := range TTLs {
			to.hits[i], to.changed[i], to.saved[i] = to.hits[i]+r.hits[i], to.changed[i]+r.changed[i], to.saved[i]+r.saved[i]
		}
	}
	return out
}

// judged chooses the TTL of a route, or says why it has none.
func (r *route) judged() Route {
	out := Route{Match: r.method + " " + r.pattern, Requests: r.requests, Users: part(r.withUser, r.requests)}
	if r.tookN > 0 {
		out.Took = r.tookSum / time.Duration(r.tookN)
	}
	for i := range TTLs {
		out.HitRates = append(out.HitRates, part(r.hits[i], r.requests))
		out.Changed = append(out.Changed, part(r.changed[i], r.hits[i]))
	}
	switch {
	case r.pattern == otherRoutes:
		out.Why = "too many routes to tell apart"
		return out
	case r.method != "GET":
		out.Why = "it may change something"
		if r.method == "POST" {
			out.Why = "a POST: if it only asks, a rule with body_key caches it by its body, which no log has"
		}
		return out
	case r.requests < fewRequests:
		out.Why = "asked for too seldom to say"
		return out
	case part(r.cacheable, r.requests) < worthwhile:
		out.Why = "most answers are of a status that is not stored"
		return out
	}
	best := -1
	for i := range TTLs {
		if out.Changed[i] <= mayDiffer && (best < 0 || out.HitRates[i] >= out.HitRates[best]+worthLonger) {
			best = i
		}
	}
	switch {
	case best < 0:
		out.Why = fmt.Sprintf("it changes: of what would have been hits within %s, %.0f %% had another answer", TTLs[0], 100*out.Changed[0])
	case out.HitRates[best] < worthwhile:
		out.Why = "the same is seldom asked for again"
	default:
		out.TTL, out.Spared, out.Saved = TTLs[best], r.hits[best], r.saved[best]
	}
	return out
}

func part(of, all int) float64 {
	if all == 0 {
		return 0
	}
	return float64(of) / float64(all)
}

// Rules are the rules that the report is for, as a file of the gateway has them.
func (r *Report) Rules() string {
	var b strings.Builder
	b.WriteString("routes:\n")
	n, mux := 0, http.NewServeMux()
	for _, one := range r.Routes {
		if one.TTL == 0 {
			continue
		}
		if !registers(mux, one.Match) {
			fmt.Fprintf(&b, "  # %s would be for requests of another rule too: write it by hand\n", one.Match)
			continue
		}
		n++
		fmt.Fprintf(&b, "  - match: %q\n    ttl: %s\n", one.Match, Short(one.TTL))
		if one.Users >= worthwhile {
			fmt.Fprintf(&b, "    # %.0f %% of its requests had a credential: each caller has answers of their own, unless the origin lets them share and the rule says shared: true\n", 100*one.Users)
		}
	}
	if n == 0 {
		return "routes: []\n"
	}
	return b.String()
}

// Short is a duration as people write it: 5m, not 5m0s.
func Short(d time.Duration) string {
	text := d.String()
	for _, end := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, end) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// registers adds a pattern to others, unless two of them would be for the same requests and neither is the more special one.
func registers(mux *http.ServeMux, pattern string) (ok bool) {
	defer func() { ok = recover() == nil }()
	mux.Handle(pattern, http.NotFoundHandler())
	return true
}
