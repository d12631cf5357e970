package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/forebay-cache/forebay"
)

// A history is of one organisation's first partner, whose names are its versions.
type history struct {
	mu       sync.Mutex   // one writer at a time
	last     int64        // version that was written
	answered int64        // version that was acknowledged
	promised atomic.Int64 // version that no node may be behind: its invalidation did not wait for the log
}

// load is the platform's mix, at a rate, for as long as it is not stopped.
type load struct {
	w    *world
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	taken   []took
	failed  []string // reads, and …
	refused []string // … writes
	stale   []string
	writes  int
	ended   int // with the node that had them
}

type took struct {
	at    time.Time
	took  time.Duration
	write bool
}

// run begins a load. Requests start at their time, whether earlier ones have ended or not.
func (w *world) run(perSecond int) *load {
	l := &load{w: w, stop: make(chan struct{})}
	l.done.Go(func() {
		every := time.Second / time.Duration(perSecond)
		next := time.Now()
		for i := 0; ; i++ {
			select {
			case <-l.stop:
				return
			default:
			}
			sleepUntil(next)
			next = next.Add(every)
			l.done.Go(func() { l.request(i) })
		}
	})
	return l
}

// sleepUntil has the system wake it. A timer of Go's may be a millisecond late where nothing else runs, and two
// thousand requests a second would come in bursts, whose requests wait for each other.
func sleepUntil(at time.Time) {
	for wait := time.Until(at); wait > 0; wait = time.Until(at) {
		span := syscall.NsecToTimespec(wait.Nanoseconds())
		_ = syscall.Nanosleep(&span, nil) // a signal may end it early
	}
}

func (l *load) end() {
	close(l.stop)
	l.done.Wait()
}

// mixRepeats is after how many requests the mix starts over.
const mixRepeats = 1400

// request makes the i-th request of the mix.
func (l *load) request(i int) {
	n := l.w.nodes[i%len(l.w.nodes)]
	if !n.here() {
		n = l.w.nodes[(i+1)%len(l.w.nodes)]
	}
	org := (i / 7) % len(organisations)
	name := organisations[org]
	switch i % 50 {
	case 0:
		l.write(n, org)
	case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10:
		l.ask(n, "GET", fmt.Sprintf("/api/templates?cleanroom_id=cr-%d", i%40+1), "")
	case 11, 12, 13, 14, 15:
		l.ask(n, "GET", "/api/status", "")
	case 16, 17, 18, 19:
		l.ask(n, "POST", "/api/chat", fmt.Sprintf(`{"org_id":%q,"message":"Which partners are in retail? %d"}`, name, i%20))
	default:
		least := l.w.orgs[org].promised.Load()
		if got, ok := l.read(n, org); ok && got < least {
			l.mu.Lock()
			l.stale = append(l.stale, fmt.Sprintf("%s: read version %d after %d was acknowledged", name, got, least))
			l.mu.Unlock()
		}
	}
}

// read asks a node for an organisation's partners, and returns the version of the first.
func (l *load) read(n *node, org int) (v int64, ok bool) {
	body := l.ask(n, "GET", "/api/partners?org_id="+organisations[org], "")
	return version(body, l.w.first[org]), body != ""
}

// shown reports whether every node shows what was acknowledged of an organisation.
func (l *load) shown(org int) bool {
	for _, n := range l.w.nodes {
		if v, _ := l.read(n, org); v < l.w.orgs[org].answered {
			return false
		}
	}
	return true
}

// write changes a partner, one version after the other.
func (l *load) write(n *node, org int) {
	h := &l.w.orgs[org]
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	if l.ask(n, "PUT", "/api/partners/"+l.w.first[org], fmt.Sprintf(`{"name":"version %d"}`, h.last)) == "" {
		return
	}
	h.answered = h.last
	// A receipt of an invalidation that waits for the log promises nothing to other nodes yet, nor does a
	// gateway: it keeps what it has for as long as it was told to.
	if l.w.behind == nil && n.here() && n.says().deferred == 0 {
		h.promised.Store(h.last)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes++
}

// version reads which version of a partner a list shows; 0 before the first. It is not a parser: what checks
// must not take the processor from what is measured.
func version(body, id string) int64 {
	_, rest, _ := strings.Cut(body, `"id":"`+id+`"`)
	rest, _, _ = strings.Cut(rest, "}")
	_, rest, _ = strings.Cut(rest, `"name":"version `)
	digits, _, _ := strings.Cut(rest, `"`)
	v, _ := strconv.ParseInt(digits, 10, 64)
	return v
}

// ask makes a request and returns the body of a good answer.
func (l *load) ask(n *node, method, path, body string) string {
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, "http://platform"+path, from)
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	req = req.WithContext(forebay.WithTrace(req.Context(), &forebay.Trace{Step: n.origin.step}))
	turn, begun := n.turns.Load(), time.Now()
	whole := serve(n.handler, rec, req)
	ended := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.turns.Load() != turn {
		l.ended++
		return ""
	}
	write := method == "PUT"
	l.taken = append(l.taken, took{begun, ended.Sub(begun), write})
	if whole && rec.Code < 500 {
		return rec.Body.String()
	}
	what := &l.failed
	if write {
		what = &l.refused
	}
	*what = append(*what, fmt.Sprintf("%s %s: %d %s, whole: %v", method, path, rec.Code, rec.Body, whole))
	return ""
}

// serve reports whether the answer was not broken off.
func serve(h http.Handler, w *httptest.ResponseRecorder, r *http.Request) (whole bool) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
	announced, err := strconv.Atoi(w.Header().Get("Content-Length"))
	return err != nil || announced == w.Body.Len()
}

// A latency sums requests up.
type latency struct {
	requests     int
	p99, slowest time.Duration
	steady       time.Duration // the median of each second's p99: a moment in which the machine stands still is one of many
}

// since sums up the requests that began in a span, with or without the writes.
func (l *load) since(from, to time.Time, writes bool) latency {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []time.Duration
	seconds := map[int][]time.Duration{}
	for _, t := range l.taken {
		if !t.at.Before(from) && t.at.Before(to) && (writes || !t.write) {
			all = append(all, t.took)
			second := int(t.at.Sub(from) / time.Second)
			seconds[second] = append(seconds[second], t.took)
		}
	}
	if len(all) == 0 {
		return latency{}
	}
	var each []time.Duration
	for _, took := range seconds {
		each = append(each, quantile(took, 0.99))
	}
	return latency{len(all), quantile(all, 0.99), quantile(all, 1), quantile(each, 0.5)}
}

// quantile sorts what it is given.
func quantile(all []time.Duration, share float64) time.Duration {
	slices.Sort(all)
	return all[int(float64(len(all)-1)*share)]
}

// An origin is what one node asked of it.
type origin struct {
	mu    sync.Mutex // guards the fields below
	loads map[string][]span
}

type span struct{ begun, ended time.Time }

func (o *origin) step(_ context.Context, s forebay.Step) {
	if s.Stage != forebay.StageOrigin {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.loads == nil {
		o.loads = map[string][]span{}
	}
	o.loads[s.Key] = append(o.loads[s.Key], span{s.Start, s.Start.Add(s.Duration)})
}

// atOnce is the most loads of one key that ran at the same time.
func (o *origin) atOnce() (most int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, spans := range o.loads {
		slices.SortFunc(spans, func(a, b span) int { return a.begun.Compare(b.begun) })
		var running []span
		for _, s := range spans {
			running = append(slices.DeleteFunc(running, func(r span) bool { return !r.ended.After(s.begun) }), s)
			most = max(most, len(running))
		}
	}
	return most
}
