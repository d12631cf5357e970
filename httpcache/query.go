package httpcache

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// A QueryRule says what of a URL's query reaches the origin, and so is in the key: two URLs that differ in the rest are
// one. Names may have '*' for any characters. What is left stays as it was written.
type QueryRule struct {
	Keep []string // parameters; all others are dropped. Default: all are kept
	Drop []string // parameters, such as utm_*
	Sort bool     // by name; those of one name stay in their order
}

// Check returns a mistake in the names.
func (q QueryRule) Check() error {
	for _, name := range slices.Concat(q.Keep, q.Drop) {
		if _, err := path.Match(name, ""); err != nil || name == "" {
			return fmt.Errorf("Query: %q is no name of a parameter", name)
		}
	}
	if len(q.Keep) > 0 && len(q.Drop) > 0 {
		return fmt.Errorf("Query: what is not kept is dropped: name one of the two")
	}
	return nil
}

// apply returns the query that is left.
func (q *QueryRule) apply(raw string) string {
	type parameter struct{ name, text string }
	var left []parameter
	for text := range strings.SplitSeq(raw, "&") {
		written, _, _ := strings.Cut(text, "=")
		name, err := url.QueryUnescape(written)
		if err != nil {
			name = written
		}
		if text == "" || len(q.Keep) > 0 && !named(q.Keep, name) || named(q.Drop, name) {
			continue
		}
		left = append(left, parameter{name, text})
	}
	if q.Sort {
		slices.SortStableFunc(left, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	}
	var b strings.Builder
	for i, p := range left {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.text)
	}
	return b.String()
}

func named(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(p, name)
		return ok
	})
}

// rewrite is a request with what its route leaves of its query and its cookies: the one that is compared, and the one that
// is sent.
func (rt *route) rewrite(r *http.Request) *http.Request {
	if rt.Query != nil && (r.URL.RawQuery != "" || r.URL.ForceQuery) {
		r = rt.withQuery(r)
	}
	if rt.Cookies != nil && r.Header["Cookie"] != nil {
		r = rt.withCookies(r)
	}
	return r
}

func (rt *route) withQuery(r *http.Request) *http.Request {
	left := rt.Query.apply(r.URL.RawQuery)
	if left == r.URL.RawQuery && !r.URL.ForceQuery {
		return r
	}
	r = r.WithContext(r.Context())
	u := *r.URL
	u.RawQuery, u.ForceQuery = left, false
	r.URL, r.RequestURI = &u, u.RequestURI()
	return r
}

// withCookies leaves the cookies that are named, in the order of their names; those of one name stay in theirs.
func (rt *route) withCookies(r *http.Request) *http.Request {
	var left []string
	for _, name := range rt.Cookies {
		for _, line := range r.Header["Cookie"] {
			for pair := range strings.SplitSeq(line, ";") {
				pair = strings.Trim(pair, " \t")
				if has, _, _ := strings.Cut(pair, "="); has == name {
					left = append(left, pair)
				}
			}
		}
	}
	r = r.WithContext(r.Context())
	r.Header = cloneFields(r.Header)
	if delete(r.Header, "Cookie"); len(left) > 0 {
		r.Header["Cookie"] = []string{strings.Join(left, "; ")}
	}
	return r
}

// URITag is the tag of every response to a URL, as [URITag] has it, with what the route of a GET leaves of its query.
func (h *Cache) URITag(u *url.URL) string {
	host := u.Host
	if normal, ok := normalHost(host, strings.EqualFold(u.Scheme, "https")); ok {
		host = normal
	}
	r := &http.Request{Method: http.MethodGet, Host: host, URL: u, Header: http.Header{}}
	return URITag(h.route(r).rewrite(r).URL)
}
