package httpcache

import (
	"net/http"
	"strconv"
	"time"
)

// preflightFields are those that the answer to a preflight depends on (Fetch, section 4.8).
var preflightFields = []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers", "Access-Control-Request-Private-Network"}

// isPreflight reports whether an OPTIONS is one that a browser sends before another request.
func isPreflight(r *http.Request) bool {
	return len(r.Header["Origin"]) == 1 && len(r.Header["Access-Control-Request-Method"]) == 1 && r.ContentLength == 0
}

// preflightOf is the route that a preflight is for, if that caches them.
func (h *Cache) preflightOf(r *http.Request) *route {
	meant := *r
	meant.Method = r.Header["Access-Control-Request-Method"][0]
	found, _ := h.mux.Handler(&meant)
	if rt, ok := found.(*route); ok {
		return rt.preflight
	}
	return nil
}

// defaultMaxAge is what browsers take where a preflight's answer does not say for how long it counts.
const defaultMaxAge = 5 * time.Second

// judgePreflight lets an answer be kept for as long as it says it counts. OPTIONS has no caching of its own (RFC 9110,
// section 9.3.7): the rule asks for it.
func judgePreflight(a *ask, status int, h http.Header) verdict {
	if status != http.StatusOK && status != http.StatusNoContent {
		return verdict{why: otherStatus, share: true}
	}
	lifetime := defaultMaxAge
	if n, err := strconv.Atoi(h.Get("Access-Control-Max-Age")); err == nil {
		lifetime = min(time.Duration(n), maxDelta) * time.Second
	}
	if a.route.ttl > 0 {
		lifetime = min(lifetime, a.route.ttl)
	}
	if lifetime <= 0 {
		return verdict{why: noFreshness, share: true}
	}
	return verdict{keep: true, share: true, lifetime: lifetime}
}
