package httpcache

import (
	"net/http"
	"time"

	"github.com/forebay-cache/forebay"
)

// termsOf collects what decides about the reuse of a response.
func termsOf(p Profile, a *ask, h http.Header, d directives, lifetime time.Duration, asked, arrived time.Time) terms {
	class := a.route.class
	t := terms{
		times:   times{arrived: arrived, initialAge: initialAge(h, asked, arrived), lifetime: lifetime},
		noCache: d.noCache, immutable: d.immutable,
		mustRevalidate:       d.mustRevalidate || d.sMaxAge.set && !d.targeted,
		staleWhileRevalidate: class.Stale, staleIfAway: class.StaleIfError,
	}
	if a.route.Override {
		t.noCache, t.mustRevalidate = false, false
	}
	if p == Safe {
		t.staleIfError = class.StaleIfError
	}
	if d.staleWhileRevalidate.set {
		t.staleWhileRevalidate = d.staleWhileRevalidate.d
	}
	if d.staleIfError.set {
		t.staleIfError, t.staleIfAway = d.staleIfError.d, d.staleIfError.d
	}
	if class.Strict {
		t.staleWhileRevalidate, t.staleIfError, t.staleIfAway = 0, 0, 0
	}
	return t
}

// How long a stale response is kept for its validator: as long as it was fresh, within these.
const (
	minToValidate = time.Hour
	maxToValidate = 24 * time.Hour
)

// keepOf says how long the tiers keep a response: as long as decide can make anything of it.
func (r *response) keepOf(now time.Time) forebay.Keep {
	k := forebay.Keep{TTL: max(r.left(now), 1), Stale: -1, StaleIfError: max(r.staleWhileRevalidate, r.staleIfError, r.staleIfAway), Tags: r.tags}
	if r.noCache {
		k.TTL = 1
	}
	if r.staleWhileRevalidate > 0 {
		k.Stale = r.staleWhileRevalidate
	}
	if r.validator() {
		k.StaleIfError = max(k.StaleIfError, min(max(r.lifetime, minToValidate), maxToValidate))
	}
	if k.StaleIfError == 0 {
		k.StaleIfError = -1
	}
	return k
}

// maxTags bounds the tags of a response. One with more is not stored: a tag that was dropped would be
// an invalidation that was missed.
const maxTags = 1000
