// Package admin is what an operator sees of a cache and does to it: statistics, health,
// invalidation, metrics and events, as JSON over HTTP.
package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay"
)

// Options configure [New].
type Options struct {
	// Version is the program's, as statistics and metrics show it.
	Version string
	// Token is what a caller who changes something presents as "Authorization: Bearer …". Without
	// one, only callers on Loopback listeners may, and only directly.
	Token string
	// Loopback says that the listener is bound to a loopback address.
	Loopback bool
	// Checks are asked for their state at each health request, by name.
	Checks map[string]Check
	// OriginCalls counts the calls of the origin, where there is somebody who counts. May be nil.
	OriginCalls func() int64
	// Advice lists routes that are not cached and could be. May be nil.
	Advice func() []Advice
	// Drills lets an operator take the shared tier away for a while. Default: refused.
	Drills *Drills
	// Logger gets one record for each change. Default slog.Default().
	Logger *slog.Logger
}

// A Check reports the state of a part; an error is the reason in words.
type Check func(context.Context) error

// An Admin serves the operations on one cache. It is safe for concurrent use.
type Admin struct {
	cache *forebay.Cache
	o     Options

	drilling atomic.Bool
	stopped  chan struct{}
	stop     sync.Once
}

// New returns the operations on a cache.
func New(c *forebay.Cache, o Options) *Admin {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Admin{cache: c, o: o, stopped: make(chan struct{})}
}

// Close ends the streams of events, which would otherwise last as long as their readers. It is safe
// to call twice.
func (a *Admin) Close() { a.stop.Do(func() { close(a.stopped) }) }

// Register adds the operations that only read, and never show values, to a mux: also to a public one.
func (a *Admin) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/cache-stats", a.stats)
	mux.HandleFunc("GET /health", a.health)
	mux.HandleFunc("GET /health/ready", a.health)
	mux.HandleFunc("GET /health/live", a.live)
	mux.HandleFunc("GET /api/events", a.events)
	mux.Handle("GET /metrics", a.metrics())
}

// Handler serves every operation, for the admin listener.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	a.Register(mux)
	mux.Handle("POST /api/invalidate", a.guard(http.HandlerFunc(a.invalidate)))
	mux.Handle("POST /api/drill", a.guard(http.HandlerFunc(a.drill)))
	return mux
}

// writeJSON writes an answer that no cache may keep.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // the client may be gone, and there is nobody else to tell
}

// problem writes problem details (RFC 9457).
func problem(w http.ResponseWriter, status int, detail string) {
	body, _ := json.Marshal(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail})
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// checkTimeout bounds each check of the health.
const checkTimeout = 2 * time.Second
