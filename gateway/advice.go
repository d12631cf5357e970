package gateway

import (
	"cmp"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Advice is a route whose responses say nothing of how long they may be kept, and what would cache it.
type Advice struct {
	Route   string `json:"route"`
	Answers int    `json:"answers"`
	Flag    string `json:"flag"`

	// Credentials is how many of them were asked for with a cookie or with credentials: with the rule, each caller
	// has an entry of its own.
	Credentials int `json:"credentials"`

	Sample
	Safe Safety `json:"safe"`
	Why  string `json:"why"`
}

// answers are those of a route.
type answers struct{ all, credentials int }

// ofOperators are routes that answer for the process and this moment, and must never be cached.
var ofOperators = regexp.MustCompile(`(?i)^/(?:[^/]+/)?(?:health|healthz|health-?check|livez?|liveness|readyz?|readiness|metrics|ping|heartbeat|debug)(?:/|$)`)

const (
	adviseAfter = 20  // responses without cache headers, then it is said once in the log
	maxRoutes   = 200 // that are counted one by one
	suggested   = "5m"
)

// advice counts the responses that nobody said how long to keep, by route.
type advice struct {
	logger *slog.Logger

	mu      sync.Mutex // guards the fields below, and what the sampler has seen
	routes  map[string]*answers
	total   int
	sampler sampler
}

func newAdvice(l *slog.Logger) *advice {
	return &advice{logger: l, routes: map[string]*answers{}, sampler: newSampler()}
}

// uncached is told of each.
func (a *advice) uncached(r *http.Request) {
	if ofOperators.MatchString(r.URL.Path) {
		return
	}
	route := routeOf(r)
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.routes[route]
	if seen == nil {
		if seen = (&answers{}); len(a.routes) < maxRoutes {
			a.routes[route] = seen
		}
	}
	if seen.all++; r.Header["Authorization"] != nil || r.Header["Cookie"] != nil {
		seen.credentials++
	}
	if a.total++; a.total == adviseAfter {
		var flags []string
		for _, one := range a.sorted() {
			flags = append(flags, one.Flag)
		}
		a.logger.Info("gateway: the origin does not say how long its answers may be kept, so they are not; these flags would cache them, each for as long as is right for it",
			"answers", a.total, "flags", strings.Join(flags[:min(len(flags), 5)], " "))
	}
}

func (a *advice) list() []Advice {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.total < adviseAfter {
		return nil
	}
	return a.sorted()
}

func (a *advice) sorted() []Advice {
	out := make([]Advice, 0, len(a.routes))
	for route, seen := range a.routes {
		sample := Sample{Vary: []string{}}
		if s := a.sampler.by[route]; s != nil {
			sample = *s
			sample.Vary = slices.Clone(s.Vary)
		}
		safe, why := sample.judge(*seen)
		out = append(out, Advice{route, seen.all, "--cache '" + route + "=" + suggested + "'", seen.credentials, sample, safe, why})
	}
	slices.SortFunc(out, func(a, b Advice) int {
		return cmp.Or(cmp.Compare(b.Answers, a.Answers), cmp.Compare(a.Route, b.Route))
	})
	return out
}

// identifier is a path segment that names one of many: with a digit in it, or long and hexadecimal.
var identifier = regexp.MustCompile(`^(?:[A-Za-z]*[-_]?[0-9][0-9A-Za-z_.-]*|[0-9a-fA-F-]{16,})$`)

// version is a segment that has a digit and is a version.
var version = regexp.MustCompile(`^v[0-9]+(?:\.[0-9]+)*$`)

// routeOf turns the path of a request into a pattern.
func routeOf(r *http.Request) string {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i, s := range segments {
		if identifier.MatchString(s) && !version.MatchString(s) {
			segments[i] = "{id" + strings.Repeat("_", strings.Count(strings.Join(segments[:i], "/"), "{id")) + "}"
		}
		segments[i] = strings.ReplaceAll(segments[i], "'", "%27")
	}
	path := strings.Join(segments, "/")
	if strings.HasSuffix(path, "/") {
		path += "{$}"
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return method + " " + path
}
