package httpcache_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

// A load that finds what is stored still to be the one has not failed, whatever it was asked for.
func TestValidationIsNoFailure(t *testing.T) {
	for name, fields := range map[string][]string{
		"GET": {"GET"}, "HEAD": {"HEAD"}, "a range": {"GET", "Range", "bytes=0-1"}, "of a caller": {"GET", "Authorization", "Bearer x"},
	} {
		for _, how := range []string{"max-age=1, public", "max-age=1, public, stale-while-revalidate=60"} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Cache-Control", how)
					w.Header().Set("Etag", `"v1"`)
					if r.Header.Get("If-None-Match") != "" {
						w.WriteHeader(http.StatusNotModified)
						return
					}
					w.Write([]byte("the answer"))
				})
				ask := func(method string, fields ...string) {
					r, err := http.NewRequestWithContext(t.Context(), method, s.url+"/a", nil)
					if err != nil {
						t.Fatal(err)
					}
					for i := 0; i < len(fields); i += 2 {
						r.Header.Set(fields[i], fields[i+1])
					}
					res, err := http.DefaultTransport.RoundTrip(r)
					if err != nil {
						t.Fatal(err)
					}
					res.Body.Close()
				}
				ask("GET")
				time.Sleep(1100 * time.Millisecond)
				ask(fields[0], fields[1:]...)
				var c forebay.ClassStats
				for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
					if c = s.cache.Stats().Classes[0]; c.LoadsEnded >= 2 {
						break
					}
				}
				if c.LoadsEnded != 2 || c.LoadErrors != 0 {
					t.Errorf("%d loads, %d of them failed", c.LoadsEnded, c.LoadErrors)
				}
			})
		}
	}
}
