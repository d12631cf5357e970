// Package admin is what an operator sees of a cache and does to it: one set of operations, which the
// dashboard, the command line and scripts use as JSON over HTTP, described in OpenAPI.
package admin

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/edge"
	"github.com/forebay-cache/forebay/metrics"
	"github.com/forebay-cache/forebay/shared"
)

// Options configure [New].
type Options struct {
	// Version is the program's, as statistics and metrics show it.
	Version string
	// Token is what a caller that sees keys or changes something presents as "Authorization: Bearer …". Without
	// one, only callers on Loopback listeners may, and only directly. Several have names and roles, separated by
	// commas: alice/operate:SECRET,grafana/read:SECRET; who reads sees keys, and changes nothing.
	Token string
	// Loopback says that the listener is bound to a loopback address.
	Loopback bool
	// Address is the admin listener's, as pages on the public one name it: "http://127.0.0.1:9191".
	Address string
	// Platform says that the reference platform is behind the same listeners: its page is shown.
	Platform bool
	// Checks are asked for their state at each health request, by name.
	Checks map[string]Check
	// OriginCalls counts the calls of the origin, where something counts them. May be nil.
	OriginCalls func() int64
	// Advice lists routes that are not cached and could be. May be nil.
	Advice func() []Advice
	// Rule names the rule of a request, and its class: [Admin.Routes] groups by it. Empty: none. May be nil.
	Rule func(*http.Request) (rule, class string)
	// URLTag is the tag of what is stored of a URL. May be nil: then nothing here caches requests.
	URLTag func(*url.URL) string
	// Explain says what the cache makes of a request. May be nil: then nothing here caches requests.
	Explain func(*http.Request) Explanation
	// TraceID is the trace of a request, where it is sent somewhere: metrics lead to it. Empty: it is not. May be nil.
	TraceID func(context.Context) string
	// Ask is where a request that an operator sends for explanation goes: the cache itself. May be nil.
	Ask http.Handler
	// Limits are bounds of the process, and how far they are used. May be nil.
	Limits func() []forebay.Limit
	// Lane says what was answered below net/http. May be nil: nothing is.
	Lane func() Lane
	// Requirements is a text that MCP clients can read: what was asked of the program. Default: none.
	Requirements string
	// Edge follows invalidations beyond this node, to a CDN above. May be nil.
	Edge *edge.Queue
	// Certificate says what is wrong with those of the public listener, if anything is. May be nil.
	Certificate func() error
	// Parts are the names of what the cache stands between.
	Parts Parts
	// Shared is the cache's shared tier, through which nodes tell each other how they are. May be nil.
	Shared shared.Tier
	// ActivityFile keeps what happened across restarts. Default: it is forgotten.
	ActivityFile string
	// Drills lets an operator take the shared tier away for a while. Default: refused.
	Drills *Drills
	// Logger gets one record for each change. Default slog.Default().
	Logger *slog.Logger
}

// Parts names what the cache stands between, for the picture. An empty one is not drawn.
type Parts struct {
	Front    string // what hands requests to the cache: "gateway"; default "middleware"
	Origin   string // where answers come from; default "origin"
	Database string // what the origin asks
}

// A Check reports the state of a part; an error is the reason in words.
type Check func(context.Context) error

// An Admin serves the operations on one cache. It is safe for concurrent use.
type Admin struct {
	cache     *forebay.Cache
	o         Options
	requests  *requests
	series    *series
	activity  *activity
	figures   *metrics.Collector
	verdict   *verdict
	feed      *feed
	attempts  attempts
	visits    *visits
	tokens    []token
	cards     cards
	questions questions
	mcp       mcpCalls

	drilling atomic.Bool
	unhook   []func()
	stopped  chan struct{}
	stop     sync.Once
	working  sync.WaitGroup
}

// New returns the operations on a cache, and begins to watch it. [Admin.Close] ends that.
func New(c *forebay.Cache, o Options) *Admin {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Parts.Front == "" {
		o.Parts.Front = "middleware"
	}
	if o.Parts.Origin == "" {
		o.Parts.Origin = "origin"
	}
	a := &Admin{
		cache: c, o: o, requests: newRequests(o), activity: &activity{}, figures: metrics.New(c), feed: newFeed(), visits: newVisits(), tokens: parseTokens(o.Token),
		stopped: make(chan struct{}),
	}
	stats := c.Stats()
	a.series = newSeries(stats)
	a.verdict = newVerdict(time.Now(), stats, a.begun, a.ended)
	a.verdict.findMore = a.findEdge
	a.unhook = []func(){c.Observe(a.activity), a.figures.Close}
	window := a.requests.open()
	a.working.Go(func() { a.sample(window) })
	if o.ActivityFile != "" {
		a.activity.read(o.ActivityFile, o.Logger)
		a.working.Go(func() { a.keepActivity(o.ActivityFile) })
	}
	if o.Shared != nil {
		a.cards.held, a.questions = map[string]card{}, questions{make(chan struct{}, 1), map[string]string{}}
		a.working.Go(func() { a.exchangeCards(o.Shared) })
	}
	return a
}

// Close ends the watch and the streams of events, which would otherwise last as long as their readers.
// It is safe to call twice.
func (a *Admin) Close() {
	a.stop.Do(func() {
		for _, stop := range a.unhook {
			stop()
		}
		close(a.stopped)
	})
	a.working.Wait()
}

// sampleEvery is how often the figures are looked at: the finest step of the time series.
const sampleEvery = time.Second

// sample takes the figures of each second until Close, and the requests of a window.
func (a *Admin) sample(window *window) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			stats := a.cache.Stats()
			point := a.series.add(now, stats, window.take(), a.originCalls(), a.activity.takeInvalidations(), a.mcp.take())
			a.activity.compare(stats)
			a.verdict.look(now, stats)
			a.requests.keys.age(now)
			a.publish(point)
		case <-a.stopped:
			return
		}
	}
}

// begun and ended note what the verdict finds in the activity; of the shared tier and the log that has its own items.
func (a *Admin) begun(c Cause) {
	if !ownItem(c) {
		a.activity.note(Item{Kind: "verdict", Text: c.Check + ": " + c.Reason, Here: true})
	}
}

func (a *Admin) ended(c Cause) {
	if !ownItem(c) {
		a.activity.note(Item{Kind: "verdict", Text: c.Check + ": over: " + c.Reason, Here: true})
	}
}

func ownItem(c Cause) bool {
	return c.Check == "shared" || c.Check == "log" || strings.HasPrefix(c.Check, "node ")
}

// originCalls is how often the origin was called; nil where nobody counts.
func (a *Admin) originCalls() *int64 {
	if a.o.OriginCalls == nil {
		return nil
	}
	n := a.o.OriginCalls()
	return &n
}
