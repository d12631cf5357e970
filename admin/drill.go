package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/forebay-cache/forebay"
)

// A Drilled tier can be taken away on purpose.
type Drilled interface {
	// Away takes the tier away until back is called, at the latest after the duration.
	Away(d time.Duration) (back func())
}

// Drills takes the shared tier away on a running node, and tells what that did to the requests that
// [Admin.Measure] follows.
type Drills struct {
	Tier Drilled
}

// Bounds of a drill.
const (
	minDrill = time.Second
	maxDrill = 10 * time.Minute
	healFor  = 30 * time.Second // how long to wait until the tier is back
)

// A Report is what a drill did: the same time before, during, and after it.
type Report struct {
	For         time.Duration `json:"for_ns"`
	Before      Phase         `json:"before"`
	During      Phase         `json:"during"`
	After       Phase         `json:"after"`
	DegradedIn  time.Duration `json:"degraded_in_ns"` // until health said so; negative: it never did
	HealedIn    time.Duration `json:"healed_in_ns"`   // until it said that all is well again
	Invalidated int64         `json:"deferred"`       // invalidations that waited for the log at the end
}

// A Phase is what happened in a part of a drill.
type Phase struct {
	Sample
	Loads      uint64  `json:"loads"`
	LoadErrors uint64  `json:"load_errors"`
	HitRate    float64 `json:"hit_rate"`
}

// A DrillRequest says what to take away, and for how long.
type DrillRequest struct {
	Tier string `json:"tier" doc:"redis"`
	For  string `json:"for" doc:"A duration, such as 30s"`
}

// drill runs one. It answers when it is over.
func (a *Admin) drill(ctx context.Context, in *answer[DrillRequest]) (*answer[Report], error) {
	if a.o.Drills == nil {
		return nil, huma.Error403Forbidden("drills are not enabled on this node: start it with --drills, and with a shared tier")
	}
	if in.Body.Tier != "redis" {
		return nil, huma.Error422UnprocessableEntity(`tier: "redis" is the only one that can be taken away`)
	}
	d, err := time.ParseDuration(in.Body.For)
	if err != nil || d < minDrill || d > maxDrill {
		return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("for: %q is not a duration from %s to %s", in.Body.For, minDrill, maxDrill))
	}
	if !a.drilling.CompareAndSwap(false, true) {
		return nil, huma.Error409Conflict("a drill is running: wait for its end")
	}
	defer a.drilling.Store(false)
	a.audit(ctx, Item{Text: "drill: the shared tier is to be taken away for " + d.String()})
	report, err := a.runDrill(ctx, d)
	if err != nil {
		a.activity.note(Item{Kind: "drill", Text: "ended early, the shared tier is back: " + err.Error(), Here: true})
		a.o.Logger.Warn("drill: ended early, the shared tier is back", slog.Any("reason", err))
		return nil, huma.Error503ServiceUnavailable("the drill ended early: " + err.Error())
	}
	a.activity.note(Item{Kind: "drill", Text: fmt.Sprintf("over: %d requests without the shared tier, %d failed", report.During.Requests, report.During.Failed), Here: true})
	a.o.Logger.Warn("drill: over, the shared tier is back", slog.Any("report", report))
	return &answer[Report]{report}, nil
}

func (a *Admin) runDrill(ctx context.Context, d time.Duration) (Report, error) {
	out := Report{For: d, DegradedIn: -1, HealedIn: -1}
	w := a.requests.open()
	defer w.close()
	var err error
	if out.Before, err = a.phase(ctx, w, d, nil); err != nil {
		return out, err
	}
	a.activity.note(Item{Kind: "drill", Text: "the shared tier is taken away for " + d.String(), Here: true})
	begun := time.Now()
	back := a.o.Drills.Tier.Away(d + healFor)
	defer back()
	out.During, err = a.phase(ctx, w, d, func() {
		if out.DegradedIn < 0 && a.cache.Stats().Mode == forebay.Degraded {
			out.DegradedIn = time.Since(begun)
		}
	})
	if err != nil {
		return out, err
	}
	out.Invalidated = a.cache.Stats().Shared.Deferred
	back()
	begun = time.Now()
	healed := func() bool {
		if out.HealedIn < 0 && a.cache.Stats().Mode == forebay.TwoTier {
			out.HealedIn = time.Since(begun)
		}
		return out.HealedIn >= 0
	}
	if out.After, err = a.phase(ctx, w, d, func() { healed() }); err != nil {
		return out, err
	}
	return out, a.until(ctx, healed, begun.Add(healFor))
}

// until waits for something that the phases did not see, as a node under load takes its time.
func (a *Admin) until(ctx context.Context, seen func() bool, end time.Time) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for !seen() && time.Now().Before(end) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-a.stopped:
			return http.ErrServerClosed
		}
	}
	return nil
}

// lookEvery is how often a drill looks at the state.
const lookEvery = 5 * time.Millisecond

// phase lets a part of the drill pass and says what happened in it.
func (a *Admin) phase(ctx context.Context, w *window, d time.Duration, look func()) (Phase, error) {
	before := a.Stats()
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if look != nil {
				look()
			}
			continue
		case <-ctx.Done():
			return Phase{}, ctx.Err()
		case <-a.stopped:
			return Phase{}, http.ErrServerClosed
		case <-end.C:
		}
		after := a.Stats()
		counted := w.take()
		p := Phase{Sample: counted.figures(), Loads: after.Loads - before.Loads, LoadErrors: after.LoadErrors - before.LoadErrors}
		good := after.Hits + after.StaleHits + after.Coalesced - before.Hits - before.StaleHits - before.Coalesced
		if all := good + after.Misses - before.Misses; all > 0 {
			p.HitRate = float64(good) / float64(all)
		}
		return p, nil
	}
}
