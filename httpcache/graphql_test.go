package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/httpcache"
)

// A query by POST is cached, whatever its spaces and the order of its members; what may change something never is.
func TestGraphQL(t *testing.T) {
	s := newSite(t, httpcache.Options{Profile: httpcache.Safe, Rules: []httpcache.Rule{{Match: "POST /graphql", TTL: time.Hour, BodyKey: &httpcache.BodyKey{GraphQL: true}}}},
		func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	calls := func(body string) int64 {
		t.Helper()
		before := s.calls.Load()
		for range 2 {
			res, err := http.Post(s.url+"/graphql", "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if text, _ := io.ReadAll(res.Body); string(text) != body {
				t.Errorf("%s: %s", body, text)
			}
			res.Body.Close()
		}
		return s.calls.Load() - before
	}
	quoted := func(document string) string { return fmt.Sprintf(`{"query":%q}`, document) }
	for body, want := range map[string]int64{
		quoted("{ a }"): 1, quoted("query Q($mutation: String) { mutation(x: $mutation) }"): 1, quoted("# mutation\n{ a }"): 1,
		quoted(`{ a(x: "} mutation { b }") }`): 1, quoted(`{ a(x: """ " } mutation \""" """) }`): 1, "[" + quoted("{ a }") + "," + quoted("{ b }") + "]": 1,
		quoted("fragment F on T { a } query { ...F }"): 1,
		quoted("mutation { a }"):                       2, quoted("  mutation{a}"): 2, quoted("subscription { a }"): 2, quoted("query Q { a } mutation M { b }"): 2,
		quoted("query Q { a }\n#x\rmutation M { b }"): 2, quoted("fragment F on T { a } mutation { ...F }"): 2, quoted("\ufeffmutation { a }"): 2,
		`{"query":"mutation { a }","Query":"{ a }"}`: 2, `{"QUERY":"{ a }"}`: 2, `{"extensions":{"persistedQuery":{"sha256Hash":"x"}}}`: 2,
		"[" + quoted("{ a }") + "," + quoted("mutation { b }") + "]": 2, "[]": 2, quoted(""): 2, quoted(`{ a(x: "`): 2, quoted("{ a"): 2, quoted("}{ a }"): 2, `{"query":7}`: 2,
		`{"query":"{ a }","query":"mutation { a }"}`: 2, `"{ a }"`: 2,
	} {
		if got := calls(body); got != want {
			t.Errorf("%s: %d calls, want %d", body, got, want)
		}
	}
	if got := calls(quoted("{ fresh }")); got != 1 {
		t.Error("a query:", got)
	}
	calls(quoted("mutation { change }"))
	if got := calls(quoted("{ fresh }")); got != 1 {
		t.Error("after a mutation:", got)
	}
}
