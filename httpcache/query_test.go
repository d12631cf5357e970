package httpcache_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

// What a route drops of a query neither reaches the origin nor tells two URLs apart; the rest stays as it is written.
func TestQueryRules(t *testing.T) {
	cache, err := forebay.Open(t.Context(), forebay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	h, err := httpcache.New(cache, httpcache.Options{Rules: []httpcache.Rule{
		{Match: "GET /drop", TTL: time.Minute, Query: &httpcache.QueryRule{Drop: []string{"utm_*", "fbclid"}, Sort: true}},
		{Match: "GET /keep", TTL: time.Minute, Query: &httpcache.QueryRule{Keep: []string{"org_id"}}},
		{Match: "GET /as-it-is", TTL: time.Minute},
		{Match: "GET /bypass", Bypass: true, Query: &httpcache.QueryRule{Keep: []string{"a"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	sent := ""
	site := h.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.URL.RequestURI()
		fmt.Fprint(w, sent)
	}))
	ask := func(target string) (how string) {
		w := httptest.NewRecorder()
		site.ServeHTTP(w, httptest.NewRequest("GET", "http://a.test"+target, nil))
		return w.Header().Get("Cache-Status")
	}
	for _, test := range []struct{ first, again, sent string }{
		{"/drop?b=2&a=1&utm_source=x", "/drop?a=1&fbclid=9&b=2&utm_campaign=%79", "/drop?a=1&b=2"},
		{"/drop?z=2&z=1&x=%20", "/drop?x=%20&utm%5Fid=5&z=2&z=1", "/drop?x=%20&z=2&z=1"},
		{"/drop", "/drop?utm_source=x", "/drop"},
		{"/drop?", "/drop?&&", "/drop"},
		{"/keep?org_id=acme&time=1", "/keep?time=2&org_id=acme", "/keep?org_id=acme"},
		{"/keep?org%5Fid=b", "/keep?org%5Fid=b&x", "/keep?org%5Fid=b"},
	} {
		if how := ask(test.first); strings.Contains(how, "hit") && sent != test.sent {
			t.Errorf("%s: %s", test.first, how)
		}
		if sent != test.sent {
			t.Errorf("%s reaches the origin as %s", test.first, sent)
		}
		if how := ask(test.again); !strings.Contains(how, "hit") {
			t.Errorf("%s after %s: %s", test.again, test.first, how)
		}
	}
	for _, two := range [][2]string{{"/drop?a=1&b=2&c=3", "/drop?a=1&b=3&c=2"}, {"/drop?q=1&q=2", "/drop?q=2&q=1"}, {"/as-it-is?a=1&b=2", "/as-it-is?b=2&a=1"}, {"/keep?org_id=a", "/keep?org_id=b"}} {
		ask(two[0])
		if how := ask(two[1]); strings.Contains(how, "hit") {
			t.Errorf("%s is answered by %s", two[1], two[0])
		}
	}
	if ask("/bypass?a=1&b=2"); sent != "/bypass?a=1" {
		t.Errorf("a bypass reaches the origin as %s", sent)
	}
	u := httptest.NewRequest("GET", "http://a.test/drop?utm_source=mail&b=2&a=1", nil).URL
	if _, err := cache.Invalidate(t.Context(), forebay.Tag(h.URITag(u))); err != nil {
		t.Fatal(err)
	}
	if how := ask("/drop?a=1&b=2"); strings.Contains(how, "hit") {
		t.Errorf("after it was removed by a URL that is the same: %s", how)
	}
	for _, q := range []httpcache.QueryRule{{Keep: []string{"a"}, Drop: []string{"b"}}, {Drop: []string{"[a"}}, {Keep: []string{""}}} {
		if q.Check() == nil {
			t.Errorf("%+v is taken", q)
		}
	}
}

// Cookies that a rule names are in the key and go on, all others are taken off; callers that agree in them share.
func TestCookieRules(t *testing.T) {
	cache, err := forebay.Open(t.Context(), forebay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	h, err := httpcache.New(cache, httpcache.Options{Rules: []httpcache.Rule{
		{Match: "GET /some", TTL: time.Minute, Cookies: []string{"lang", "plan"}}, {Match: "GET /none", TTL: time.Minute, Cookies: []string{}}, {Match: "GET /all", TTL: time.Minute},
	}})
	if err != nil {
		t.Fatal(err)
	}
	site := h.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header["Cookie"]) }))
	ask := func(path string, fields ...string) (hit bool, body string) {
		r := httptest.NewRequest("GET", "http://a.test"+path, nil)
		for i := 0; i < len(fields); i += 2 {
			r.Header.Add(fields[i], fields[i+1])
		}
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		return strings.Contains(w.Header().Get("Cache-Status"), "; hit;"), w.Body.String()
	}
	for _, test := range []struct {
		path   string
		fields []string
		hit    bool
		sent   string
	}{
		{"/some", []string{"Cookie", "session=ada; plan=gold; lang=de"}, false, "[lang=de; plan=gold]"},
		{"/some", []string{"Cookie", "_ga=1; lang=de;plan=gold; session=ben"}, true, "[lang=de; plan=gold]"},
		{"/some", []string{"Cookie", "lang=de", "Cookie", "plan=gold"}, true, "[lang=de; plan=gold]"},
		{"/some", []string{"Cookie", "lang=fr; plan=gold"}, false, "[lang=fr; plan=gold]"},
		{"/some", []string{"Cookie", "xlang=de; LANG=de"}, false, "[]"},
		{"/some", nil, true, "[]"},
		{"/some", []string{"Cookie", "lang=de; plan=gold", "Authorization", "Bearer x"}, false, "[lang=de; plan=gold]"},
		{"/none", []string{"Cookie", "session=ada"}, false, "[]"},
		{"/none", []string{"Cookie", "session=ben"}, true, "[]"},
		{"/all", []string{"Cookie", "session=ada"}, false, "[session=ada]"},
		{"/all", []string{"Cookie", "session=ben"}, false, "[session=ben]"},
	} {
		if hit, body := ask(test.path, test.fields...); hit != test.hit || body != test.sent {
			t.Errorf("%s with %v: hit %v, sent %s", test.path, test.fields, hit, body)
		}
	}
}

// A rule may keep statuses that its profile does not, for a time of their own; the origin's word is the bound.
func TestTTLByStatus(t *testing.T) {
	cache, err := forebay.Open(t.Context(), forebay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	h, err := httpcache.New(cache, httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /", TTL: time.Hour, TTLByStatus: map[int]time.Duration{404: time.Minute, 302: 10 * time.Second}}}})
	if err != nil {
		t.Fatal(err)
	}
	site := h.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var status int
		fmt.Sscanf(r.URL.Path, "/%d", &status)
		if c := r.URL.Query().Get("cc"); c != "" {
			w.Header().Set("Cache-Control", c)
		}
		if r.URL.Query().Has("cookie") {
			w.Header().Set("Set-Cookie", "a=b")
		}
		w.WriteHeader(status)
	}))
	for target, want := range map[string]string{
		"/404": "hit; ttl=59", "/302": "hit; ttl=9", "/200": "hit; ttl=3599", "/403": "", "/500": "", "/404?cc=no-store": "", "/404?cc=private": "", "/404?cc=max-age%3D5": "hit; ttl=4",
		"/404?cc=max-age%3D500": "hit; ttl=59", "/404?cookie": "",
	} {
		how := ""
		for range 2 {
			w := httptest.NewRecorder()
			site.ServeHTTP(w, httptest.NewRequest("GET", "http://a.test"+target, nil))
			how = w.Header().Get("Cache-Status")
		}
		if want != "" && !strings.Contains(how, want) || want == "" && strings.Contains(how, "hit") {
			t.Errorf("%s: %q, want %q", target, how, want)
		}
	}
	for _, status := range []int{100, 206, 304, 500} {
		if (httpcache.Rule{TTLByStatus: map[int]time.Duration{status: time.Second}}).Check() == nil {
			t.Errorf("%d is taken", status)
		}
	}
}
