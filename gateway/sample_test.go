package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/forebay-cache/forebay/gateway"
)

// Whether a route is safe to cache is judged by what was seen: equal requests that are answered alike.
func TestIsItSafe(t *testing.T) {
	var calls, cookies atomic.Int64
	g, url := front(t, gateway.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := calls.Add(1)
		switch r.URL.Path {
		case "/clock":
			fmt.Fprint(w, n)
		case "/mine":
			fmt.Fprint(w, r.Header.Get("Authorization"))
		case "/cookie":
			if cookies.Add(1)%2 == 0 {
				return
			}
			http.SetCookie(w, &http.Cookie{Name: "seen", Value: "1"})
		case "/star":
			w.Header().Set("Vary", "Accept, *")
		case "/languages":
			w.Header().Set("Vary", "Accept-Language")
			fmt.Fprint(w, r.Header.Get("Accept-Language"))
		case "/broken":
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, n)
		}
	}))
	fetchAs := func(path string, fields ...string) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		if res, err := http.DefaultClient.Do(r); err == nil {
			res.Body.Close()
		}
	}
	gateway.SampleAll(g)
	for i := range 12 {
		for _, path := range []string{"/same", "/clock", "/cookie", "/star"} {
			fetchAs(path)
		}
		fetchAs("/mine", "Authorization", fmt.Sprint("Bearer ", i%2))
		fetchAs("/languages", "Accept-Language", []string{"de", "fr"}[i%2])
		fetchAs(fmt.Sprint("/once/", 1000+i))
		fetchAs("/broken")
	}
	want := map[string]struct {
		safe gateway.Safety
		why  string
	}{
		"GET /same": {gateway.SafetyYes, "answered alike"}, "GET /clock": {gateway.SafetyNo, "answered otherwise"}, "GET /mine": {gateway.SafetyCareful, "callers get different"},
		"GET /cookie": {gateway.SafetyCareful, "sets cookies"}, "GET /languages": {gateway.SafetyYes, ""}, "GET /once/{id}": {gateway.SafetyUnknown, "too few"},
		"GET /broken": {gateway.SafetyUnknown, "too few"},
	}
	got := map[string]gateway.Advice{}
	for _, a := range g.Advice() {
		got[a.Route] = a
	}
	for route, w := range want {
		if a := got[route]; a.Safe != w.safe || !strings.Contains(a.Why, w.why) {
			t.Errorf("%s: %+v, want %s", route, a, w.safe)
		}
	}
	if v := got["GET /languages"].Vary; len(v) != 1 || v[0] != "Accept-Language" {
		t.Errorf("vary: %v", v)
	}
}
