package metrics_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/forebaytest"
	"github.com/forebay-cache/forebay/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func Example() {
	cache, err := forebay.Open(context.Background(), forebay.Options{})
	if err != nil {
		panic(err)
	}
	defer cache.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.New(cache))
}

func TestCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := forebaytest.Nodes(t, 1, forebay.Options{})[0]
		collector := metrics.New(c)
		defer collector.Close()
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(collector)
		f, err := forebay.Wrap(c, "users", func(context.Context, int) (string, error) { time.Sleep(300 * time.Millisecond); return "x", nil })
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			f.Get(t.Context(), 1)
		}
		f.Invalidate(t.Context(), 1)
		text := `
# HELP forebay_requests_total Requests by what happened to them.
# TYPE forebay_requests_total counter
forebay_requests_total{class="users",outcome="bypass"} 0
forebay_requests_total{class="users",outcome="coalesced"} 0
forebay_requests_total{class="users",outcome="hit"} 2
forebay_requests_total{class="users",outcome="miss"} 1
forebay_requests_total{class="users",outcome="stale"} 0
# HELP forebay_invalidations_total Invalidations that this node has made or heard of.
# TYPE forebay_invalidations_total counter
forebay_invalidations_total 1
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(text), "forebay_requests_total", "forebay_invalidations_total"); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"forebay_load_duration_seconds", "forebay_shared_lookup_duration_seconds", "forebay_entry_size_bytes", "forebay_shared_connected", "forebay_near_bytes"} {
			if n, err := testutil.GatherAndCount(registry, name); n != 1 || err != nil {
				t.Errorf("%s: %d series, %v", name, n, err)
			}
		}
		if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
			t.Errorf("%v %v", problems, err)
		}
	})
}
