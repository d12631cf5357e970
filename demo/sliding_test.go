package demo_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/demo"
)

// A session's end moves with its use, but is written only when a tenth of its life has passed.
func TestASessionSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := demo.Open(context.Background(), demo.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		h := p.Handler(p.Admin(admin.Options{Loopback: true}))
		var cookie *http.Cookie
		call := func(method, body string) (status int, written bool) {
			r := httptest.NewRequest(method, "/api/session", strings.NewReader(body))
			if cookie != nil {
				r.AddCookie(cookie)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			for _, c := range w.Result().Cookies() {
				cookie, written = c, true
			}
			return w.Code, written
		}
		if status, written := call("POST", `{"user":"anna","org_id":"acme"}`); status != 200 || !written {
			t.Fatal(status, written)
		}
		for _, step := range []struct {
			after   time.Duration
			status  int
			written bool
		}{
			{5 * time.Minute, 200, false}, {2 * time.Minute, 200, true}, {5 * time.Minute, 200, false},
			{50 * time.Minute, 200, true}, {59 * time.Minute, 200, true}, {61 * time.Minute, 404, false},
		} {
			time.Sleep(step.after)
			if status, written := call("GET", ""); status != step.status || written != step.written {
				t.Errorf("after %s more: %d, written %v; want %d, %v", step.after, status, written, step.status, step.written)
			}
		}
	})
}
