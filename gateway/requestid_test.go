package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/httpcache"
)

func TestRequestIDs(t *testing.T) {
	_, url := front(t, gateway.Config{RequestIDs: true, Rules: []httpcache.Rule{{Match: "GET /a", TTL: time.Hour}}}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "the origin's own")
		fmt.Fprint(w, r.Header.Get("X-Request-Id"))
	}))
	ask := func(path, id string) (answered, told string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", url+path, nil)
		if id != "" {
			r.Header.Set("X-Request-Id", id)
		}
		res, body := fetch(t, r, err)
		if n := len(res.Header["X-Request-Id"]); n != 1 {
			t.Errorf("%d fields", n)
		}
		return res.Header.Get("X-Request-Id"), body
	}
	if id, told := ask("/a", "abc-1"); id != "abc-1" || told != "abc-1" {
		t.Errorf("a miss: %s, the origin was told %s", id, told)
	}
	if id, told := ask("/a", "abc-2"); id != "abc-2" || told != "abc-1" {
		t.Errorf("a hit: %s, stored is %s", id, told)
	}
	for _, wrong := range []string{"", "a b", `"x"`, strings.Repeat("x", 129)} {
		if id, told := ask("/b", wrong); id == wrong || len(id) < 20 || told != id {
			t.Errorf("%q: %s, the origin was told %s", wrong, id, told)
		}
	}
}
