package httpcache

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
)

// store stores a whole response under its variant's key, and, where that is a new one, the index under
// the URI's. Both carry the place in the log from before the origin was asked.
func (x *exchange) store(r *response) {
	keep := r.keepOf(time.Now())
	r = x.withoutFields(r)
	key, primary, loading := x.ask.key, x.ask.key, loadKey(x.ask, &x.found)
	if len(r.vary) > 0 {
		key = variantKey(primary, r.selected)
		names := &response{kind: index, vary: r.vary}
		always := forebay.Keep{TTL: max(indexLife, keep.TTL+keep.StaleIfError), Stale: -1, StaleIfError: -1, Tags: r.tags[:1]} // the URI's
		known := x.found.index != nil && slices.Equal(x.found.index.vary, r.vary)
		switch {
		case loading == primary:
			x.fill.CommitAs(key, r, keep)
			x.fill.Commit(names, always)
			return
		case !known:
			x.fill.CommitAs(primary, names, always)
		}
	}
	if loading == key {
		x.fill.Commit(r, keep)
		return
	}
	x.fill.CommitAs(key, r, keep)
}

// indexLife is how long it is remembered what a URI's responses vary on, at least.
const indexLife = 48 * time.Hour

// withoutFields leaves out the fields that must not be stored: those that the response names as
// private or as not to be used without validation.
func (x *exchange) withoutFields(r *response) *response {
	d := responseDirectives(r.said(), x.h.targets)
	if len(d.noCacheFields)+len(d.privateFields) == 0 {
		return r
	}
	less := r.clone()
	for _, name := range append(d.noCacheFields, d.privateFields...) {
		delete(less.header, name)
	}
	return less
}

// clone copies a response and its map of fields.
func (r *response) clone() *response {
	return &response{
		kind: r.kind, status: r.status, header: maps.Clone(r.header), control: r.control, body: r.body, vary: r.vary, selected: r.selected,
		tags: r.tags, terms: r.terms, first: r.first, of: r.of, shareable: r.shareable, storing: r.storing, events: r.events, reloads: r.reloads,
	}
}

// freshen is called when the origin says that what is stored is still the one: it gets the new fields
// and a new life (RFC 9111, section 4.3.4). What it brings is judged as a 200 with these fields would
// be; if that may not be stored, what is stored stays as it was.
func (x *exchange) freshen(now time.Time) {
	r, v := x.updated(now)
	x.response, x.keep = r, r.storing
	if r.storing {
		x.store(r)
	} else {
		x.ask.route.space.CountNotStored(string(cmp.Or(v.why, notWorthKeeping)))
	}
	x.fill.Publish(r, r.tags...)
	if !r.storing {
		x.fill.Abandon(nil)
	}
}

// updated is what is stored with the fields that the origin has just sent.
func (x *exchange) updated(now time.Time) (*response, verdict) {
	r := x.found.response.clone()
	on, control := x.h.split(x.header)
	for name, lines := range on {
		if !ofTheBody[name] && len(lines) > 0 {
			r.header[name] = lines
		}
	}
	if control != nil {
		r.control = maps.Clone(r.control)
		if r.control == nil {
			r.control = make(http.Header)
		}
		maps.Copy(r.control, control)
	}
	if on["Age"] == nil {
		delete(r.header, "Age")
	}
	if on["Date"] == nil {
		r.header["Date"] = []string{now.UTC().Format(http.TimeFormat)} // RFC 9110, section 6.6.1
	}
	said := r.said()
	d := responseDirectives(said, x.h.targets)
	v := judge(x.h.options.Profile, x.ask, r.status, said, d, now)
	r.vary = x.selecting(r.header) // it may have been said just now
	r.selected = x.h.selectedBy(r.vary, x.ask)
	var few bool
	r.tags, few = tagsOf(x.ask.r, said)
	r.terms = termsOf(x.h.options.Profile, x.ask, r.header, d, v.lifetime, x.asked, now)
	r.storing = v.keep && few && x.worthStoring(r, now)
	r.validated, r.shareable = true, v.share
	if x.why.forced {
		r.reloads = x.found.response.reloads.more(now)
	}
	return r, v
}

// ofTheBody are the fields that describe the body that is stored, not the one that was not sent (RFC
// 9111, section 3.2).
var ofTheBody = set("Content-Encoding", "Content-Length", "Content-Md5", "Content-Range", "Etag", "Content-Digest", "Repr-Digest")

// updateByHead freshens what is stored by the answer to a HEAD, if that shows that it is still the
// one; else it is stale (RFC 9111, section 4.3.5).
func (x *exchange) updateByHead() {
	old := x.found.response
	if old == nil || old.kind != whole || x.response.status != http.StatusOK {
		return
	}
	same := func(name string) bool {
		said := x.response.header[name]
		return said == nil || slices.Equal(said, old.header[name])
	}
	key := x.found.key
	if !same("Etag") || !same("Last-Modified") || !same("Vary") || x.length >= 0 && x.length != old.body.length() {
		gone := old.clone()
		gone.lifetime = 0
		x.fill.CommitAs(key, gone, gone.keepOf(time.Now()))
		return
	}
	if r, _ := x.updated(time.Now()); r.storing {
		x.fill.CommitAs(key, r, r.keepOf(time.Now()))
	}
}

// splitList yields the members of a comma-separated list.
func splitList(line string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for member := range strings.SplitSeq(line, ",") {
			if member = strings.TrimSpace(member); member != "" && !yield(member) {
				return
			}
		}
	}
}
