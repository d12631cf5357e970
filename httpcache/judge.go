package httpcache

import (
	"net/http"
	"time"
)

// A verdict is what may be done with an answer of the origin. Every answer is judged here, whether it
// comes as a 200, as a 304 that brings new fields, as a part or as an error.
type verdict struct {
	keep     bool          // it may be stored, …
	lifetime time.Duration // … and is fresh for so long
	share    bool          // those that wait for it may have it
	why      notStored     // it is not stored
	lasting  bool          // the next answer will very likely be refused too: nobody need wait for it
	unsaid   bool          // nobody said for how long
}

// judge says whether the answer to a request may be stored (RFC 9111, section 3), and shared. It is pure.
func judge(p Profile, a *ask, status int, h http.Header, d directives, arrived time.Time) verdict {
	if v, refused := judgeSharing(p, a, status, h, d); refused {
		return v
	}
	if a.route.isFlight {
		return judgePreflight(a, status, h)
	}
	if lifetime := a.route.ttlOf(status); lifetime > 0 {
		if said, explicit := freshFor(h, d, arrived); explicit {
			lifetime = min(lifetime, said)
		}
		return verdict{keep: lifetime > 0, share: true, lifetime: lifetime, why: anError}
	}
	if p == Safe && status >= 400 {
		return verdict{why: anError, share: true}
	}
	if overrides(a, status) {
		return verdict{keep: true, share: true, lifetime: a.route.ttl}
	}
	return judgeFreshness(a, status, h, d, arrived)
}

// ttlOf is how long the rule keeps a status of its own; 0: it says nothing of it.
func (rt *route) ttlOf(status int) time.Duration {
	if ttl := rt.TTLByStatus[status]; ttl > 0 {
		return ttl
	}
	if status == http.StatusNotFound {
		return max(rt.NotFound, 0)
	}
	return 0
}

// overrides reports whether the rule decides, whatever the origin says.
func overrides(a *ask, status int) bool {
	return a.route.Override && a.route.ttl > 0 && status == http.StatusOK
}

// judgeSharing refuses what is meant for one caller alone.
func judgeSharing(p Profile, a *ask, status int, h http.Header, d directives) (v verdict, refused bool) {
	refuse := func(why notStored) (verdict, bool) { return verdict{why: why}, true }
	// An error says little of the next answer.
	lasting := func(why notStored) (verdict, bool) { return verdict{why: why, lasting: p == RFC || status < 400}, true }
	switch {
	case a.left:
		return refuse(leftAlone)
	case a.directives.noStore:
		return refuse(requestNoStore)
	case status == http.StatusNotModified:
		return refuse(notModified)
	case p == Safe && h["Set-Cookie"] != nil:
		return lasting(setsCookie)
	case overrides(a, status):
		return verdict{}, false
	case d.mustUnderstand && !understood(status):
		return lasting(notUnderstood)
	case d.noStore && !d.mustUnderstand:
		return lasting(saysNoStore)
	case d.private:
		return lasting(saysPrivate)
	case a.credential == "" && a.r.Header["Authorization"] != nil && !(d.public || d.mustRevalidate || d.sMaxAge.set):
		return refuse(hasCredentials) // section 3.5
	}
	if _, any := varyNames(h["Vary"]); any {
		return lasting(variesOnAll)
	}
	return verdict{}, false
}

// judgeFreshness says for how long: as the response says, else as the rule says, else by heuristics.
func judgeFreshness(a *ask, status int, h http.Header, d directives, arrived time.Time) verdict {
	lifetime, explicit := freshFor(h, d, arrived)
	validator := h["Etag"] != nil || h["Last-Modified"] != nil
	switch {
	case explicit:
	case d.noCache && len(d.noCacheFields) == 0:
	case a.route.ttl > 0 && status == http.StatusOK:
		lifetime = a.route.ttl
	case heuristicallyCacheable(status) || d.public:
		lifetime = heuristicallyFreshFor(h, arrived)
	default:
		return verdict{why: otherStatus, lasting: true}
	}
	if d.noCache {
		lifetime = 0
	}
	useful := lifetime > 0 || validator || d.staleWhileRevalidate.d > 0 || d.staleIfError.d > 0
	if !useful {
		return verdict{why: noFreshness, lasting: true, unsaid: !explicit && !d.anything && status == http.StatusOK}
	}
	return verdict{keep: true, share: true, lifetime: lifetime}
}

// controlFields speak to caches in front of the origin, and end at the last one ([Options.KeepControl]).
var controlFields = []string{targetName, TagsField, "Surrogate-Control", "Surrogate-Key", "Cache-Tag"}

// split parts a response's fields: those that go on, and those that speak to this cache. The lines are
// shared.
func (h *Cache) split(fields http.Header) (on, control http.Header) {
	on = endToEnd(fields)
	for _, name := range controlFields {
		lines := on[name]
		if lines == nil {
			continue
		}
		if control == nil {
			control = make(http.Header, 1)
		}
		control[name] = lines
		if !h.options.KeepControl {
			delete(on, name)
		}
	}
	return on, control
}

// said is everything that the origin said of a response.
func (r *response) said() http.Header {
	if r.control == nil {
		return r.header
	}
	all := cloneFields(r.header)
	for name, lines := range r.control {
		all[name] = lines
	}
	return all
}

// headerOnly are the fields that have no place behind a body (RFC 9110, section 6.5.1).
var headerOnly = set("Age", "Authorization", "Cache-Control", "Content-Encoding", "Content-Length", "Content-Location", "Content-Range",
	"Content-Type", "Cookie", "Date", "Etag", "Expect", "Expires", "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range",
	"If-Unmodified-Since", "Last-Modified", "Location", "Max-Forwards", "Pragma", "Proxy-Authenticate", "Range", "Retry-After",
	"Set-Cookie", "Vary", "Warning", "Www-Authenticate")

// HeaderOnly reports whether a field, in its canonical form, may not stand behind a body: because it
// frames, routes, authenticates or controls.
func HeaderOnly(name string) bool {
	return headerOnly[name] || hopByHop[name] || !isToken(name)
}
