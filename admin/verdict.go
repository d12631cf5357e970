package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/forebay-cache/forebay"
)

// A Cause is something that is wrong now: since when, what it touches, and what to do.
type Cause struct {
	Check   string    `json:"check" doc:"What it is about: shared, log, journal, class NAME, function NAME, node NAME, or a check of the process"`
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
	Impact  string    `json:"impact,omitempty" doc:"What it touches, in numbers"`
	Do      string    `json:"do,omitempty" doc:"What to do about it"`
	Warning bool      `json:"warning,omitempty" doc:"It works, and does not help: the node is not degraded by it"`
}

// text is a cause as one line.
func (c Cause) text() string {
	if c.Impact == "" {
		return c.Check + ": " + c.Reason
	}
	return c.Check + ": " + c.Reason + " (" + c.Impact + ")"
}

// An Incident is a cause that is over, or not yet.
type Incident struct {
	Cause
	Until *time.Time `json:"until" doc:"null: it lasts"`
}

// A verdict says what is wrong, from the statistics of the last minutes and never from those since the start: a
// node that has served for a day must say within seconds that its origin fails, and that it works again.
type verdict struct {
	begun, ended func(Cause)
	findMore     func(finder) // what statistics do not say; may be nil

	mu    sync.Mutex // guards the fields below
	looks []look     // one in rememberEvery, for the last longWindow, the oldest first
	open  map[string]*finding
	past  []pastIncident // the oldest first
	nodes map[string]time.Time
}

// A look is the statistics at a time.
type look struct {
	at      time.Time
	classes map[string]forebay.ClassStats
}

// A finding is an open cause, with what is remembered of its beginning.
type finding struct {
	Cause
	base forebay.ClassStats // of the class, where its window began
	mean time.Duration      // of its loads before
}

// A pastIncident can go on: what comes back soon was never over.
type pastIncident struct {
	*finding
	until time.Time
}

const (
	rememberEvery = 2 * time.Second
	shortWindow   = 10 * time.Second // what is wrong now
	longWindow    = 5 * time.Minute  // what has been going on
	quietAfter    = time.Minute      // a cause that shows in calls alone is over when there were none for so long

	failingShare = 0.2 // of the calls of the origin
	failingCalls = 5   // fewer say nothing
	slowFactor   = 4   // of what its loads took before …
	slowBy       = 500 * time.Millisecond
	slowLoads    = 3  // … in so many of the short window
	usualLoads   = 20 // fewer before say nothing

	meaningful   = 200 // look-ups, to say that a class never hits
	evictedShare = 0.5 // of the answers that are stored
	evictedLeast = 100

	againWithin  = 30 * time.Second // of its end, a cause is the same incident
	goneFor      = 10 * time.Minute // how long a node that is not heard of is told
	maxIncidents = 200
)

func newVerdict(now time.Time, s forebay.Stats, begun, ended func(Cause)) *verdict {
	start := look{at: now.Add(-s.Uptime), classes: map[string]forebay.ClassStats{}} // when everything was 0
	return &verdict{begun: begun, ended: ended, looks: []look{start}, open: map[string]*finding{}, nodes: map[string]time.Time{}}
}

// look judges the statistics of now and returns what is wrong, the causes before what follows from them.
func (v *verdict) look(now time.Time, s forebay.Stats) []Cause {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := map[string]bool{}
	find := func(c Cause) *finding {
		id := c.id()
		seen[id] = true
		f := v.open[id]
		if f == nil {
			f = v.againLocked(id, now)
		}
		if f == nil {
			c.Since = now.UTC()
			f = &finding{Cause: c}
		}
		if v.open[id] == nil {
			v.open[id] = f
			v.begun(c)
		}
		f.Reason, f.Impact, f.Do = c.Reason, c.Impact, c.Do
		return f
	}
	v.findShared(s, find)
	v.findNodes(now, s, find)
	if v.findMore != nil {
		v.findMore(find)
	}
	for _, c := range s.Classes {
		v.findClass(now, c, find)
	}
	for id, f := range v.open {
		if !seen[id] && !f.ofCheck() {
			v.closeLocked(id, now)
		}
	}
	v.rememberLocked(now, s)
	return v.causesLocked()
}

func (c Cause) id() string {
	return fmt.Sprint(c.Check, "\x00", c.Warning, "\x00", kindOf(c.Check, c.Reason))
}

