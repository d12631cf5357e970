package httpcache

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/forebay-cache/forebay"
)

// head is called with the final status: the response is published, and read while its body grows.
func (x *exchange) head(status int) {
	now := time.Now()
	switch {
	case status < 200 || status > 999:
		x.failed = &statusError{status}
		return
	case status == http.StatusNotModified && x.conditional:
		x.freshen(now)
		return
	case status >= 500 && x.why.onStatus:
		x.failed = &statusError{status}
		return
	case x.continued && !x.continues(status):
		x.failed = errNotTheRest
		return
	}
	x.length = announced(x.header)
	d := responseDirectives(x.header, x.h.targets)
	v := judge(x.h.options.Profile, x.ask, status, x.header, d, now)
	r := x.received(status, d, v, now)
	if x.why.forced {
		r.reloads = x.found.response.reloads.more(now)
	}
	x.response, x.keep = r, v.keep && x.worthStoring(r, now)
	if !x.place(r) || x.ask.r.Method == http.MethodHead {
		x.keep = false
	}
	why := v.why
	if beyond := x.bound(r); beyond != "" {
		x.keep, v.lasting, why = false, true, beyond
	}
	if x.keep && r.events {
		x.events = newEventCheck(x.ask.route.Events)
	}
	kept := x.keep
	if !x.fillBody(r) && kept {
		why = noRoom
		x.h.bodies.refused.Add(1)
	}
	r.shareable = v.share && (!v.keep || x.keep || x.ask.r.Method == http.MethodHead)
	if !x.keep {
		r.unstored = cmp.Or(why, tooLarge)
		x.ask.route.space.CountNotStored(string(r.unstored))
	}
	x.tell(r, v, now)
}

// bound gives the response its tags, and says which bound it is beyond, if any.
func (x *exchange) bound(r *response) notStored {
	tags, few := tagsOf(x.ask.r, x.header)
	switch r.tags = tags; {
	case !few:
		r.tags = tags[:maxTags]
		return tooManyTags
	case x.keep && x.length > int64(x.h.options.MaxBody):
		return tooLarge
	}
	return ""
}

// received is a response with the fields that go on.
func (x *exchange) received(status int, d directives, v verdict, now time.Time) *response {
	on, control := x.h.split(x.header)
	if on["Date"] == nil {
		on["Date"] = []string{now.UTC().Format(http.TimeFormat)}
	}
	r := &response{status: status, header: on, control: control, events: isEvents(on)}
	r.terms = termsOf(x.h.options.Profile, x.ask, on, d, v.lifetime, x.asked, now)
	r.vary = x.selecting(on)
	r.selected = x.h.selectedBy(r.vary, x.ask)
	return r
}

// selecting are the names of the fields that choose a response: what it varies on, what others of its
// URI are known to vary on, so that one that says nothing does not take their place (RFC 9111, section
// 4.1), and Accept-Encoding where it is encoded: else a client gets a coding that it refuses.
func (x *exchange) selecting(h http.Header) []string {
	names, _ := varyNames(h["Vary"])
	if h["Content-Encoding"] != nil && !slices.Contains(names, "Accept-Encoding") {
		names = append(names, "Accept-Encoding")
	}
	if x.found.index != nil && len(x.found.index.vary) <= maxSelecting {
		names = append(names, x.found.index.vary...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// maxSelecting bounds the names that one URI's responses are chosen by together.
const maxSelecting = 16

// tell lets everybody know that there is a head.
func (x *exchange) tell(r *response, v verdict, now time.Time) {
	if v.unsaid && x.h.options.Uncached != nil {
		x.h.options.Uncached(x.ask.r)
	}
	if v.lasting && !x.keep && x.ask.r.Method != http.MethodHead && (x.found.response == nil || !x.worthStoring(x.found.response, now)) {
		x.markUncacheable(cmp.Or(v.why, tooLarge)) // a refusal says nothing of what is stored for others
	}
	if x.ask.r.Method == http.MethodHead {
		x.updateByHead() // all there is has come
	}
	x.touched = now
	x.fill.Publish(r, r.tags...)
	switch {
	case x.ask.r.Method == http.MethodHead || !bodyAllowed(r.status):
	case !x.keep:
		x.fill.Detach() // a newcomer gets an answer of its own, from its first byte
	case r.events && x.early != nil:
		x.fill.Release()                                  // it may go on forever, …
		r.body.whenUnreadFor(abandonedFor, x.fill.Cancel) // … if anybody reads it
	}
	if x.delivery == nil {
		return
	}
	if x.length > 0 && x.length <= short && !r.events {
		x.hasHead.Store(true)
		x.watch.Reset(flushAfter)
		return
	}
	x.delivery.startAsync()
}

// short is a body that very likely comes with its head: then the client has both at once.
const short = 16 << 10

// fillBody gives the response the body that Write writes to. Without room for it the answer passes: that
// is no news of the next one.
func (x *exchange) fillBody(r *response) (room bool) {
	r.body = newBody(x.window())
	r.body.budget = x.h.bodies
	if x.keep && !r.body.reserve(max(x.length, 0)) {
		x.keep = false
		r.body.limit = x.window()
	}
	room = x.keep
	if x.keep {
		r.body.grow(x.length)
	}
	r.storing = x.keep
	r.body.data = append(r.body.data, x.before...)
	r.body.served = x.early == nil
	if !x.keep {
		r.body.whenUnread(x.fill.Cancel)
		r.body.firstReadWithin(patience)
	}
	return room
}

// worthStoring reports whether storing a response could serve anybody.
func (x *exchange) worthStoring(r *response, now time.Time) bool {
	return r.left(now) > 0 || r.validator() || max(r.staleWhileRevalidate, r.staleIfError) > max(-r.left(now), 0)
}

// markLife is how long a URI is remembered as one whose responses are not kept.
const markLife = 30 * time.Second

// window is how much of a body stays in memory.
func (x *exchange) window() int {
	if x.keep {
		return x.h.options.MaxBody
	}
	return min(passWindow, x.h.options.MaxBody)
}

// passWindow is how much of a body that will not be stored is held for its reader.
const passWindow = 32 << 10

// announced is the length that the response announces, or -1.
func announced(h http.Header) int64 {
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 63); err == nil {
		return n
	}
	return -1
}

// markUncacheable remembers that the responses of this URI are not kept.
func (x *exchange) markUncacheable(why notStored) {
	x.fill.CommitAs(x.found.key, &response{kind: passing, unstored: why}, forebay.Keep{TTL: markLife, Stale: -1, StaleIfError: -1, NearOnly: true})
}

// abandonStoring gives up storing a body that outgrew what is kept: it goes on as a window, and as a stream of
// its readers.
func (x *exchange) abandonStoring(why notStored) {
	x.keep = false
	x.ask.route.space.CountNotStored(string(why))
	if why == noRoom {
		x.h.bodies.refused.Add(1)
	} else {
		x.markUncacheable(why)
	}
	x.response.body.narrow(x.window())
	x.response.body.whenUnread(x.fill.Cancel)
	x.response.body.firstReadWithin(patience)
	x.fill.Detach()
}
