package admin

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics serves the statistics to Prometheus. The collector reads them when it is scraped, so
// requests pay nothing for it.
func (a *Admin) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(&collector{a}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

type collector struct{ admin *Admin }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("forebay_"+name, help, labels, nil)
}

var (
	requestsDesc        = desc("requests_total", "Requests by what happened to them.", "class", "outcome")
	missesDesc          = desc("misses_total", "Misses by reason.", "class", "reason")
	loadsDesc           = desc("loads_total", "Loads: calls of the origin whose answer may be shared and stored.", "class")
	passedDesc          = desc("passed_total", "Calls of the origin for one caller, of which nothing is stored.", "class")
	passedErrDesc       = desc("passed_errors_total", "Calls for one caller that failed.", "class")
	degradedDesc        = desc("degraded", "1 for each cause for which the node is degraded now.", "reason")
	loadingDesc         = desc("loads_in_flight", "Calls of the origin that run now.", "class")
	loadErrorsDesc      = desc("load_errors_total", "Calls of the origin that failed.", "class")
	refusedDesc         = desc("loads_refused_total", "Loads not begun because the class had all of its loads running.", "class")
	savedDesc           = desc("saved_seconds_total", "Load time that requests did not wait for.", "class")
	savedCostDesc       = desc("saved_cost_total", "What the loads would have cost that requests did without, in the unit of the class's cost.", "class")
	entriesDesc         = desc("near_entries", "Entries in the near tier.", "class")
	evictionsDesc       = desc("near_evictions_total", "Entries removed from the near tier for room.", "class")
	bytesDesc           = desc("near_bytes", "Memory the near tier takes.")
	maxBytesDesc        = desc("near_max_bytes", "Memory the near tier may take.")
	confirmedDesc       = desc("log_confirmed", "1 while the node knows every invalidation.")
	connectedDesc       = desc("shared_connected", "1 while the shared tier is connected and its breaker closed.")
	lookupsDesc         = desc("shared_lookups_total", "Look-ups in the shared tier.")
	sharedErrDesc       = desc("shared_errors_total", "Operations on the shared tier that failed.")
	droppedDesc         = desc("shared_writes_dropped_total", "Writes to the shared tier for which the queue had no room.")
	unusableDesc        = desc("shared_unusable_total", "Values of the shared tier that could not be used.", "reason")
	deferredDesc        = desc("log_deferred", "Invalidations that wait to be told to the other nodes.")
	lagDesc             = desc("log_lag_seconds", "Time since the latest check of the log was sent.")
	notStoredDesc       = desc("not_stored_total", "Responses that were not stored, and requests that went past the cache, by reason.", "class", "reason")
	invalidDesc         = desc("invalidations_total", "Invalidations that this node has made or heard of.")
	nodesDesc           = desc("nodes", "Nodes on the log that this one hears, itself included.")
	purgesDesc          = desc("cdn_purges_total", "Purges that this node has asked the CDN above for, by what it answered.", "outcome")
	auditChecksDesc     = desc("audit_checks_total", "Times that the running audit has asked a cache, by its tier and the time after the invalidation.", "tier", "after")
	auditViolationsDesc = desc("audit_violations_total", "Of those, that the cache served what was removed.", "tier", "after")
	laneDesc            = desc("lane_answers_total", "Near hits that were answered below net/http.")
	laneDifferDesc      = desc("lane_differing_total", "Answers of net/http that would have been others below it: it has forgotten those.")
	laneBytesDesc       = desc("lane_bytes", "Memory that the heads of answers take which are known below net/http.")
	infoDesc            = desc("build_info", "Always 1; the version is the label.", "version")
)