// kindOf tells two causes of one class, or two settings of a server, apart, whatever figures their reasons have.
func kindOf(check, reason string) string {
	if !strings.HasPrefix(check, "class ") && check != "shared" {
		return ""
	}
	if strings.HasPrefix(reason, "the shared tier cannot be used") {
		return ""
	}
	first, _, _ := strings.Cut(reason, " in ")
	return first
}

// ofCheck reports whether a cause is of a check of the process, which are asked at each health request.
func (c Cause) ofCheck() bool {
	name, _, _ := strings.Cut(c.Check, " ")
	return !slices.Contains([]string{"shared", "log", "journal", "class", "function", "node", "near", "cdn", "certificate"}, name)
}

// check notes how a check of the process went.
func (v *verdict) check(now time.Time, name string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c := Cause{Check: name, Since: now.UTC(), Do: "look at the " + name + " that the origin asks"}
	f := v.open[c.id()]
	switch {
	case err == nil && f != nil:
		v.closeLocked(c.id(), now)
	case err != nil && f == nil:
		if f = v.againLocked(c.id(), now); f == nil {
			f = &finding{Cause: c}
		}
		f.Reason = err.Error()
		v.open[c.id()] = f
		v.begun(f.Cause)
	case err != nil:
		f.Reason = err.Error()
	}
}

func (v *verdict) closeLocked(id string, now time.Time) {
	f := v.open[id]
	delete(v.open, id)
	if len(v.past) == maxIncidents {
		v.past = slices.Delete(v.past, 0, 1)
	}
	v.past = append(v.past, pastIncident{f, now.UTC()})
	v.ended(f.Cause)
}

// againLocked takes a cause that ended a moment ago back from the past: an origin of which every second call fails is one
// incident, whatever the windows make of it. nil: there is none.
func (v *verdict) againLocked(id string, now time.Time) *finding {
	for i, p := range slices.Backward(v.past) {
		if now.Sub(p.until) > againWithin {
			return nil
		}
		if p.id() == id {
			v.past = slices.Delete(v.past, i, i+1)
			return p.finding
		}
	}
	return nil
}

func (v *verdict) rememberLocked(now time.Time, s forebay.Stats) {
	if now.Sub(v.looks[len(v.looks)-1].at) < rememberEvery && len(v.looks) > 1 {
		return
	}
	l := look{at: now, classes: make(map[string]forebay.ClassStats, len(s.Classes))}
	for _, c := range s.Classes {
		l.classes[c.Class.Name] = c
	}
	v.looks = append(v.looks, l)
	for len(v.looks) > 2 && now.Sub(v.looks[1].at) >= longWindow {
		v.looks = slices.Delete(v.looks, 0, 1)
	}
}

// before is what a class had counted a while ago: at the latest look that is at least so old.
func (v *verdict) before(now time.Time, class string, ago time.Duration) forebay.ClassStats {
	found := v.looks[0]
	for _, l := range v.looks[1:] {
		if now.Sub(l.at) >= ago {
			found = l
		}
	}
	return found.classes[class]
}

// lastGood is the latest look of the short window at which no call of a class had failed yet, and when it was.
func (v *verdict) lastGood(now time.Time, class string, lately forebay.ClassStats) (forebay.ClassStats, time.Time) {
	_, failed := lately.OriginCalls()
	for _, l := range slices.Backward(v.looks) {
		c := l.classes[class]
		if _, f := c.OriginCalls(); f == failed && now.Sub(l.at) <= shortWindow+rememberEvery {
			return c, l.at.UTC()
		}
	}
	return lately, now.UTC()
}

func (v *verdict) causesLocked() []Cause {
	out := make([]Cause, 0, len(v.open))
	for _, f := range v.open {
		out = append(out, f.Cause)
	}
	warns := func(c Cause) int {
		if c.Warning {
			return 1
		}
		return 0
	}
	follows := func(c Cause) int { return slices.Index([]string{"log", "journal"}, c.Check) }
	slices.SortFunc(out, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(warns(a), warns(b)), cmp.Compare(follows(a), follows(b)), strings.Compare(a.Check, b.Check), strings.Compare(a.Reason, b.Reason))
	})
	return out
}

// incidents are what was and is wrong, the latest first.
func (v *verdict) incidents() []Incident {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := []Incident{}
	for _, c := range v.causesLocked() {
		out = append(out, Incident{Cause: c})
	}
	for _, i := range slices.Backward(v.past) {
		until := i.until
		out = append(out, Incident{i.Cause, &until})
	}
	return out
}
