// Package gateway is a caching reverse proxy in front of one HTTP API: the HTTP cache of package
// httpcache, configured by a file, and the way to the origin.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/edge"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/relay"
	"github.com/forebay-cache/forebay/shared"
)

// Options configure [Open].
type Options struct {
	Config
	NearBytes int64        // default: the library's
	Shared    shared.Tier  // the tier that nodes share; the gateway does not close it. Default: none
	Journal   string       // file of the invalidations that the log does not have yet; default: memory
	Secret    []byte       // keys the hashes of credentials; nodes that share a tier need the same
	Keys      [][]byte     // see forebay.Options.Keys; default: Secret; empty: none
	Token     string       // that gateways of one deployment show each other (relay.Token), as parent and child; empty: nobody is a child
	Purger    edge.Purger  // purges the CDN above; nil: nobody does
	Logger    *slog.Logger // default slog.Default()
}

// A Gateway answers for its origin. Its methods are safe for concurrent use.
type Gateway struct {
	options   Options // but for the configuration
	pseudonym string
	cache     *forebay.Cache
	decisions *decisions
	outer     *outerCache // nil: there is no CDN above
	edge      *edge.Queue
	token     string
	relay     *relay.Server // nil: nobody is a child

	reload sync.Mutex // one at a time
	front  atomic.Pointer[front]
}

// Open opens the cache and the way to the origin. It asks the origin nothing yet.
func Open(ctx context.Context, o Options) (*Gateway, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	cache, err := forebay.Open(ctx, forebay.Options{
		Classes: o.classes(), NearBytes: o.NearBytes, Shared: o.Shared, Journal: o.Journal, Secret: o.Secret, Keys: o.Keys, Encrypt: o.Encrypt, Logger: o.Logger,
		Caller: func(context.Context) string { return "" }, // httpcache names callers by their credentials
	})
	if err != nil {
		return nil, err
	}
	g := &Gateway{options: o, pseudonym: newPseudonym(), cache: cache, decisions: newDecisions(cache, o.Secret), token: o.Token}
	f, err := g.newFront(o.Config, nil)
	if err != nil {
		return nil, errors.Join(err, cache.Close())
	}
	g.front.Store(f)
	if err := g.openEdge(ctx, o); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// allows bounds what each client may ask for; nil: there is no bound.
func allows(clients *perClient) func(*http.Request) bool {
	if clients.each <= 0 {
		return nil
	}
	return func(r *http.Request) bool {
		relayed, _ := r.Context().Value(relayKey{}).(*onBehalf)
		return isChild(r) || clients.allow(clientOf(r, relayed))
	}
}

// otherClass is the class of what no rule names. It does not bound the loads: the gateway must not be
// slower than its origin for what it does not cache.
const otherClass = "http"

func (c Config) classes() []forebay.Class {
	for _, class := range c.Classes {
		if class.Name == otherClass {
			return c.Classes
		}
	}
	return append(c.Classes[:len(c.Classes):len(c.Classes)], forebay.Class{Name: otherClass, MaxLoads: -1})
}

// ServeHTTP answers from the cache or from the origin.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if (r.Header[relay.TokenField] != nil || r.Header[placeField] != nil || r.URL.Path == relay.Path) && g.serveChildren(w, r) {
		return
	}
	if g.outer != nil {
		g.outer.serve(g, w, r)
		return
	}
	g.front.Load().handler.ServeHTTP(w, r)
}

// Cache is the gateway's cache.
func (g *Gateway) Cache() *forebay.Cache { return g.cache }

// Advice lists the routes that answer without saying for how long, most frequent first, each with the
// flag that would cache it.
func (g *Gateway) Advice() []Advice { return g.front.Load().advice.list() }

// bodiesOfNear is the part of the near tier's bound that bodies under way may take beside it.
const bodiesOfNear = 4

// Refused counts a request that the listener refused before it was one.
func (g *Gateway) Refused(reason string) { g.front.Load().http.Refused(reason) }

// RefuseFraming answers a request of HTTP/1 that says twice how long it is (RFC 9112, section 6.3).
func (g *Gateway) RefuseFraming(w http.ResponseWriter, r *http.Request) {
	g.front.Load().http.Refuse(w, r, http.StatusBadRequest, "framing", "the request has both Content-Length and Transfer-Encoding, or a coding that its version does not have")
}

// MaxConnections is how many connections of clients the listener in front should let be open.
func (g *Gateway) MaxConnections() int {
	return g.front.Load().config.Limits.withDefaults().Connections
}

// Config is the configuration in use.
func (g *Gateway) Config() Config { return g.front.Load().config }

// Trusts reports whether a peer is one of the proxies that may say who the client is.
func (g *Gateway) Trusts(addr netip.Addr) bool {
	return trusts(g.front.Load().config.Trusted, addr)
}

// Files are those that the configuration in use names, besides its own.
func (g *Gateway) Files() (out []string) {
	c := g.front.Load().config
	for _, u := range c.Upstreams {
		out = append(out, u.TLS.CA, u.TLS.Cert, u.TLS.Key)
	}
	out = append(out, c.Listen.Cert, c.Listen.Key)
	return slices.DeleteFunc(out, func(name string) bool { return name == "" })
}

// MayBeEarly reports whether a request does no harm if it is sent twice: it is answered by what this node holds for everybody
// (RFC 8470).
func (g *Gateway) MayBeEarly(r *http.Request) bool {
	f := g.front.Load()
	return (f.mcp == nil || f.mcp.handlers[r.URL.Path] == nil) && f.http.HeldForAll(r)
}

// Explain says what the gateway makes of a request of a client now, without asking the origin.
func (g *Gateway) Explain(r *http.Request) httpcache.Explanation {
	out := r.Clone(r.Context())
	out.Header, _ = withoutClaims(r.Header)
	f := g.front.Load()
	if f.mcp != nil && f.mcp.handlers[out.URL.Path] != nil {
		if e, ok := f.mcp.explain(out, g.cache); ok {
			return e
		}
	}
	return f.http.Explain(out)
}

// Rule returns the pattern of a request's rule and its class; empty where none matches.
func (g *Gateway) Rule(r *http.Request) (rule, class string) { return g.front.Load().http.Rule(r) }

// URITag is the tag of what is stored of a URL, all variants and callers.
func (g *Gateway) URITag(u *url.URL) string { return g.front.Load().http.URITag(u) }

// Limits are the gateway's bounds, and how far they are used.
func (g *Gateway) Limits() []forebay.Limit {
	f := g.front.Load()
	out := append(f.http.Limits(), f.origins.main.requests.limit(), f.origins.main.streams.limit())
	for _, name := range slices.Sorted(maps.Keys(f.origins.by)) {
		if o := f.origins.by[name]; o != f.origins.main {
			out = append(out, o.requests.limit(), o.streams.limit())
		}
	}
	return out
}

// Close ends the cache, then the connections to the origin. It is safe to call twice.
func (g *Gateway) Close() error {
	var err error
	if g.edge != nil {
		err = g.edge.Close()
	}
	if g.relay != nil {
		err = errors.Join(err, g.relay.Close())
	}
	err = errors.Join(err, g.cache.Close())
	g.reload.Lock()
	defer g.reload.Unlock()
	g.front.Load().origins.closeBut(nil)
	return err
}
