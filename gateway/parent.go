package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/relay"
	"github.com/forebay-cache/forebay/shared"
	"github.com/goccy/go-yaml/ast"
)

// A gateway in another region may have this one for a parent instead of an origin: its child. It shows the token of the
// deployment, and is told the class and the tags of what it may keep, so that an invalidation reaches it there; and it reads
// the log through this one (package relay).

// classField tells a child the class of a response that it may keep. What has none is for this caller alone, or cannot be
// invalidated: a child keeps nothing of it.
const classField = "Forebay-Class"

// placeField says how far a child has applied the log when it asks.
//
//  1. A child invalidates, or learns of an invalidation, and asks its parent again.
//  2. The parent has not read that yet, and answers with what it has stored.
//  3. The child would keep it, as loaded after the invalidation.
//
// So the parent reads the log first; where it cannot, the child keeps nothing of the answer.
const placeField = "Forebay-Place"

// A childWay is how a child asks its parents.
type childWay struct {
	token string
	place func() shared.Stamp
}

// sign shows the parent who asks, and how far it has come.
func (c childWay) sign(h http.Header) {
	at := c.place()
	h[relay.TokenField], h[placeField] = []string{c.token}, []string{at.Epoch + " " + at.ID.String()}
}

// knows reports whether the parent has applied all that the child has.
func (g *Gateway) knows(r *http.Request) bool {
	epoch, id, _ := strings.Cut(r.Header.Get(placeField), " ")
	at, err := shared.ParseID(id)
	return err == nil && g.cache.CatchUp(r.Context(), shared.Stamp{Epoch: epoch, ID: at}) == nil
}

// parents reads which gateways are asked instead of an origin: the same one for a URL while it is well.
func (d *decoder) parents(n ast.Node, c *Config) {
	d.texts(&c.Parents)(n)
	u := Upstream{Name: defaultName, Servers: c.Parents, Balance: balanceHash}
	if err := u.check(); err != nil {
		d.wrongs(n, err)
	}
}

// toChild tells a child what it may keep.
func toChild(h http.Header, may *httpcache.Served, status int) (keeps bool) {
	delete(h, classField)
	delete(h, httpcache.TagsField)
	if may == nil || status >= 500 {
		return false
	}
	tags, ok := httpcache.FormatTags(may.Tags)
	if !ok {
		return false
	}
	h[classField], h[httpcache.TagsField] = []string{may.Class.Name}, []string{tags}
	return true
}

// serveChildren answers the relay, and requests of children. It returns false for any other.
func (g *Gateway) serveChildren(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path == relay.Path && g.relay != nil {
		g.relay.ServeHTTP(w, r)
		return true
	}
	if r.Header[relay.TokenField] == nil && r.Header[placeField] == nil {
		return false
	}
	is, knows := g.relay != nil && relay.Shows(r, g.token), false
	if is {
		knows = g.knows(r)
	}
	r = r.Clone(r.Context()) // the server looks at the fields of its own request
	delete(r.Header, relay.TokenField)
	delete(r.Header, placeField)
	if is {
		r = r.WithContext(context.WithValue(r.Context(), childKey{}, true))
		withoutLast(r.Header, "Via") // the child's own, by which the answers to each child would be apart
		w = &telling{ResponseWriter: w, fields: toChild, asked: !knows}
	} else if g.outer != nil {
		g.outer.serve(g, w, r)
		return true
	}
	g.front.Load().handler.ServeHTTP(w, r)
	return true
}

type childKey struct{}

// isChild reports whether a request comes from a child: for many clients, whose limits are its own to keep.
func isChild(r *http.Request) bool { return r.Context().Value(childKey{}) != nil }

// ofParent looks at a parent's answer: what it gives no class, or another than this gateway's rules do, is not kept here.
func ofParent(w http.ResponseWriter, res *http.Response) {
	if said := res.Header.Get(classField); said == "" || said != httpcache.ClassOf(w) {
		httpcache.Leave(w)
	}
	delete(res.Header, classField)
}

// withoutLast takes the last member off a list. A loop is seen all the same: this gateway stands further in front.
func withoutLast(h http.Header, name string) {
	lines := h[name]
	if len(lines) == 0 {
		return
	}
	last := lines[len(lines)-1]
	lines = slices.Clone(lines[:len(lines)-1])
	if i := strings.LastIndexByte(last, ','); i >= 0 {
		lines = append(lines, last[:i])
	}
	if h[name] = lines; len(lines) == 0 {
		delete(h, name)
	}
}
