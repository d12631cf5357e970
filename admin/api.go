package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/forebay-cache/forebay/internal/coding"
)

// A list that is empty is [], never null: the description says so of all of them at once.
func init() { huma.DefaultArrayNullable = false }

// checkTimeout bounds each check of the health; maxBody the requests to the admin listener.
const (
	checkTimeout = 2 * time.Second
	maxBody      = 64 << 10
)

// Register adds the operations that only read, and show neither keys nor values, to a mux: also to a
// public one.
func (a *Admin) Register(mux *http.ServeMux) { a.register(mux, false) }

// RegisterAll adds every operation, for the admin listener.
func (a *Admin) RegisterAll(mux *http.ServeMux) { a.register(mux, true) }

// Handler serves every operation.
func (a *Admin) Handler() http.Handler {
	mux := http.NewServeMux()
	a.RegisterAll(mux)
	return mux
}

func (a *Admin) register(mux *http.ServeMux, all bool) huma.API {
	api := a.newAPI(mux)
	api.UseMiddleware(safeHeaders)
	get(api, "overview", "/api/overview", "Health, statistics, and what this caller may do", a.overview(all))
	get(api, "stats", "/api/cache-stats", "What the cache has done since it was opened", reading(a.Stats))
	get(api, "series", "/api/series", "Figures over time: 10 minutes by the second, 2 hours by 10 seconds, 2 days by the minute", a.readSeries)
	get(api, "topology", "/api/topology", "The parts as they are connected now, and what flows between them", reading(a.Topology))
	for _, path := range []string{"/health", "/health/ready"} {
		huma.Register(api, huma.Operation{OperationID: "health" + path[len("/health"):], Method: http.MethodGet, Path: path, Summary: "The verdict, with its reasons", Errors: []int{http.StatusServiceUnavailable}}, a.health)
	}
	get(api, "live", "/health/live", "Whether the process can answer at all", a.live)
	get(api, "incidents", "/api/incidents", "What is and was wrong: since when, until when, with what it touched; the latest first", reading(a.Incidents))
	a.registerEvents(api, all)
	mux.Handle("GET /metrics", unmeasured(a.metrics()))
	mux.Handle("GET /api/openapi.json", unmeasured(description(api)))
	if all {
		a.registerGuarded(api)
	}
	return api
}

// registerGuarded adds what shows keys or changes something.
func (a *Admin) registerGuarded(api huma.API) {
	guarded := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{
			OperationID: id, Method: method, Path: path, Summary: summary, MaxBodyBytes: maxBody,
			Middlewares: huma.Middlewares{a.guard(api)}, Security: []map[string][]string{{"token": {}}},
			Errors: []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity},
		}
	}
	huma.Register(api, guarded("keys", http.MethodGet, "/api/keys", "Keys that are asked for most, that miss most, and that expire next"), a.readKeys)
	huma.Register(api, guarded("entries", http.MethodGet, "/api/entries", "What the near tier holds, all or what an invalidation would reach"), a.readEntries)
	huma.Register(api, guarded("requests", http.MethodGet, "/api/requests", "Recent requests with their way through the parts"), reading(a.Requests))
	huma.Register(api, guarded("activity", http.MethodGet, "/api/activity", "Invalidations with their receipts, changes of state, drills, and what operators did"), reading(a.Activity))
	huma.Register(api, guarded("nodes", http.MethodGet, "/api/nodes", "The nodes on the same log, each as it says of itself: verdict, hit rate, memory, version, lag, whom it hears"), reading(a.Nodes))
	huma.Register(api, guarded("routes", http.MethodGet, "/api/routes", "Each route in the last minutes: requests, what happened to them, times, why responses are not stored; those with the most requests first"), reading(a.Routes))
	explain := guarded("explain", http.MethodPost, "/api/explain", "What the cache makes of a request now, without asking the origin: rule, key and its parts, what is stored, what the answer would be and why")
	explain.Errors = append(explain.Errors, http.StatusNotFound)
	huma.Register(api, explain, a.explain)
	invalidate := guarded("invalidate", http.MethodPost, "/api/invalidate", "Remove or expire what a key, a tag, a class, a pattern or everything covers")
	invalidate.Metadata = map[string]any{changing: true}
	invalidate.Responses = map[string]*huma.Response{"202": {Description: "It counts on this node, and everywhere once the log can be reached"}}
	huma.Register(api, invalidate, a.invalidate)
	drill := guarded("drill", http.MethodPost, "/api/drill", "Take the shared tier away for a while, and report what that did")
	drill.Metadata = map[string]any{changing: true}
	huma.Register(api, drill, a.drill)
	a.registerEdge(api, guarded)
	signIn := guarded("sign-in", http.MethodPost, "/api/sign-in", "Give the token once, for a cookie that stands for it")
	signIn.Middlewares, signIn.Security = huma.Middlewares{a.sameOrigin(api)}, nil
	huma.Register(api, signIn, a.signIn)
}

// newAPI describes the operations as they are registered.
func (a *Admin) newAPI(mux *http.ServeMux) huma.API {
	config := huma.DefaultConfig("Forebay", a.o.Version)
	config.Info.Description = "What an operator sees of a cache and does to it."
	config.CreateHooks = nil // no links to schemas in the answers
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {
		Type: "http", Scheme: "bearer", Description: "FOREBAY_ADMIN_TOKEN. Not needed on a loopback listener where none is set.",
	}}
	return humago.New(mux, config)
}

// description serves the document.
func description(api huma.API) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		json.NewEncoder(w).Encode(api.OpenAPI()) // the client may be gone, and there is nobody else to tell
	})
}

// An answer is what an operation returns.
type answer[T any] struct{ Body T }

// reading makes an operation of a method that only reads.
func reading[T any](read func() T) func(context.Context, *struct{}) (*answer[T], error) {
	return func(context.Context, *struct{}) (*answer[T], error) { return &answer[T]{read()}, nil }
}

func get[I, O any](api huma.API, id, path, summary string, h func(context.Context, *I) (*O, error)) {
	huma.Register(api, huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary}, h)
}

// safeHeaders are on every answer: no cache keeps it, no page frames it. It is not a request of the cache's
// clients, and is not counted as one.
func safeHeaders(ctx huma.Context, next func(huma.Context)) {
	_, w := humago.Unwrap(ctx)
	excludeFromMetrics(w)
	ctx.SetHeader("Cache-Control", "no-store")
	ctx.SetHeader("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	ctx.SetHeader("X-Content-Type-Options", "nosniff")
	next(ctx)
}

// unmeasured serves what is not a request of the cache's clients.
func unmeasured(h http.Handler) http.Handler {
	compressed := coding.Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		excludeFromMetrics(w)
		compressed.ServeHTTP(w, r)
	})
}
