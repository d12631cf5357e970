package faults

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The targets of the report.
const (
	mostAdded   = time.Millisecond // to the p99, while the server is not asked
	mostDelayed = budget + 10*time.Millisecond
	saidWithin  = 2 * time.Second
	wellWithin  = 3 * time.Second
)

func report(near latency, results, ofOrigins []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Reliability

> What the platform's callers notice when something breaks. Written by `+"`make faults`"+` on %d cores, %s: two nodes, %d requests a second of the platform's mix, each fault for %s. [Operations](operations.md) says what to do.

## The shared tier, and ourselves

The same load on the nodes' near tiers alone: p99 %s, slowest %s. *Without the server* is the p99 of the requests that came while no node asked the server any more, because its breaker was open or its connection gone; *added* is that, less the same of the near tiers alone (%s). Both are medians of each second's p99, because a machine may stand still for a moment. Three of five requests of the mix are for a strict class (partner_data): while its node cannot confirm that it knows every invalidation, each of them is loaded from the origin, one load at a time for each key. Where the server is still asked, the first row is the comparison: a look-up costs a round trip.

All figures are of requests through the handlers, without a network. The nodes, their origin, what asks them, and what stands between them and the servers share one process. Where nodes are frozen or killed, they are processes of their own, asked by HTTP.

| fault | requests | failed | older than promised | p99 | slowest | p99 without the server | added | loads | of a healthy tier | of one key at once | degraded said after | healed after |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
`, runtime.NumCPU(), runtime.Version(), *rate, *duration, ms(near.p99), ms(near.slowest), ms(near.steady))
	for _, r := range results {
		p99, added, atOnce, said := "", "", "", "not: it goes on"
		if r.degradedIn >= 0 {
			said = ms(r.degradedIn)
		}
		if r.away.requests > 0 {
			p99, added = ms(r.away.steady), ms(r.away.steady-near.steady)
		}
		if r.atOnce > 0 {
			atOnce = strconv.Itoa(r.atOnce)
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s | %s | %s | %s | %d | %d | %s | %s | %s |\n",
			r.name, r.requests, r.failed+r.refused, r.stale, ms(r.p99), ms(r.slowest), p99, added, r.loads, r.ideal(results[0]), atOnce, said, ms(r.healedIn))
	}
	b.WriteString(`
Loads of a healthy tier are those of the first row, for as many requests: one for each key that was changed and is asked for again. Healed is counted from when the server, or the node, is well again: started, reachable, or its replica made the master. After each fault every node was asked for what had been acknowledged, deferred or not: nothing was lost.

A failover makes the cache cold once: what the old master had acknowledged and its replica never got is unknown, so nothing from before is served, stale or not. That is why serving stale makes no difference to its loads.

A node that is frozen or dead is sent nothing, as by a load balancer that sees it. What was under way in it then ends with it, and is not counted:`)
	for _, r := range results {
		if r.ended > 0 {
			fmt.Fprintf(&b, " %d (%s);", r.ended, r.name)
		}
	}
	fmt.Fprintf(&b, ` all other rows 0.

## The origin

Two gateways on one Redis, in front of the platform by HTTP; what they cache is fresh for %s, served while it is loaded again for %s more, and for %s if that fails; a caller waits %s for a load before it is served what is stale. The latencies are those of the reads; nothing can stand in for an origin that is to be changed.

| fault | reads | of them failed | writes refused | p99 | slowest | loads | of one URI at once | healed after |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
`, kept.TTL, kept.Stale, kept.StaleIfError, kept.Wait)
	for _, r := range ofOrigins {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s | %s | %d | %d | %s |\n",
			r.name, r.requests, r.failed, r.refused, ms(r.p99), ms(r.slowest), r.loads, r.atOnce, ms(r.healedIn))
	}
	b.WriteString(`
Healed is when a change shows on both gateways after the origin is well again. Of one URI each gateway has one load at a time; an origin that hangs notices late that its caller has gone, and may see more.

## Targets

Nothing fails for which something is stored, nothing is older than promised, no request waits longer than the budget (50 ms) and 10 ms more, nothing adds 1 ms to the p99 while the server is not asked, degraded is said within 2 s, healed within 3 s, and one load of a key at a time on a node, with one more beside it that an invalidation has called for.
`)
	if missed := misses(near, slices.Concat(results, ofOrigins)); len(missed) > 0 {
		b.WriteString("\nMissed in this run:\n\n- " + strings.Join(missed, "\n- ") + "\n")
	} else {
		b.WriteString("\nAll were met in this run.\n")
	}
	return b.String()
}

// ideal is how many loads as many requests ask for where nothing is broken.
func (r result) ideal(healthy result) int {
	return int(healthy.loads) * r.requests / max(1, healthy.requests)
}

func misses(near latency, results []result) (missed []string) {
	for _, r := range results {
		miss := func(what string, is, limit time.Duration) {
			if is > limit {
				missed = append(missed, fmt.Sprintf("%s: %s %s, target %s", r.name, what, ms(is), ms(limit)))
			}
		}
		miss("slowest", r.slowest, mostDelayed)
		if r.away.requests > 0 {
			miss("added", r.away.steady-near.steady, mostAdded)
		}
		if r.degradedIn >= 0 {
			miss("degraded said after", r.degradedIn, saidWithin)
		}
		miss("healed after", r.healedIn, wellWithin)
	}
	return missed
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
