package httpcache

import "time"

// An action is what is done with a request.
type action uint8

const (
	serve         action = iota // what is stored
	serveAndLoad                // what is stored, and load behind
	load                        // ask the origin, conditionally if what is stored can be validated
	unsatisfiable               // only-if-cached, and nothing may be served: 504
)

// A decision is what may be done with what is stored, and why.
type decision struct {
	action action
	why    missReason
	stale  bool          // what is served is
	forced bool          // it is fresh, and the client alone wants another
	age    time.Duration // of what is stored
	left   time.Duration // until it is stale; negative since it is

	// onError: what is stored may be served if the origin cannot be reached, …
	onError bool
	// … and also if it answers with a server error.
	onStatus bool
}

// A terms is what a stored response says about its reuse.
type terms struct {
	times
	noCache              bool          // not without validation (section 5.2.2.4)
	mustRevalidate       bool          // nor when it is stale (sections 5.2.2.2, 5.2.2.8, 5.2.2.10)
	immutable            bool          // RFC 8246
	staleWhileRevalidate time.Duration // RFC 5861, section 3
	staleIfError         time.Duration // RFC 5861, section 4: for server errors too, …
	staleIfAway          time.Duration // … and where the origin cannot be reached (RFC 9111, section 4.2.4)
}

// decide says what may be done for a request with what is stored for it: nil if there is nothing.
// invalidated: somebody asked for it to be expired. It is pure.
func decide(req directives, stored *terms, invalidated bool, now time.Time) decision {
	if stored == nil {
		return orUnsatisfiable(req, decision{why: uriMiss})
	}
	d := decision{age: stored.age(now), left: stored.left(now)}
	if invalidated {
		d.left = min(d.left, 0)
	}
	staleFor := max(-d.left, 0)
	mayBeStale := !stored.mustRevalidate && !stored.noCache
	d.onStatus = mayBeStale && (staleFor < stored.staleIfError || req.staleIfError.set && staleFor < req.staleIfError.d)
	d.onError = d.onStatus || mayBeStale && staleFor < stored.staleIfAway
	wantsFresh := wantsValidation(req, stored, d.age)
	switch {
	case req.noStore:
		d.why = byRequest
		d.onError, d.onStatus = false, false
	case stored.noCache:
		d.why = isStale
	case wantsFresh, d.left > 0 && req.minFresh.set && d.left < req.minFresh.d:
		d.why = byRequest
		d.forced = d.left > 0 && (req.noCache || req.maxAge.set && req.maxAge.d == 0)
	case d.left > 0:
		return d
	case mayBeStale && !invalidated && req.maxStale.set && staleFor <= req.maxStale.d:
		d.stale = true
		return d
	case mayBeStale && staleFor < stored.staleWhileRevalidate && !req.minFresh.set && !req.onlyIfCached:
		d.action, d.stale, d.why = serveAndLoad, true, isStale
		return d
	case invalidated:
		d.why = isInvalidated
	default:
		d.why = isStale
	}
	return orUnsatisfiable(req, d)
}

// wantsValidation reports whether the client refuses what it could have for its age alone. A reload
// does not refuse what never changes (RFC 8246, section 2).
func wantsValidation(req directives, stored *terms, age time.Duration) bool {
	if req.noCache {
		return true
	}
	if req.maxAge.set && req.maxAge.d == 0 {
		return !stored.immutable
	}
	return req.maxAge.set && age > req.maxAge.d
}

func orUnsatisfiable(req directives, d decision) decision {
	d.action = load
	if req.onlyIfCached {
		d.action = unsatisfiable
	}
	return d
}
