package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/forebaytest"
	"github.com/forebay-cache/forebay/httpcache"

	"github.com/forebay-cache/forebay"
)

// Many more different bodies than a route remembers forms of: each has its own answer, also when it comes again, and when the same
// is written in other words.
func TestManyBodiesHaveEachTheirOwnAnswer(t *testing.T) {
	c := forebaytest.Open(t, forebay.Options{})
	h, err := httpcache.New(c, httpcache.Options{Rules: []httpcache.Rule{{Match: "POST /q", TTL: time.Hour, BodyKey: &httpcache.BodyKey{Ignore: []string{"id"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	loads := 0
	cached := h.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		loads++
		body, _ := io.ReadAll(r.Body)
		_, asked, _ := strings.Cut(string(body), `"n"`)
		fmt.Fprint(w, strings.Trim(asked, ":} \n"))
	}))
	const different = 2000
	for _, form := range []string{`{"id":1,"n":%d}`, `{"id":1,"n":%d}`, `{ "id" : 2, "n" : %d }`} {
		for n := range different {
			r := httptest.NewRequest("POST", "/q", strings.NewReader(fmt.Sprintf(form, n)))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			cached.ServeHTTP(w, r)
			if got := w.Body.String(); got != fmt.Sprint(n) {
				t.Fatalf("%s: the answer to %d is that to %s", form, n, got)
			}
		}
	}
	if loads != different {
		t.Errorf("%d loads for %d questions", loads, different)
	}
}
