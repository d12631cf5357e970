package gateway

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/internal/lane"
)

// repeats offers hits to the lane in front (package lane), which then answers the same request itself: as long as the
// configuration is the same, and for peers that are believed as much of their clients as the one that it was for. nil: what
// stands around the cache has a part in each answer.
func (f *front) repeats(g *Gateway) func(*http.Request, *httpcache.Repeat) {
	if f.config.RequestIDs || f.config.CDN != nil {
		return nil
	}
	return func(r *http.Request, again *httpcache.Repeat) {
		if isChild(r) || f.auth != nil && f.auth.asks(r) != nil {
			return
		}
		relayed, _ := r.Context().Value(relayKey{}).(*onBehalf)
		lane.Offer(r, repeat{again, g, f, relayed != nil})
	}
}

// A repeat is a hit that the lane may give again.
type repeat struct {
	*httpcache.Repeat
	g       *Gateway
	of      *front
	trusted bool // the peer may say who its client is
}

// Next implements [lane.Again].
func (p repeat) Next(from netip.Addr, now time.Time) (lane.Next, bool) {
	if p.g.front.Load() != p.of || trusts(p.of.config.Trusted, from) != p.trusted {
		return lane.Next{}, false
	}
	next, ok := p.Repeat.Next(now)
	return lane.Next(next), ok
}

// Count implements [lane.Again].
func (p repeat) Count(n lane.Next) { p.Repeat.Count(httpcache.Repeated(n)) }

// Reads implements [lane.Again]. Claims of the client are taken off before anything reads them.
func (p repeat) Reads(name string) bool { return !isClaim(name) && p.Repeat.Reads(name) }
