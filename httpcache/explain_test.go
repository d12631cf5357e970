package httpcache_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

// An explanation says what the answer to the same request is right after it, and asks no origin.
func TestExplain(t *testing.T) {
	calls := 0
	cache, err := forebay.Open(t.Context(), forebay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	h, err := httpcache.New(cache, httpcache.Options{Rules: []httpcache.Rule{
		{Match: "GET /ruled", TTL: time.Minute, Headers: []string{"X-Plan"}}, {Match: "GET /bypass", Bypass: true},
		{Match: "POST /query", TTL: time.Minute, BodyKey: &httpcache.BodyKey{}}, {Match: "GET /wait", TTL: time.Minute},
	}})
	if err != nil {
		t.Fatal(err)
	}
	site := h.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		if r.URL.Path == "/private" {
			w.Header().Set("Cache-Control", "private, max-age=60")
		}
		w.Write([]byte("hello"))
	}))
	ask := func(method, target, body string, fields ...string) *http.Request {
		r := httptest.NewRequest(method, target, strings.NewReader(body))
		if body == "" {
			r.Body, r.ContentLength = http.NoBody, 0
		}
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		return r
	}
	tests := []struct {
		name, method, target, body string
		fields                     []string
		would, why, rule, then     string // what it would be, and what it would be the second time
	}{
		{"a rule", "GET", "http://a.test/ruled?x=1", "", []string{"X-Plan", "gold"}, "miss", "uri-miss", "GET /ruled", "hit"},
		{"no rule, not stored", "GET", "http://a.test/private", "", nil, "miss", "uri-miss", "", "miss"},
		{"a rule that bypasses", "GET", "http://a.test/bypass", "", nil, "bypass", "rule", "GET /bypass", "bypass"},
		{"a change", "PUT", "http://a.test/ruled", "x", nil, "bypass", "method", "", "bypass"},
		{"a query", "POST", "http://a.test/query", `{"b":1,"a":2}`, []string{"Content-Type", "application/json"}, "miss", "uri-miss", "POST /query", "hit"},
		{"only if cached", "GET", "http://a.test/wait", "", []string{"Cache-Control", "only-if-cached"}, "refused", "only-if-cached", "GET /wait", "refused"},
		{"a caller's own", "GET", "http://a.test/ruled", "", []string{"Authorization", "Bearer secret-token"}, "miss", "uri-miss", "GET /ruled", "hit"},
		{"no method", "CONNECT", "http://a.test/", "", nil, "refused", "", "", "refused"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := calls
			e := h.Explain(ask(test.method, test.target, test.body, test.fields...))
			if e.Would != test.would || !strings.HasPrefix(e.Why, test.why) || e.Rule != test.rule || e.Stored != nil {
				t.Errorf("%+v", e)
			}
			if calls != before {
				t.Error("the origin was asked")
			}
			for _, p := range e.Parts {
				if strings.Contains(p.Value, "secret-token") {
					t.Errorf("it shows a credential: %+v", p)
				}
			}
			for range 2 {
				w := httptest.NewRecorder()
				site.ServeHTTP(w, ask(test.method, test.target, test.body, test.fields...))
				if how := w.Header().Get("Cache-Status"); strings.Contains(how, "hit") != (e.Would == "hit") {
					t.Errorf("it would be %q, and is %q", e.Would, how)
				}
				e = h.Explain(ask(test.method, test.target, test.body, test.fields...))
				if e.Would != test.then {
					t.Errorf("then %+v", e)
				}
			}
			if test.then == "hit" && (e.Stored == nil || e.Stored.Bytes != 5 || e.Stored.Status != 200 || e.Stored.Left <= 0) {
				t.Errorf("stored %+v", e.Stored)
			}
			if test.name == "no rule, not stored" && e.Why != "the last response was not stored: private" {
				t.Errorf("%q", e.Why)
			}
		})
	}
}
