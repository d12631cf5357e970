package httpcache

import (
	"net/http"
	"slices"
	"time"

	"github.com/forebay-cache/forebay"
)

// A Repeat is an answer from the near tier, which the same request gets again for as long as what it was made of is there
// and fresh. It holds no body. See [Options.Repeats].
type Repeat struct {
	space  *forebay.Space[*response]
	made   []place // of what: the response first
	coding bool    // the body is that of the last place
	length int     // of the answer that is being given; -1: it has no body
	route  *route
	vary   []string
}

// A place is where something is stored, and since when.
type place struct {
	key   string
	since time.Duration
}

// Next returns the answer of now. ok is false where the cache has to be asked.
func (p *Repeat) Next(now time.Time) (next Repeated, ok bool) {
	var r *response
	for i := range p.made {
		one, ok := p.space.Ready(p.made[i].key, now)
		if !ok || one.Since != p.made[i].since {
			return Repeated{}, false
		}
		switch {
		case i == 0:
			r, next.Spared = one.Value, one.LoadTime
			left := r.left(now)
			if left <= 0 {
				return Repeated{}, false
			}
			next.Age, next.TTL = int64(r.age(now)/time.Second), int64(left/time.Second)
		case p.coding && i == len(p.made)-1:
			r = one.Value
		}
	}
	if p.length >= 0 {
		next.Body, _, _ = r.body.complete()
	}
	return next, true
}

// Repeated is what of an answer is read, or changes. Age and TTL are in seconds.
type Repeated struct {
	Body     []byte
	Age, TTL int64
	Spared   time.Duration // the load that it took once
}

// Count counts a request that was answered so.
func (p *Repeat) Count(next Repeated) {
	p.space.Count(forebay.Outcome{Status: forebay.Hit, Tier: forebay.TierNear, LoadTime: next.Spared})
}

// Length is that of the answer's body; -1 where it has none.
func (p *Repeat) Length() int { return p.length }

// Reads reports whether the answer depends on a field of the request that says nothing to caches, in its canonical form.
func (p *Repeat) Reads(name string) bool {
	switch p.route.passage(name) {
	case byKey, asCredential:
		return true
	case byVary:
		return slices.Contains(p.vary, name)
	}
	return false
}

// repeatOf returns what can be given again of a hit: an answer to a plain request, of a whole response that was found near,
// is fresh, and says nothing of its own time but its age. nil: it cannot.
func (h *handler) repeatOf(a *ask, f *found, d decision) *Repeat {
	r := f.response
	if h.options.Repeats == nil || d.action != serve || d.stale || f.Use != forebay.UseFresh || f.Tier != forebay.TierNear || f.Unconfirmed ||
		a.seen&(wish|precondition|upgrading|repeated) != 0 || a.r.ContentLength != 0 || a.r.Header["Range"] != nil || a.encoding ||
		a.r.Method != http.MethodGet && a.r.Method != http.MethodHead || r.kind != whole || r.incremental() || r.header["Date"] == nil {
		return nil
	}
	p := &Repeat{space: a.route.space, made: []place{{f.key, f.Since()}}, route: a.route, vary: r.vary}
	if f.index != nil {
		p.made = append(p.made, place{a.key, f.indexSince})
	}
	if a.form != nil {
		p.made, p.coding = append(p.made, a.formPlace), true
	}
	return p
}

// tellRepeat tells who wants to know that the answer which is about to be sent can be given again.
func (h *handler) tellRepeat(a *ask, r *response, b *body, unmodified bool) {
	p := a.repeat
	if p == nil {
		return
	}
	data, trailer, isWhole := b.complete()
	if !isWhole || len(trailer) > 0 || len(data) > smallBody { // beyond that a budget counts them
		return
	}
	p.length = len(data)
	if unmodified || a.r.Method == http.MethodHead || !bodyAllowed(r.status) {
		p.length = -1
	}
	h.options.Repeats(a.r, p)
}
