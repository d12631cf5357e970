package httpcache

import (
	"context"
	"crypto/sha256"
	"net/http"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/coding"
)

// forms are what can be sent instead of a stored body, and how that is said. They never change, but for what is added
// when the first of them is made.
type forms struct {
	of   *Compression             // whose codings they are: another configuration has others
	vary []string                 // the whole field
	tags [][]string               // entity tags, by coding
	keys atomic.Pointer[[]string] // of what is stored, by coding; nil: not known yet
}

// formsOf returns the forms in which a response is sent to who prefers one; nil: it is always sent as it is. Every answer
// with it says that there are some (Vary).
func (h *Cache) formsOf(a *ask, r *response) *forms {
	c := h.options.Compression
	if c == nil || r.kind != whole || r.events || !bodyAllowed(r.status) || r.status == http.StatusPartialContent {
		return nil
	}
	if may := a.route.Compress; may != nil && !*may || a.credential != "" && may == nil && !c.Credentials {
		return nil
	}
	return r.codedBy(c)
}

// codedBy returns the response's forms, or nil where there can be none.
func (r *response) codedBy(c *Compression) *forms {
	if f := r.forms.Load(); f != nil && f.of == c {
		if f.vary == nil {
			return nil
		}
		return f
	}
	f := &forms{of: c}
	data, trailer, isWhole := r.body.complete()
	if coding.MayEncode(r.header) && !r.incremental() && len(trailer) == 0 && (!isWhole || len(data) >= c.MinBytes) {
		f.vary = coding.VaryOn(r.header["Vary"])
	}
	if !isWhole { // its length is not known yet
		if f.vary == nil {
			return nil
		}
		return f
	}
	if f.vary != nil {
		f.tags = c.tagsOf(r.header["Etag"])
	}
	r.forms.Store(f)
	if f.vary == nil {
		return nil
	}
	return f
}

// chooseForm finds what is sent instead of what is stored, if the client prefers that and it is there. Where it is not,
// it is made beside this answer.
func (h *handler) chooseForm(a *ask, f *found) {
	c := h.options.Compression
	if c == nil || a.r.Header["Range"] != nil || a.directives.noTransform {
		return
	}
	name := preferredCoding(a.r.Header["Accept-Encoding"], c.Codings)
	if name == "" {
		return
	}
	r := f.response
	forms := h.formsOf(a, r)
	if forms == nil {
		return
	}
	i := slices.Index(c.Codings, name)
	if keys := forms.keysOf(); keys != nil {
		if one, ok := a.route.space.Peek(keys[i]); ok {
			if form := one.Value; form.kind == coded && form.selected == name && form.body.length() > 0 {
				a.form, a.formOf, a.formPlace = form, name, place{keys[i], one.Since}
			}
			return
		}
	}
	a.encoding = true
	h.encodeBehind(a.route.space, f.key, r, i)
}

func (f *forms) keysOf() []string {
	if keys := f.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// encoders bounds how many bodies are being encoded: it takes processor time that answers need.
type encoders chan struct{}

func newEncoders() encoders { return make(encoders, max(1, runtime.GOMAXPROCS(0)/2)) }

// encodeBehind makes a form of a response, unless there is no room for that now: the next request asks again.
func (h *handler) encodeBehind(s *forebay.Space[*response], key string, r *response, i int) {
	select {
	case h.encoders <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-h.encoders }()
		h.encode(context.Background(), s, key, r, i)
	}()
}

// encode makes a form and stores it under a key that names what it was made of: it can be found only by who has the
// same body, however old. Its place in the log is taken before it is made sure that the response is still there, so
// that what removes that removes the form too.
func (h *handler) encode(ctx context.Context, s *forebay.Space[*response], key string, r *response, i int) {
	c, f := h.options.Compression, r.codedBy(h.options.Compression)
	data, _, isWhole := r.body.complete()
	if f == nil || !isWhole {
		return
	}
	keys := f.keysOf()
	if keys == nil {
		sum := sha256.Sum256(data)
		for _, name := range c.Codings {
			keys = append(keys, variantKey(key, "\x00"+name+string(sum[:])))
		}
		f.keys.Store(&keys)
	}
	if _, ok := s.Lookup(ctx, keys[i]); ok { // from the shared tier, perhaps
		return
	}
	fill := s.Begin(ctx, keys[i], forebay.BeginOptions{Background: true})
	if !fill.Leads() {
		return
	}
	defer fill.Recover()
	if now, ok := s.Peek(key); !ok || now.Value.body != r.body {
		fill.Abandon(nil)
		return
	}
	out, err := coding.Encode(c.Codings[i], data)
	if err != nil {
		fill.Abandon(err)
		return
	}
	form := &response{kind: coded, selected: c.Codings[i], status: r.status, tags: r.tags, body: wholeBody(nil, nil)}
	if len(out) <= len(data)-len(data)/16 { // else that it does not gain is remembered
		form.body = wholeBody(out, nil)
	}
	keep := r.keepOf(r.arrived)
	fill.Commit(form, forebay.Keep{TTL: keep.TTL + max(keep.StaleIfError, 0), Stale: -1, StaleIfError: -1, Tags: r.tags})
}

// describe says of an answer's fields that its body is in a coding.
func (a *ask) describe(header http.Header, f *forms, c *Compression) {
	delete(header, "Accept-Ranges")
	delete(header, "Content-Length")
	header["Content-Encoding"] = encodingFields[a.formOf]
	if i := slices.Index(c.Codings, a.formOf); i < len(f.tags) && f.tags[i] != nil {
		header["Etag"] = f.tags[i]
	}
}

// encodingFields are those of each coding. They are shared.
var encodingFields = map[string][]string{"zstd": {"zstd"}, "br": {"br"}, "gzip": {"gzip"}}
