package httpcache

import (
	"net/http"
	"slices"
	"time"

	"github.com/forebay-cache/forebay"
)

// Served is a response that a shared cache above this one may keep and give to every caller of its URL, as far as this cache
// knows: see [Options.Served].
type Served struct {
	Rule     string // pattern of its route; empty: none
	Class    forebay.Class
	Key      string
	Tags     []string
	Vary     []string // fields of the request that chose it, compression aside
	Lifetime time.Duration
}

// tellServed tells who wants to know what is about to be sent.
func (h *handler) tellServed(w http.ResponseWriter, a *ask, r *response) {
	told := h.options.Served
	if told == nil || a.credential != "" || a.method != http.MethodGet || !r.shareable || r.unstored != "" || r.noCache {
		return
	}
	vary := r.vary
	for _, name := range slices.Concat(a.route.Headers, cookieOf(a.route)) {
		if name = http.CanonicalHeaderKey(name); !slices.Contains(vary, name) {
			vary = append(vary[:len(vary):len(vary)], name)
		}
	}
	rule := ""
	if a.route.ruled {
		rule = a.route.Match
	}
	told(w, Served{Rule: rule, Class: a.route.class, Key: a.key, Tags: r.tags, Vary: vary, Lifetime: r.lifetime})
}

// cookieOf is the field of a route whose key has cookies in it.
func cookieOf(r *route) []string {
	if len(r.Cookies) > 0 {
		return []string{"Cookie"}
	}
	return nil
}
