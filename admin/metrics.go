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
	degradedDesc        = desc("degraded", "1 for each cause for which the node is degraded now.", "reason")
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
	c.admin.figures.Describe(out)
	for _, d := range []*prometheus.Desc{degradedDesc, infoDesc, durationDesc, statusDesc, mcpCallsDesc, mcpTimeDesc, purgesDesc, auditChecksDesc, auditViolationsDesc, laneDesc, laneDifferDesc, laneBytesDesc} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(out chan<- prometheus.Metric) {
	raw, to := c.admin.cache.Stats(), figures{out}
	c.admin.figures.CollectStats(out, raw)
	checks := map[string]bool{}
	for _, cause := range c.admin.verdict.look(time.Now(), raw) {
		if !cause.Warning && !checks[cause.Check] {
			checks[cause.Check] = true
			to.gauge(degradedDesc, 1, cause.Check)
		}
	}
	c.admin.requests.collect(out)
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
	to.gauge(infoDesc, 1, c.admin.o.Version)
}

// figures are sent to Prometheus.
type figures struct{ out chan<- prometheus.Metric }

func (f figures) count(d *prometheus.Desc, v float64, labels ...string) {
	f.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (f figures) gauge(d *prometheus.Desc, v float64, labels ...string) {
	f.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}
