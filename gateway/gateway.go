// Package gateway is a caching reverse proxy in front of one HTTP API: the HTTP cache of package
// httpcache, configured by a file, and the way to the origin.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

// Options configure [Open].
type Options struct {
	Config
	NearBytes int64          // default: the library's
	Shared    forebay.Shared // the tier that nodes share; the gateway does not close it. Default: none
	Journal   string         // file of the invalidations that the log does not have yet; default: memory
	Secret    []byte         // keys the hashes of credentials; nodes that share a tier need the same
	Logger    *slog.Logger   // default slog.Default()
}

// A Gateway answers for its origin. Its methods are safe for concurrent use.
type Gateway struct {
	cache   *forebay.Cache
	handler http.Handler
	origin  *origin
	advice  *advice
}

// Open opens the cache and the way to the origin. It asks the origin nothing yet.
func Open(ctx context.Context, o Options) (*Gateway, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	to, err := newOrigin(o.Origin, o.Logger)
	if err != nil {
		return nil, err
	}
	cache, err := forebay.Open(ctx, forebay.Options{
		Classes: o.classes(), NearBytes: o.NearBytes, Shared: o.Shared, Journal: o.Journal, Secret: o.Secret, Logger: o.Logger,
		Caller: func(context.Context) string { return "" }, // httpcache names callers by their credentials
	})
	if err != nil {
		return nil, err
	}
	g := &Gateway{cache: cache, origin: to, advice: newAdvice(o.Logger)}
	h, err := httpcache.New(cache, httpcache.Options{
		Profile: o.Profile, Rules: o.Rules, Class: otherClass, IgnoreHeaders: o.Ignore, MaxBody: o.MaxBody, Uncached: g.advice.uncached, Logger: o.Logger,
	})
	if err != nil {
		return nil, errors.Join(err, cache.Close())
	}
	g.handler = withoutForwarded(h.Handler(to))
	return g, nil
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
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.handler.ServeHTTP(w, r) }

// Cache is the gateway's cache.
func (g *Gateway) Cache() *forebay.Cache { return g.cache }

// Advice lists the routes that answer without saying for how long, most frequent first, each with the
// flag that would cache it.
func (g *Gateway) Advice() []Advice { return g.advice.list() }

// Close ends the cache, then the connections to the origin. It is safe to call twice.
func (g *Gateway) Close() error {
	err := g.cache.Close()
	g.origin.close()
	return err
}

// forwarded are the fields by which proxies tell origins about clients, and by which clients lie to
// them: the gateway sets its own, and passes nobody else's on.
var forwarded = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Scheme",
	"X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Host", "X-Original-Url", "X-Original-Host", "X-Rewrite-Url",
	"X-Http-Method", "X-Http-Method-Override", "X-Method-Override"}

func withoutForwarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range forwarded {
			delete(r.Header, name)
		}
		if r.ContentLength != 0 {
			r = r.WithContext(r.Context()) // the server looks at the body of its own request
			r.Body = &patientBody{r.Body, http.NewResponseController(w)}
		}
		next.ServeHTTP(w, r)
	})
}

// bodyIdle is how long an upload may stand still. The whole of it may take as long as it likes.
const bodyIdle = time.Minute

// A patientBody gives each read of a request's body a deadline of its own.
type patientBody struct {
	body interface {
		Read([]byte) (int, error)
		Close() error
	}
	control *http.ResponseController
}

func (b *patientBody) Read(p []byte) (int, error) {
	if err := b.control.SetReadDeadline(time.Now().Add(bodyIdle)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("gateway: deadline of an upload: %w", err)
	}
	return b.body.Read(p)
}

func (b *patientBody) Close() error { return b.body.Close() }