// Describe implements [prometheus.Collector].
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{requestsDesc, missesDesc, loadsDesc, passedDesc, passedErrDesc, degradedDesc, loadingDesc, loadErrorsDesc, refusedDesc,
		savedDesc, entriesDesc, evictionsDesc, bytesDesc, maxBytesDesc, confirmedDesc, connectedDesc, lookupsDesc,
		sharedErrDesc, droppedDesc, unusableDesc, deferredDesc, lagDesc, infoDesc,
		notStoredDesc, invalidDesc, nodesDesc, durationDesc, statusDesc, loadTimeDesc, sharedTimeDesc, entrySizeDesc, savedCostDesc, mcpCallsDesc, mcpTimeDesc, purgesDesc, auditChecksDesc, auditViolationsDesc, laneDesc, laneDifferDesc, laneBytesDesc} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(out chan<- prometheus.Metric) {
	raw, to := c.admin.cache.Stats(), figures{out}
	s := c.admin.statsOf(raw)
	checks := map[string]bool{}
	for _, cause := range c.admin.verdict.look(time.Now(), raw) {
		if !cause.Warning && !checks[cause.Check] {
			checks[cause.Check] = true
			to.gauge(degradedDesc, 1, cause.Check)
		}
	}
	for name, class := range s.Classes {
		to.class(name, class)
	}
	to.gauge(bytesDesc, float64(s.Near.Bytes))
	to.gauge(maxBytesDesc, float64(s.Near.MaxBytes))
	to.gauge(confirmedDesc, one(s.Log.Confirmed))
	to.gauge(lagDesc, s.Log.LagMS/1000)
	if s.Shared != nil {
		to.shared(s.Shared)
	}
	to.count(invalidDesc, float64(c.admin.activity.everInvalidated()))
	to.gauge(nodesDesc, float64(len(s.Nodes)))
	c.admin.requests.collect(out)
	c.admin.work.collect(out, s.Shared != nil)
	c.admin.mcp.collect(out)
	if e := c.admin.o.Edge; e != nil && e.Vendor() != "" {
		taken, refused, failed := e.Calls()
		to.count(purgesDesc, float64(taken), "taken")
		to.count(purgesDesc, float64(refused), "refused")
		to.count(purgesDesc, float64(failed), "failed")
	}
	c.admin.collectAudit(to)
	if of := c.admin.o.Lane; of != nil {
		l := of()
		to.count(laneDesc, float64(l.Answers))
		to.count(laneDifferDesc, float64(l.Differ))
		to.gauge(laneBytesDesc, float64(l.Bytes))
	}
	to.gauge(infoDesc, 1, s.Version)
}

// figures are sent to Prometheus.
type figures struct{ out chan<- prometheus.Metric }

func (f figures) count(d *prometheus.Desc, v float64, labels ...string) {
	f.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (f figures) gauge(d *prometheus.Desc, v float64, labels ...string) {
	f.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (f figures) class(name string, k ClassStats) {
	f.count(requestsDesc, float64(k.Hits), name, "hit")
	f.count(requestsDesc, float64(k.StaleHits), name, "stale")
	f.count(requestsDesc, float64(k.Coalesced), name, "coalesced")
	f.count(requestsDesc, float64(k.Misses), name, "miss")
	f.count(requestsDesc, float64(k.Bypasses), name, "bypass")
	for reason, n := range k.MissesBy {
		f.count(missesDesc, float64(n), name, reason)
	}
	for reason, n := range k.NotStored {
		f.count(notStoredDesc, float64(n), name, reason)
	}
	f.count(loadsDesc, float64(k.Loads), name)
	f.count(passedDesc, float64(k.Passed), name)
	f.count(passedErrDesc, float64(k.PassedErrors), name)
	f.gauge(loadingDesc, float64(k.Loading), name)
	f.count(loadErrorsDesc, float64(k.LoadErrors), name)
	f.count(refusedDesc, float64(k.LoadsRefused), name)
	f.count(savedDesc, k.SavedSeconds, name)
	if k.SavedCost != nil {
		f.count(savedCostDesc, *k.SavedCost, name)
	}
	f.gauge(entriesDesc, float64(k.Entries), name)
	f.count(evictionsDesc, float64(k.Evictions), name)
}

func (f figures) shared(s *SharedStats) {
	f.gauge(connectedDesc, one(s.Usable))
	f.count(lookupsDesc, float64(s.Lookups))
	f.count(sharedErrDesc, float64(s.Errors))
	f.count(droppedDesc, float64(s.Dropped))
	f.gauge(deferredDesc, float64(s.Deferred))
	for reason, n := range s.Unusable {
		f.count(unusableDesc, float64(n), reason)
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
