package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/httpcache"
)

// A purge of thousands is a few items, and what was before it is still there.
func TestActivityIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := forebay.Open(t.Context(), forebay.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		a := admin.New(c, quiet(admin.Options{}))
		defer a.Close()
		c.Invalidate(t.Context(), forebay.Tag("first"))
		time.Sleep(2 * time.Second)
		for i := range 5000 {
			c.Invalidate(t.Context(), forebay.Tag(fmt.Sprint("t", i)))
		}
		time.Sleep(2 * time.Second)
		for range 3 {
			c.Expire(t.Context(), forebay.Tag("again"))
		}
		items := a.Activity()
		total := 0
		for _, i := range items {
			total += i.Count
		}
		last := items[len(items)-1]
		if len(items) > 30 || total != 5004 || items[0].Target != "tag first" || last.Target != "tag again" || last.Count != 3 || last.Mode != "expire" || !last.Here {
			t.Errorf("%d items of %d; first %+v, last %+v", len(items), total, items[0], last)
		}
		operators := admin.New(c, quiet(admin.Options{Loopback: true}))
		defer operators.Close()
		request(operators.Handler(), "POST", "/api/invalidate", `{"tag":"by a person"}`)
		for i := range 3000 {
			time.Sleep(time.Second)
			c.Invalidate(t.Context(), forebay.Tag(fmt.Sprint("u", i)))
		}
		if n := len(a.Activity()); n > 1000 {
			t.Errorf("%d items are kept", n)
		}
		person := 0
		for _, i := range operators.Activity() {
			if i.Kind == "audit" && i.Target == "tag by a person" {
				person++
			}
		}
		if person != 1 {
			t.Error("programs have pushed out what a person did")
		}
	})
}

// Of many requests a sample stands for all: its counts add up to what was asked.
func TestTheSampleStandsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := forebay.Open(t.Context(), forebay.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f, err := forebay.Wrap(c, "c", func(_ context.Context, k string) (string, error) { return k, nil })
		if err != nil {
			t.Fatal(err)
		}
		a := admin.New(c, quiet(admin.Options{Loopback: true}))
		defer a.Close()
		h := a.Measure(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Status", httpcache.Status(f.Do(r.Context(), r.URL.Path).Outcome))
		}))
		for range 10 {
			for range 1000 {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/a", nil))
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		n := uint64(0)
		for _, p := range a.Series("1s").Points {
			n += p.Latency["near"].N + p.Latency["miss"].N
		}
		if kept := len(a.Requests()); n != 10_000 || kept > 200 {
			t.Errorf("%d requests timed, %d kept", n, kept)
		}
		top := request(a.Handler(), "GET", "/api/keys", "").Body.String()
		var count float64
		if _, err := fmt.Sscanf(top, `{"top":[{"key":"c:/a,","class":"c","count":%f`, &count); err != nil || count < 9000 || count > 10_000 {
			t.Errorf("asked for %v times: %v in %.200s", count, err, top)
		}
	})
}
