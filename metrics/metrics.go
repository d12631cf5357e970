// Package metrics tells Prometheus what a cache does:
//
//	registry.MustRegister(metrics.New(cache))
//
// The statistics are read when they are scraped, so hits pay nothing for it.
package metrics

import (
	"github.com/forebay-cache/forebay"
	"github.com/prometheus/client_golang/prometheus"
)

// A Collector is a [prometheus.Collector] of one cache: requests by class and outcome, loads and how long they take, both tiers, the
// log. Its names begin with "forebay_". It is safe for concurrent use.
type Collector struct {
	cache *forebay.Cache
	work  work
	stop  func()
}

// New returns the collector of a cache, and begins to time its loads.
func New(cache *forebay.Cache) *Collector {
	c := &Collector{cache: cache, work: work{loads: map[string]*spread{}, sizes: map[string]*spread{}}}
	c.stop = cache.Observe(&c.work)
	return c
}

// Close ends the timing. It is safe to call twice, and need not be called before the cache is closed.
func (c *Collector) Close() { c.stop() }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("forebay_"+name, help, labels, nil)
}

var (
	requestsDesc   = desc("requests_total", "Requests by what happened to them.", "class", "outcome")
	missesDesc     = desc("misses_total", "Misses by reason.", "class", "reason")
	loadsDesc      = desc("loads_total", "Loads: calls of the origin whose answer may be shared and stored.", "class")
	passedDesc     = desc("passed_total", "Calls of the origin for one caller, of which nothing is stored.", "class")
	passedErrDesc  = desc("passed_errors_total", "Calls for one caller that failed.", "class")
	loadingDesc    = desc("loads_in_flight", "Calls of the origin that run now.", "class")
	loadErrorsDesc = desc("load_errors_total", "Calls of the origin that failed.", "class")
	refusedDesc    = desc("loads_refused_total", "Loads not begun because the class had all of its loads running.", "class")
	savedDesc      = desc("saved_seconds_total", "Load time that requests did not wait for.", "class")
	savedCostDesc  = desc("saved_cost_total", "What the loads would have cost that requests did without, in the unit of the class's cost.", "class")
	entriesDesc    = desc("near_entries", "Entries in the near tier.", "class")
	evictionsDesc  = desc("near_evictions_total", "Entries removed from the near tier for room.", "class")
	bytesDesc      = desc("near_bytes", "Memory the near tier takes.")
	maxBytesDesc   = desc("near_max_bytes", "Memory the near tier may take.")
	confirmedDesc  = desc("log_confirmed", "1 while the node knows every invalidation.")
	connectedDesc  = desc("shared_connected", "1 while the shared tier is connected and its breaker closed.")
	lookupsDesc    = desc("shared_lookups_total", "Look-ups in the shared tier.")
	sharedErrDesc  = desc("shared_errors_total", "Operations on the shared tier that failed.")
	droppedDesc    = desc("shared_writes_dropped_total", "Writes to the shared tier for which the queue had no room.")
	unusableDesc   = desc("shared_unusable_total", "Values of the shared tier that could not be used.", "reason")
	deferredDesc   = desc("log_deferred", "Invalidations that wait to be told to the other nodes.")
	lagDesc        = desc("log_lag_seconds", "Time since the latest check of the log was sent.")
	notStoredDesc  = desc("not_stored_total", "Responses that were not stored, and requests that went past the cache, by reason.", "class", "reason")
	nodesDesc      = desc("nodes", "Nodes on the log that this one hears, itself included.")
)

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		requestsDesc, missesDesc, loadsDesc, passedDesc, passedErrDesc, loadingDesc, loadErrorsDesc, refusedDesc, savedDesc, savedCostDesc, entriesDesc, evictionsDesc, bytesDesc, maxBytesDesc, confirmedDesc, connectedDesc, lookupsDesc, sharedErrDesc, droppedDesc, unusableDesc, deferredDesc, lagDesc, notStoredDesc, nodesDesc,
		loadTimeDesc, sharedTimeDesc, entrySizeDesc, invalidDesc,
	} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(out chan<- prometheus.Metric) { c.CollectStats(out, c.cache.Stats()) }

// CollectStats is Collect, of statistics that were just read.
func (c *Collector) CollectStats(out chan<- prometheus.Metric, s forebay.Stats) {
	to := figures{out}
	for _, k := range s.Classes {
		to.class(k)
	}
	to.gauge(bytesDesc, float64(s.Near.Bytes))
	to.gauge(maxBytesDesc, float64(s.Near.MaxBytes))
	to.gauge(confirmedDesc, one(s.Log.Confirmed))
	to.gauge(lagDesc, s.Log.Lag.Seconds())
	to.gauge(nodesDesc, float64(len(s.Nodes)))
	if s.Shared != nil {
		to.shared(s.Shared)
	}
	c.work.collect(to, s.Shared != nil)
}

// figures are sent to Prometheus.
type figures struct{ out chan<- prometheus.Metric }

func (f figures) count(d *prometheus.Desc, v float64, labels ...string) {
	f.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (f figures) gauge(d *prometheus.Desc, v float64, labels ...string) {
	f.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (f figures) class(k forebay.ClassStats) {
	name := k.Class.Name
	f.count(requestsDesc, float64(k.Hits()), name, "hit")
	f.count(requestsDesc, float64(k.StaleHits), name, "stale")
	f.count(requestsDesc, float64(k.Coalesced), name, "coalesced")
	f.count(requestsDesc, float64(k.Misses), name, "miss")
	f.count(requestsDesc, float64(k.Bypasses), name, "bypass")
	for reason, n := range k.MissesBy {
		f.count(missesDesc, float64(n), name, reason.String())
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
	f.count(savedDesc, k.Saved.Seconds(), name)
	if cost, known := k.SavedCost(); known {
		f.count(savedCostDesc, cost, name)
	}
	f.gauge(entriesDesc, float64(k.Entries), name)
	f.count(evictionsDesc, float64(k.Evictions), name)
}

func (f figures) shared(s *forebay.SharedStats) {
	usable, _ := s.Usable()
	f.gauge(connectedDesc, one(usable))
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
