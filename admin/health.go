package admin

import (
	"context"
	"fmt"
	"net/http"
	"sort"

	"github.com/forebay-cache/forebay"
)

// Health is the answer of /health and /health/ready.
type Health struct {
	Status  string            `json:"status" enum:"ok,degraded,unhealthy"`
	Reasons []string          `json:"reasons"`
	Checks  map[string]string `json:"checks"`
	// Warnings are about what works and is of no use.
	Warnings []string `json:"warnings,omitempty"`
}

// A class whose origin fails more often than this share of its loads makes the service degraded,
// once there were enough loads to tell.
const (
	failingShare = 0.5
	failingLoads = 10
)

// Health asks every check. A part that is away makes the service degraded, never unhealthy: it goes
// on answering. It is unhealthy once its cache is closed.
func (a *Admin) Health(ctx context.Context) Health {
	h := Health{Status: "ok", Reasons: []string{}, Checks: map[string]string{"near": "ok", "log": "ok"}}
	degraded := func(check, reason string) {
		h.Status = "degraded"
		h.Checks[check] = reason
		h.Reasons = append(h.Reasons, check+": "+reason)
	}
	s := a.cache.Stats()
	a.sharedHealth(s, h.Checks, degraded)
	for _, c := range s.Classes {
		if c.Loads >= failingLoads && float64(c.LoadErrors) > failingShare*float64(c.Loads) {
			degraded("class "+c.Name, fmt.Sprintf("%d of %d loads failed: look at its origin", c.LoadErrors, c.Loads))
		}
		if w := neverHits(c); w != "" {
			h.Warnings = append(h.Warnings, "class "+c.Name+": "+w)
		}
	}
	if s.Shared != nil {
		for name, who := range s.Shared.Others {
			h.Warnings = append(h.Warnings, "function "+name+": "+who+"; neither reads the other's. After a deploy this passes; otherwise give each program its own namespace")
		}
	}
	for name, check := range a.o.Checks {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		err := check(ctx)
		cancel()
		h.Checks[name] = "ok"
		if err != nil {
			degraded(name, err.Error())
		}
	}
	if a.cache.Closed() {
		h.Status = "unhealthy"
		h.Checks["near"] = "closed"
		h.Reasons = append(h.Reasons, "near: the cache is closed: the process is stopping")
	}
	sort.Strings(h.Reasons)
	sort.Strings(h.Warnings)
	return h
}

// meaningful is how many look-ups it takes to say that a class never hits.
const meaningful = 200

// neverHits says why a class most likely never hits, if it never does.
func neverHits(c forebay.ClassStats) string {
	rate, asked := c.HitRate()
	if !asked || rate > 0 || c.Misses < meaningful {
		return ""
	}
	why, most := "", uint64(0)
	for reason, n := range c.NotStored {
		if n > most || n == most && reason < why {
			why, most = reason, n
		}
	}
	switch {
	case c.Stored == 0 && most > 0:
		return fmt.Sprintf("no hit in %d look-ups, because nothing was ever stored: %s (%d times)", c.Misses, why, most)
	case c.Stored == 0:
		return fmt.Sprintf("no hit in %d look-ups, because nothing was ever stored: every load failed", c.Misses)
	case c.Evictions > c.Stored/2:
		return fmt.Sprintf("no hit in %d look-ups: %d of %d answers were evicted; give the near tier more memory", c.Misses, c.Evictions, c.Stored)
	}
	return fmt.Sprintf("no hit in %d look-ups: each key was asked for once; is something in the key that is new in every request?", c.Misses)
}

func (a *Admin) sharedHealth(s forebay.Stats, checks map[string]string, degraded func(check, reason string)) {
	if s.Shared == nil {
		return
	}
	checks["shared"] = "ok"
	if usable, why := s.Shared.Usable(); !usable {
		degraded("shared", "the shared tier cannot be used: "+why)
	}
	if !s.Log.Confirmed {
		degraded("log", "invalidations of other nodes may be missing: strict classes load, others are served until their TTL")
	}
	if n := s.Shared.Deferred; n > 0 {
		degraded("journal", fmt.Sprintf("%d invalidations wait to be told to the other nodes", n))
	}
	for name, lost := range s.Shared.Lost {
		degraded("function "+name, "its values do not survive the shared tier and stay near: "+lost)
	}
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
