package admin_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/shared"
)

// What the cache itself does is measured: loads, questions to the shared tier, the size of entries; and a slow request
// leads to its trace.
func TestWorkIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := forebay.Open(t.Context(), forebay.Options{Shared: shared.NewMemory(), Classes: []forebay.Class{{Name: "search", Cost: 0.5}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		f, err := forebay.Wrap(c, "search", func(context.Context, int) (string, error) {
			time.Sleep(300 * time.Millisecond)
			return strings.Repeat("x", 5000), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		trace := ""
		a := admin.New(c, quiet(admin.Options{Loopback: true, TraceID: func(context.Context) string { return trace }}))
		defer a.Close()
		h := a.Measure(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f.Get(r.Context(), len(r.URL.Path)) }))
		for _, one := range []string{"/slow", "/quick", "/slow"} {
			trace = strings.Trim(one, "/")
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", one, nil))
		}
		text := request(a.Handler(), "GET", "/metrics", "", "Accept", "application/openmetrics-text; version=1.0.0").Body.String()
		for _, line := range []string{
			`forebay_load_duration_seconds_bucket{class="search",le="0.262144"} 0`,
			`forebay_load_duration_seconds_bucket{class="search",le="0.524288"} 2`,
			`forebay_load_duration_seconds_count{class="search"} 2`,
			`forebay_entry_size_bytes_bucket{class="search",le="4096.0"} 0`,
			`forebay_entry_size_bytes_bucket{class="search",le="16384.0"} 2`,
			`forebay_shared_lookup_duration_seconds_count 2`,
			`forebay_saved_cost_total{class="search"} 0.5`,
		} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("no %s", line)
			}
		}
		if !regexp.MustCompile(`request_duration_seconds_bucket\{outcome="other",route="[^"]*",le="0.524288"\} 3 # \{trace_id="(slow|quick)"\} 0.3`).MatchString(text) {
			t.Error("no slow request leads to its trace")
		}
	})
}
