package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/httpcache"
)

// A Way is how the requests of a route go to their origin.
type Way struct {
	Match    string        // pattern
	Origin   string        // its name; empty: the default
	KeepHost bool          // the origin sees the client's Host
	Timeout  time.Duration // until the head of an answer; 0: the origin's
	Request  Fields        // of requests to the origin
	Response Fields        // of its answers, before anything is made of them
	Auth     *Auth         // nil: everybody may have it
	Files    string        // a folder or a file that answers instead of an origin
}

// Fields are set where they have a value, and removed where they have none.
type Fields map[string]*string

func (f Fields) apply(h http.Header) {
	for name, value := range f {
		if value == nil {
			delete(h, name)
		} else {
			h[name] = []string{*value}
		}
	}
}

// ofTransport are fields that the way of a message has, and no file.
var ofTransport = []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Via", "Content-Encoding"}

// read takes a field in; its error says why there can be none of that kind.
func (f Fields) read(name string, value *string) error {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case name == "" || strings.ContainsAny(name, " \t\r\n:\x00") || value != nil && strings.ContainsAny(*value, "\r\n\x00"):
		return fmt.Errorf("%q: no message can have such a field", name)
	case slices.Contains(ofTransport, canonical) || httpcache.HopByHop(canonical):
		return fmt.Errorf("%q belongs to the connection: it cannot be set", name)
	}
	f[canonical] = value
	return nil
}

func (w *Way) empty() bool {
	return w.Origin == "" && w.Files == "" && !w.KeepHost && w.Timeout == 0 && w.Auth == nil && len(w.Request)+len(w.Response) == 0
}

// ServeHTTP is never called: a way is what the mux finds.
func (*Way) ServeHTTP(http.ResponseWriter, *http.Request) {}

type wayKey struct{}

// wayOf is the way of a request; nil where its route says nothing of it.
func wayOf(r *http.Request) *Way {
	w, _ := r.Context().Value(wayKey{}).(*Way)
	return w
}

// origins are all of a gateway's, and which request is whose.
type origins struct {
	by   map[string]*origin
	main *origin
	ways *http.ServeMux // nil: no route says anything of its way

	files map[string]*fileRoute // by pattern
}

// newOrigins has those of a configuration. One that was there before and is to be the same goes on: its connections, and
// what is known of its servers.
func newOrigins(c Config, before *origins, make func(Upstream) (*origin, error)) (*origins, error) {
	o := &origins{by: map[string]*origin{}, files: map[string]*fileRoute{}}
	for _, u := range c.upstreams() {
		one := before.same(c, u)
		if one == nil {
			var err error
			if one, err = make(u); err != nil {
				o.closeBut(before)
				return nil, err
			}
		}
		if o.by[u.Name] = one; o.main == nil || u.Name == defaultName {
			o.main = one
		}
	}
	if o.main == nil {
		_, err := parseOrigin("")
		return nil, err
	}
	for _, w := range c.Ways {
		if w.Origin != "" && o.by[w.Origin] == nil {
			o.closeBut(before)
			return nil, fmt.Errorf("%s: there is no origin %q", w.Match, w.Origin)
		}
		if w.Files == "" {
			continue
		}
		var err error
		if o.files[w.Match], err = newFileRoute(w); err != nil {
			o.closeBut(before)
			return nil, err
		}
	}
	if len(c.Ways) == 0 {
		return o, nil
	}
	var err error
	if o.ways, err = waysMux(c.everyWay()); err != nil {
		o.closeBut(before)
		return nil, err
	}
	return o, nil
}

// everyWay has those of routes that say nothing of theirs, too: the most specific route counts, and no other.
func (c Config) everyWay() []Way {
	all := slices.Clone(c.Ways)
	for _, rule := range c.Rules {
		if !slices.ContainsFunc(all, func(w Way) bool { return w.Match == rule.Match }) {
			all = append(all, Way{Match: rule.Match})
		}
	}
	return all
}

