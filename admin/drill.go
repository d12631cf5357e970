package admin

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/forebay-cache/forebay"
)

// A Drilled tier can be taken away on purpose.
type Drilled interface {
	// Away takes the tier away until back is called, at the latest after the duration.
	Away(d time.Duration) (back func())
}

// Drills takes the shared tier away on a running node, and tells what that did to requests.
type Drills struct {
	Tier     Drilled
	Requests *Requests // of the public listener
}

// Bounds of a drill.
const (
	minDrill = time.Second
	maxDrill = 10 * time.Minute
	healFor  = 10 * time.Second // how long to wait until the tier is back
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

// drill runs one. It answers when it is over.
func (a *Admin) drill(w http.ResponseWriter, r *http.Request) {
	if a.o.Drills == nil {
		problem(w, http.StatusForbidden, "drills are not enabled on this node: start it with --drills, and with a shared tier")
		return
	}
	var req struct{ Tier, For string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&req); err != nil || req.Tier != "redis" {
		problem(w, http.StatusUnprocessableEntity, `the body is not {"tier": "redis", "for": "30s"}`)
		return
	}
	d, err := time.ParseDuration(req.For)
	if err != nil || d < minDrill || d > maxDrill {
		problem(w, http.StatusUnprocessableEntity, fmt.Sprintf("for: %q is no duration from %s to %s", req.For, minDrill, maxDrill))
		return
	}
	if !a.drilling.CompareAndSwap(false, true) {
		problem(w, http.StatusConflict, "a drill is running: wait for its end")
		return
	}
	defer a.drilling.Store(false)
	a.o.Logger.Warn("drill: the shared tier is taken away", slog.Duration("for", d), slog.String("by", r.RemoteAddr))
	report, err := a.runDrill(r, d)
	if err != nil {
		a.o.Logger.Warn("drill: ended early, the shared tier is back", slog.Any("reason", err))
		return
	}
	a.o.Logger.Warn("drill: over, the shared tier is back", slog.Any("report", report))
	writeJSON(w, http.StatusOK, report)
}

func (a *Admin) runDrill(r *http.Request, d time.Duration) (Report, error) {
	out := Report{For: d, DegradedIn: -1, HealedIn: -1}
	a.o.Drills.Requests.take()
	var err error
	if out.Before, err = a.phase(r, d, nil); err != nil {
		return out, err
	}
	begun := time.Now()
	back := a.o.Drills.Tier.Away(d + healFor)
	defer back()
	out.During, err = a.phase(r, d, func() {
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
	out.After, err = a.phase(r, d, func() {
		if out.HealedIn < 0 && a.cache.Stats().Mode == forebay.TwoTier {
			out.HealedIn = time.Since(begun)
		}
	})
	return out, err
}

// lookEvery is how often a drill looks at the state.
const lookEvery = 5 * time.Millisecond

// phase lets a part of the drill pass and says what happened in it.
func (a *Admin) phase(r *http.Request, d time.Duration, look func()) (Phase, error) {
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
		case <-r.Context().Done():
			return Phase{}, r.Context().Err()
		case <-a.stopped:
			return Phase{}, http.ErrServerClosed
		case <-end.C:
		}
		after := a.Stats()
		p := Phase{Sample: a.o.Drills.Requests.take(), Loads: after.Loads - before.Loads, LoadErrors: after.LoadErrors - before.LoadErrors}
		good := after.Hits + after.StaleHits + after.Coalesced - before.Hits - before.StaleHits - before.Coalesced
		if all := good + after.Misses - before.Misses; all > 0 {
			p.HitRate = float64(good) / float64(all)
		}
		return p, nil
	}
}
