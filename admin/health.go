package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/forebay-cache/forebay"
)

// Health is the answer of /health and /health/ready.
type Health struct {
	Status  string            `json:"status" enum:"ok,degraded,unhealthy"`
	Reasons []string          `json:"reasons"`
	Checks  map[string]string `json:"checks"`
	Causes  []Cause           `json:"causes" doc:"The same, each with since when, what it touches and what to do; what only warns, too"`
	// Warnings: working, but not helping.
	Warnings []string `json:"warnings,omitempty"`
}

// Health asks every check. A part that is away makes the service degraded, never unhealthy: it goes
// on answering. It is unhealthy once its cache is closed.
func (a *Admin) Health(ctx context.Context) Health { return a.healthOf(ctx, a.cache.Stats()) }

// healthOf judges one look at the statistics, so that what is told beside it is of the same moment.
func (a *Admin) healthOf(ctx context.Context, s forebay.Stats) Health {
	h := Health{Status: "ok", Reasons: []string{}, Checks: map[string]string{"near": "ok", "log": "ok"}, Causes: []Cause{}}
	if s.Shared != nil {
		h.Checks["shared"] = "ok"
	}
	for name, check := range a.o.Checks {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		err := check(ctx)
		cancel()
		h.Checks[name] = "ok"
		a.verdict.check(time.Now(), name, err)
	}
	h.Causes = append(h.Causes, a.verdict.look(time.Now(), s)...)
	for _, c := range h.Causes {
		if c.Warning {
			h.Warnings = append(h.Warnings, c.text())
			continue
		}
		h.Status, h.Checks[c.Check] = "degraded", c.Reason
		h.Reasons = append(h.Reasons, c.text())
	}
	if a.cache.Closed() {
		h.Status = "unhealthy"
		h.Checks["near"] = "closed"
		h.Reasons = append(h.Reasons, "near: the cache is closed: the process is stopping")
	}
	return h
}

// Incidents returns what is wrong and what was, the latest first, as far back as this process has run.
func (a *Admin) Incidents() []Incident {
	a.verdict.look(time.Now(), a.cache.Stats())
	return a.verdict.incidents()
}

// HealthHandler answers as /health does, under whatever path a program mounts it: JSON, with 503 where the cache is closed.
func (a *Admin) HealthHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := a.health(r.Context(), nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(out.Status)
		json.NewEncoder(w).Encode(out.Body) // to a client that may have gone
	})
}

type healthAnswer struct {
	Status int
	Body   Health
}

func (a *Admin) health(ctx context.Context, _ *struct{}) (*healthAnswer, error) {
	out := &healthAnswer{Status: http.StatusOK, Body: a.Health(ctx)}
	if out.Body.Status == "unhealthy" {
		out.Status = http.StatusServiceUnavailable
	}
	return out, nil
}

// live answers as long as the process can: a platform that restarts what is not live must never
// restart a service because a part of it is away.
func (a *Admin) live(context.Context, *struct{}) (*answer[Health], error) {
	return &answer[Health]{Health{Status: "ok", Reasons: []string{}, Checks: map[string]string{"process": "ok"}}}, nil
}