// waysMux finds the way of a request. It turns the mux's panic on patterns that conflict into an error.
func waysMux(all []Way) (mux *http.ServeMux, err error) {
	defer func() {
		if p := recover(); p != nil {
			text, _, _ := strings.Cut(fmt.Sprint(p), " (registered at ")
			err = fmt.Errorf("routes: %s", text)
		}
	}()
	mux = http.NewServeMux()
	for _, w := range all {
		mux.Handle(w.Match, &w)
	}
	return mux, nil
}

// upstreams are the origins of a configuration, the one that is named by its URL alone among them.
func (c Config) upstreams() []Upstream {
	if len(c.Parents) > 0 {
		return append([]Upstream{{Name: defaultName, Servers: c.Parents, Balance: balanceHash}}, c.Upstreams...)
	}
	if c.Origin == "" {
		return c.Upstreams
	}
	return append([]Upstream{{Name: defaultName, Servers: []string{c.Origin}}}, c.Upstreams...)
}

// find returns the origin of a request, and the request with its way.
func (o *origins) find(r *http.Request) (*origin, *http.Request) {
	if o.ways == nil {
		return o.main, r
	}
	found, _ := o.ways.Handler(r)
	w, ok := found.(*Way)
	if !ok {
		return o.main, r
	}
	to := o.main
	if w.Origin != "" {
		to = o.by[w.Origin]
	}
	return to, r.WithContext(context.WithValue(r.Context(), wayKey{}, w))
}

func (o *origins) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, r := o.find(r)
	if way := wayOf(r); way != nil && way.Files != "" {
		o.files[way.Match].ServeHTTP(w, r)
		return
	}
	to.ServeHTTP(w, r)
}

// forMany is the way to an origin for a request that says nothing of the client that sent it.
func (o *origins) forMany() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, r := o.find(r)
		to.held.ServeHTTP(w, r)
	})
}

// same returns the origin that is there and equals the one that would be made; nil: it has to be made.
func (o *origins) same(c Config, u Upstream) *origin {
	if o == nil {
		return nil
	}
	if one := o.by[u.Name]; one != nil && reflect.DeepEqual(one.made, madeOf(c, u, one.made.token)) {
		return one
	}
	return nil
}

// closeBut closes the origins that others do not have. Requests under way end in peace: only health checks and idle
// connections do not outlive it.
func (o *origins) closeBut(others *origins) {
	for name, one := range o.by {
		if others == nil || others.by[name] != one {
			one.close()
		}
	}
}

// errSlow says that the head of an answer did not come in the time that its route gives.
type errSlow struct{}

func (errSlow) Error() string { return "the origin did not answer in the time that the route gives" }
func (errSlow) Timeout() bool { return true }

// within sends a request, and ends it where the head of its answer is late.
func within(r *http.Request, limit time.Duration, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(limit, func() { cancel(errSlow{}) })
	res, err := send(r.WithContext(ctx))
	if !timer.Stop() && err == nil { // the head came as the time was up
		res.Body.Close()
		err = errSlow{}
	}
	if err != nil {
		cause := context.Cause(ctx)
		cancel(nil)
		if cause == error(errSlow{}) {
			return nil, errSlow{}
		}
		return nil, err
	}
	res.Body = ending(res, cancel)
	return res, nil
}

// ending ends a request's context with the body of its answer.
func ending(res *http.Response, cancel context.CancelCauseFunc) io.ReadCloser {
	e := &endingBody{ReadCloser: res.Body, cancel: cancel}
	if conn, ok := res.Body.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		return struct {
			*endingBody
			io.Writer
		}{e, conn}
	}
	return e
}

type endingBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
	ended  atomic.Bool
}

// Close implements [io.Closer].
func (e *endingBody) Close() error {
	err := e.ReadCloser.Close()
	if !e.ended.Swap(true) {
		e.cancel(nil)
	}
	return err
}
