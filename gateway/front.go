package gateway

import (
	"net/http"
	"reflect"
	"slices"

	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/mcpcache"
)

// A front is one configuration in use: everything between a request and the tiers, which outlive it.
type front struct {
	config  Config
	http    *httpcache.Cache
	handler http.Handler
	origins *origins
	advice  *advice
	mcp     *mcpFront       // nil: there is no rule for MCP
	mcpAny  *mcpcache.Cache // nil: there has never been one
	auth    *authFront      // nil: nobody is asked

	changes, misses *perClient
}

// newFront prepares a configuration, with what it has in common with the one before it; nil: it is the first.
func (g *Gateway) newFront(c Config, before *front) (*front, error) {
	f, o := &front{config: c}, g.options
	var earlier *origins
	var replaces *httpcache.Cache
	if before != nil {
		earlier, replaces, f.mcpAny = before.origins, before.http, before.mcpAny
	}
	f.share(before, o)
	var err error
	f.origins, err = newOrigins(c, earlier, func(u Upstream) (*origin, error) {
		return newOrigin(c, u, childWay{g.token, g.cache.Place}, g.pseudonym, o.Logger)
	})
	if err != nil {
		return nil, err
	}
	f.http, err = httpcache.New(g.cache, httpcache.Options{
		Profile: c.Profile, Rules: c.Rules, Class: otherClass, IgnoreHeaders: c.Ignore, MaxBody: c.MaxBody, Uncached: f.advice.uncached, Logger: o.Logger,
		Relayed: []string{"X-Forwarded-Proto", "X-Forwarded-Host"}, KeepControl: c.KeepControl, Compression: c.compression(),
		BodyBytes: int64(g.cache.Stats().Near.MaxBytes / bodiesOfNear), MayLoad: allows(f.misses), MayChange: allows(f.changes), Replaces: replaces, Served: c.served(), Repeats: f.repeats(g),
	})
	if err == nil {
		err = f.wire(g)
	}
	if err != nil {
		f.origins.closeBut(earlier)
		return nil, err
	}
	return f, nil
}

// share takes over what goes on: what is known of clients and of routes.
func (f *front) share(before *front, o Options) {
	limits := f.config.Limits.withDefaults()
	f.advice, f.changes, f.misses = newAdvice(o.Logger), &perClient{each: limits.Changes}, &perClient{each: limits.Misses}
	if before == nil {
		return
	}
	if reflect.DeepEqual(before.config.Rules, f.config.Rules) {
		f.advice = before.advice
	}
	if before.changes.each == limits.Changes {
		f.changes = before.changes
	}
	if before.misses.each == limits.Misses {
		f.misses = before.misses
	}
}

// wire puts the handlers before one another. The rules of MCP count from here on: nothing behind them may fail.
func (f *front) wire(g *Gateway) (err error) {
	if err := g.decisions.open(f.config.Ways); err != nil {
		return err
	}
	c, next := f.config, f.http.Handler(f.advice.handler(f.origins))
	if len(c.MCP) > 0 {
		if f.mcp, err = newMCPFront(g.cache, f.mcpAny, c.MCP, f.origins, next); err != nil {
			return err
		}
		f.mcpAny, next = f.mcp.cache, f.mcp
	}
	if slices.ContainsFunc(c.Ways, func(w Way) bool { return w.Auth != nil }) {
		if f.auth, err = newAuthFront(g.decisions, f.http, c.Ways, next); err != nil {
			return err
		}
		next = f.auth
	}
	f.handler = &door{trusted: c.Trusted, pseudonym: g.pseudonym, next: next, refuse: f.http.Refuse}
	if c.RequestIDs {
		f.handler = requestIDs(f.handler)
	}
	return nil
}
