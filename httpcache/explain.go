package httpcache

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An Explanation says what a cache makes of a request now, without asking the origin.
type Explanation struct {
	Request string    // in the one form that everything reads: method, host and target
	Refused string    // why no handler sees it; then nothing below is known
	Rule    string    // its pattern; empty: none
	Class   string    // of the entries of its rule
	Bypass  string    // why the cache has no part in it; empty: it has
	Key     string    // of what may be stored
	Parts   []KeyPart // what the key is made of
	Stored  *Kept     // nil: nothing
	Would   string    // be the answer: hit, stale, miss, bypass or refused
	Why     string    // that, where it is not a hit
	Nearby  int       // other responses of the same method and path in the near tier: for another query, other fields
	Nearest *Nearest  // what is stored for the same request of a usual client; nil: nothing
}

// A KeyPart is something that a key is made of. Values of credentials are left out.
type KeyPart struct{ Name, Value string }

// Nearest is what is stored under another key: for the same request with other fields.
type Nearest struct {
	Key    string
	Fields []KeyPart
}

// Kept is a stored response.
type Kept struct {
	Status int
	Tier   string // near or shared
	Bytes  int64  // of its body
	Age    time.Duration
	Left   time.Duration // that it is fresh; negative: since when it is stale
	Vary   []string      // fields of the request that chose it
	Tags   []string
	Header http.Header // may hold what callers should not see: show it to operators alone
	Start  []byte      // of its body: 64 KiB at most
}

// shownBody is how much of a body is explained.
const shownBody = 64 << 10

// Explain says what the cache makes of a request now. It looks up what is stored, and counts nothing.
func (h *Cache) Explain(r *http.Request) Explanation {
	canon, refused := canonical(r)
	if refused != nil {
		return Explanation{Request: r.Method + " " + r.Host + r.RequestURI, Refused: refused.text, Would: "refused", Why: refused.reason}
	}
	a := h.ask(canon)
	e := Explanation{
		Request: a.r.Method + " " + a.r.Host + a.r.URL.RequestURI(), Class: a.route.class.Name, Bypass: string(a.bypass), Key: a.key,
	}
	if a.route.ruled {
		e.Rule = a.route.Match
	}
	if a.bypass != "" {
		e.Would, e.Why = "bypass", string(a.bypass)
		return e
	}
	e.Parts = h.parts(a)
	f := h.find(a.r.Context(), a)
	e.Key = f.key
	h.explainStored(&e, a, &f)
	if f.response == nil && a.credential == "" {
		if e.Nearby = h.nearby(a.key); e.Nearby > 0 {
			e.Nearest = h.nearest(canon)
		}
	}
	return e
}

// HeldForAll reports whether a request would be answered now from the near tier with what is fresh and every caller's. It
// asks nobody.
func (h *Cache) HeldForAll(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	canon, refused := canonical(r)
	if refused != nil {
		return false
	}
	a := h.ask(canon)
	if a.bypass != "" || a.seen&ofCaller != 0 {
		return false
	}
	s := a.route.space
	held, ok := s.Peek(a.key)
	if ok && held.Value.kind == index {
		held, ok = s.Peek(variantKey(a.key, h.selectedBy(held.Value.vary, a)))
	}
	return ok && held.Value.kind == whole && decide(a.directives, &held.Value.terms, false, time.Now()).action == serve
}

func (h *Cache) explainStored(e *Explanation, a *ask, f *found) {
	if f.passing {
		e.Would, e.Why = "miss", "the last response was not stored: "+string(f.Value.unstored)
		return
	}
	d := (&handler{Cache: h}).decide(a, f)
	if r := f.response; r != nil {
		e.Stored = &Kept{
			Status: r.status, Tier: f.Tier.String(), Bytes: r.body.length(), Age: d.age, Left: d.left, Vary: r.vary, Tags: r.tags, Header: r.header.Clone(),
		}
		if data, _, ok := r.body.complete(); ok {
			e.Stored.Start = bytes.Clone(data[:min(len(data), shownBody)])
		}
	}
	switch {
	case d.action == unsatisfiable:
		e.Would, e.Why = "refused", "only-if-cached: nothing is stored that may be served"
	case d.action == load:
		e.Would, e.Why = "miss", string(d.why)
	case d.stale:
		e.Would, e.Why = "stale", string(d.why)
	default:
		e.Would = "hit"
	}
}

// parts are what the key of a request is made of, as [Cache.key] has it.
func (h *Cache) parts(a *ask) []KeyPart {
	r := a.r
	out := []KeyPart{{"method", a.method}, {"scheme", scheme(r)}, {"host", r.Host}, {"path", r.URL.EscapedPath()}, {"query", r.URL.RawQuery}}
	if a.method != http.MethodGet {
		out = append(out, KeyPart{"content type", r.Header.Get("Content-Type")}, KeyPart{"body", strconv.Itoa(len(a.body)) + " bytes, canonical"})
	}
	for _, name := range a.route.keyed {
		if lines := r.Header[name]; lines != nil {
			out = append(out, KeyPart{name, strings.Join(lines, ", ")})
		}
	}
	if a.credential != "" {
		var names []string
		for _, name := range credentialFields {
			if r.Header[name] != nil {
				names = append(names, name)
			}
		}
		out = append(out, KeyPart{"caller", strings.Join(names, ", ")})
	}
	return out
}

// nearby counts what is stored under the same readable part of a key.
func (h *Cache) nearby(key string) (n int) {
	prefix := key[:strings.LastIndexByte(key, ',')+1]
	for e := range h.cache.Entries() {
		if strings.HasPrefix(e.Key, prefix) && e.Key != key {
			n++
		}
	}
	return n
}

// clients are the fields that usual clients send without being told: curl, Go, Python's requests, fetch in a page.
var clients = [][]KeyPart{
	{{"Accept", "*/*"}},
	{{"Accept-Encoding", "gzip"}},
	{{"Accept", "*/*"}, {"Accept-Encoding", "gzip, deflate"}},
	{{"Accept", "*/*"}, {"Accept-Encoding", "gzip, deflate, zstd"}},
	{{"Accept", "*/*"}, {"Accept-Encoding", "gzip, deflate, br"}},
	{{"Accept", "*/*"}, {"Accept-Encoding", "gzip, deflate, br, zstd"}},
	{},
}

// nearest tries the fields of usual clients: what is asked here by hand often lacks them, and they are in the key.
func (h *Cache) nearest(r *http.Request) *Nearest {
	for _, fields := range clients {
		like := r.Clone(r.Context())
		for _, name := range []string{"Accept", "Accept-Encoding"} {
			like.Header.Del(name)
		}
		for _, f := range fields {
			like.Header.Set(f.Name, f.Value)
		}
		if a := h.ask(like); a.bypass == "" {
			if f := h.find(a.r.Context(), a); f.response != nil {
				return &Nearest{f.key, append([]KeyPart{}, fields...)}
			}
		}
	}
	return nil
}
