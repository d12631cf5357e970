package gateway

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/edge"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/relay"
	"github.com/goccy/go-yaml/ast"
)

// cdn reads which CDN stands above.
func (d *decoder) cdn(n ast.Node, c *Config) {
	to := &CDN{TokenEnv: "CDN_TOKEN"}
	d.mapping(n, fields{
		"vendor": func(n ast.Node) { d.oneOf(n, &to.Vendor, "cloudflare", "fastly", "cloudfront", "none") },
		"zone":   d.text(&to.Zone), "token_env": d.text(&to.TokenEnv), "api": d.text(&to.API), "settle": d.duration(&to.Settle),
		"probe": func(n ast.Node) {
			d.text(&to.Probe)(n)
			if _, err := edge.NewProbe(to.Probe, nil); err != nil {
				d.wrong(n, "%s", err)
			}
		},
		"per_minute": func(n ast.Node) {
			if to.PerMinute = d.integer(n); to.PerMinute < 1 {
				d.wrong(n, "per_minute is a number above 0, not %s", n)
			}
		},
	})
	switch {
	case to.Vendor == "":
		d.wrong(n, "cdn needs a vendor: cloudflare, fastly, cloudfront or none")
	case to.Vendor != "none" && to.Zone == "":
		d.wrong(n, "cdn needs the zone that is purged: %s's own name of it", to.Vendor)
	}
	c.CDN = to
}

// An outerCache is the CDN above, as responses are told of it.
type outerCache struct {
	profile edge.Profile
	settle  time.Duration
	logger  *slog.Logger
	said    atomic.Int64 // when it was said last that there are too many tags: seconds since 1970
}

// sayOverflow says now and then that a response has more tags than the CDN takes. Nothing is lost: it goes with each purge.
func (o *outerCache) sayOverflow(s *httpcache.Served) {
	if now, last := time.Now().Unix(), o.said.Load(); now-last >= 60 && o.said.CompareAndSwap(last, now) {
		o.logger.Warn("edge: tags-overflow: a response has more tags than the CDN takes, and is purged with every tag: give it fewer",
			"route", s.Rule, "class", s.Class.Name, "tags", len(s.Tags))
	}
}

// openEdge opens what follows invalidations beyond this node.
func (g *Gateway) openEdge(ctx context.Context, o Options) (err error) {
	eo := edge.Options{Cache: g.cache, Logger: o.Logger}
	if o.CDN != nil {
		profile, err := edge.ProfileOf(o.CDN.Vendor)
		if err != nil {
			return err
		}
		g.outer = &outerCache{profile: profile, settle: cmp.Or(o.CDN.Settle, time.Second), logger: g.options.Logger}
		eo.Purger, eo.Vendor, eo.Settle = o.Purger, o.CDN.Vendor, g.outer.settle
		if o.CDN.Probe != "" && o.Purger != nil {
			if eo.Probe, err = edge.NewProbe(o.CDN.Probe, g); err != nil {
				return err
			}
		}
	}
	g.edge = edge.Open(ctx, eo)
	if o.Children && o.Shared != nil && o.Token != "" {
		g.relay = relay.NewServer(o.Shared, o.Token)
	}
	return nil
}

// Edge follows invalidations beyond this node, to the CDN above if there is one.
func (g *Gateway) Edge() *edge.Queue { return g.edge }

// serve answers through a writer that tells the CDN what it may keep: nothing, unless the cache says so. What the
// origin says to CDNs ends here.
func (o *outerCache) serve(g *Gateway, w http.ResponseWriter, r *http.Request) {
	t := &telling{ResponseWriter: w, fields: o.fields}
	number, begun := g.cache.Number(), time.Now()
	g.front.Load().handler.ServeHTTP(t, r)
	if t.kept == nil || time.Since(begun) < o.settle/2 {
		return
	}
	// It may have been invalidated on its way, and the CDN may store it after both purges.
	if k := t.kept; g.cache.InvalidatedSince(number, k.Key, k.Class.Name, k.Tags) {
		g.edge.Late(context.WithoutCancel(r.Context()), k.Key)
	}
}

// fields tells the CDN what it may keep. A strict class promises that what was invalidated is gone at once: no CDN does.
func (o *outerCache) fields(h http.Header, may *httpcache.Served, status int) (keeps bool) {
	if may == nil || may.Class.Strict || status == http.StatusPartialContent || status == http.StatusRequestedRangeNotSatisfiable || status >= 500 {
		o.profile.Refuse(h)
		return false
	}
	if !o.profile.Keep(h, edge.Response{Class: may.Class.Name, Key: may.Key, Tags: may.Tags, Vary: may.Vary, Lifetime: may.Lifetime}) {
		o.sayOverflow(may)
	}
	return true
}
