package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics serves the statistics to Prometheus. The collector reads them when it is scraped, so
// requests pay nothing for it.
func (a *Admin) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(&collector{a}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

type collector struct{ admin *Admin }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("forebay_"+name, help, labels, nil)
}

var (
	requestsDesc   = desc("requests_total", "Requests by what happened to them.", "class", "outcome")
	missesDesc     = desc("misses_total", "Misses by reason.", "class", "reason")
	loadsDesc      = desc("loads_total", "Calls of the origin.", "class")
	loadingDesc    = desc("loads_in_flight", "Calls of the origin that run now.", "class")
	loadErrorsDesc = desc("load_errors_total", "Calls of the origin that failed.", "class")
	refusedDesc    = desc("loads_refused_total", "Loads not begun because the class had all of its loads running.", "class")
	savedDesc      = desc("saved_seconds_total", "Load time that requests did not wait for.", "class")
	entriesDesc    = desc("near_entries", "Entries in the near tier.", "class")
	evictionsDesc  = desc("near_evictions_total", "Entries removed from the near tier for room.", "class")
	bytesDesc      = desc("near_bytes", "Memory the near tier takes.")
	maxBytesDesc   = desc("near_max_bytes", "Memory the near tier may take.")
	confirmedDesc  = desc("log_confirmed", "1 while the node knows every invalidation.")
	infoDesc       = desc("build_info", "Always 1; the version is the label.", "version")
)

// Describe implements [prometheus.Collector].
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{requestsDesc, missesDesc, loadsDesc, loadingDesc, loadErrorsDesc, refusedDesc,
		savedDesc, entriesDesc, evictionsDesc, bytesDesc, maxBytesDesc, confirmedDesc, infoDesc} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(out chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := c.admin.Stats()
	for name, k := range s.Classes {
		count(requestsDesc, float64(k.Hits), name, "hit")
		count(requestsDesc, float64(k.StaleHits), name, "stale")
		count(requestsDesc, float64(k.Coalesced), name, "coalesced")
		count(requestsDesc, float64(k.Misses), name, "miss")
		count(requestsDesc, float64(k.Bypasses), name, "bypass")
		for reason, n := range k.MissesBy {
			count(missesDesc, float64(n), name, reason)
		}
		count(loadsDesc, float64(k.Loads), name)
		gauge(loadingDesc, float64(k.Loading), name)
		count(loadErrorsDesc, float64(k.LoadErrors), name)
		count(refusedDesc, float64(k.LoadsRefused), name)
		count(savedDesc, k.SavedSeconds, name)
		gauge(entriesDesc, float64(k.Entries), name)
		count(evictionsDesc, float64(k.Evictions), name)
	}
	gauge(bytesDesc, float64(s.Near.Bytes))
	gauge(maxBytesDesc, float64(s.Near.MaxBytes))
	confirmed := 0.0
	if s.Log.Confirmed {
		confirmed = 1
	}
	gauge(confirmedDesc, confirmed)
	gauge(infoDesc, 1, s.Version)
}
