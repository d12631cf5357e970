package httpcache

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/canon"
)

// A Cache makes handlers answer from the tiers. It is safe for concurrent use.
type Cache struct {
	cache   *forebay.Cache
	options Options
	mux     *http.ServeMux
	other   *route // of the requests that no rule matches
	targets []string
	spaces  *spaces
	bodies  *bodies
	ignored map[string]bool // fields that count by Vary alone

	encoders encoders
}

// targetName is the field that is targeted at this cache alone (RFC 9213).
const targetName = "Forebay-Cache-Control"

// New returns an HTTP cache on c. Its error names every mistake in the options with its place. The
// entries of a class are under the name "<class>/http", so a cache can carry one HTTP cache.
func New(c *forebay.Cache, o Options) (*Cache, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("httpcache: %w", err)
	}
	h := &Cache{cache: c, options: o, mux: http.NewServeMux(), targets: []string{targetName, "Cdn-Cache-Control"}, encoders: newEncoders(), spaces: &spaces{by: map[string]*forebay.Space[*response]{}}, bodies: &bodies{}}
	if old := o.Replaces; old != nil {
		if old.cache != c {
			return nil, errors.New("httpcache: Replaces is on another cache")
		}
		h.spaces, h.bodies, h.encoders, h.options.Replaces = old.spaces, old.bodies, old.encoders, nil
	}
	h.bodies.resize(o.BodyBytes)
	h.ignored = map[string]bool{}
	for _, name := range o.IgnoreHeaders {
		h.ignored[http.CanonicalHeaderKey(name)] = true
	}
	var mistakes []error
	other, err := h.spaces.open(c, o.Class)
	if err != nil {
		return nil, fmt.Errorf("httpcache: %w", err)
	}
	h.other = &route{Rule: Rule{Events: EndOpenAI}, space: other, class: other.Class(), prefix: other.Key(""), keyed: keyedFields(nil, o.Relayed...)}
	h.finish(h.other)
	for i, rule := range o.Rules {
		space, err := h.spaces.open(c, cmp.Or(rule.Class, o.Class))
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("Rules[%d]: %w", i, err))
			continue
		}
		if err := register(h.mux, h.newRoute(rule, space)); err != nil {
			mistakes = append(mistakes, fmt.Errorf("Rules[%d]: %w", i, err))
		}
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, fmt.Errorf("httpcache: %w", err)
	}
	return h, nil
}

// newRoute is a rule in use.
func (h *Cache) newRoute(rule Rule, space *forebay.Space[*response]) *route {
	rt := &route{Rule: rule, ruled: true, ttl: rule.TTL, space: space, class: space.Class(), prefix: space.Key("")}
	if rt.ttl == 0 && rule.Class != "" {
		rt.ttl = rt.class.TTL
	}
	rt.keyed = keyedFields(h.options.Profile.keyed(), slices.Concat(rule.Headers, h.options.Relayed)...)
	if rule.Cookies != nil {
		rt.keyed = append(rt.keyed, "Cookie")
	}
	if rule.BodyKey != nil {
		for _, one := range rule.BodyKey.Ignore {
			rt.ignore = append(rt.ignore, canon.ParsePath(one))
		}
	}
	if rule.Preflights {
		rt.preflight = &route{Rule: rule, ruled: true, isFlight: true, ttl: rt.ttl, space: space, class: rt.class, prefix: rt.prefix}
		rt.preflight.keyed = keyedFields([]string{"Via"}, slices.Concat(preflightFields, h.options.Relayed)...)
		h.finish(rt.preflight)
	}
	h.finish(rt)
	return rt
}

// finish decides what follows from a route's fields.
func (h *Cache) finish(rt *route) {
	rt.off = h.cache.Off()
	h.decidePassages(rt)
	rt.mark(h.options.Profile)
}

// mark tells the keys of a rule from those of the same route under another rule, of this process or of one that was
// configured otherwise: what a key says would mean something else.
func (rt *route) mark(p Profile) {
	text := fmt.Sprintf("%s %q %t %t %t", p, rt.keyed, rt.Shared, rt.Override, rt.isFlight)
	if rt.BodyKey != nil {
		text += fmt.Sprintf(" %q %t", rt.BodyKey.Ignore, rt.BodyKey.GraphQL)
	}
	sum := sha256.Sum256([]byte(text))
	rt.print = sum[:8]
}

// spaces are those of the classes. A cache and the one that takes its place have them in common.
type spaces struct {
	mu sync.Mutex // guards by
	by map[string]*forebay.Space[*response]
}

func (s *spaces) open(c *forebay.Cache, class string) (*forebay.Space[*response], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.by[class]; one != nil {
		return one, nil
	}
	one, err := forebay.OpenSpace(c, class+"/http", (*response).size)
	if err == nil {
		s.by[class] = one
	}
	return one, err
}

// register turns the mux's panic on a bad pattern into an error.
func register(mux *http.ServeMux, rt *route) (err error) {
	defer func() {
		if p := recover(); p != nil {
			text, _, _ := strings.Cut(fmt.Sprint(p), " (registered at ") // places in this program's source
			err = fmt.Errorf("Match: %s: another rule's pattern is the same, or matches some of the same requests and neither is more specific", text)
		}
	}()
	mux.Handle(rt.Match, rt)
	return nil
}

// route returns the rule of a request.
func (h *Cache) route(r *http.Request) *route {
	if len(h.options.Rules) == 0 {
		return h.other
	}
	if r.Method == http.MethodOptions && isPreflight(r) {
		if rt := h.preflightOf(r); rt != nil {
			return rt
		}
	}
	found, _ := h.mux.Handler(r)
	if rt, ok := found.(*route); ok {
		return rt
	}
	return h.other
}

// Rule returns the pattern of a request's rule and its class; empty where none matches.
func (h *Cache) Rule(r *http.Request) (rule, class string) {
	if rt := h.route(r); rt.ruled {
		return rt.Match, rt.class.Name
	}
	return "", ""
}

// Limits are the bounds of the cache itself, and how far they are used.
func (h *Cache) Limits() []forebay.Limit { return []forebay.Limit{h.bodies.limit()} }

// Handler returns a handler that answers from the cache, and calls next for what it does not have.
// next is called with a context of its own: several callers may wait for one answer.
func (h *Cache) Handler(next http.Handler) http.Handler {
	return &handler{Cache: h, next: next}
}
