package demo

import (
	"context"
	"net/http"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/demo/origin"
)

// An answer is named by a struct; its fields are the key.

type partnersParams struct {
	OrgID string
	Q     string
}

type partnersAnswer struct {
	OrgID    string           `json:"org_id"`
	Count    int              `json:"count"`
	Partners []origin.Partner `json:"partners"`
}

func orgTag(id string) string { return "org:" + id }

func (p *Platform) loadPartners(ctx context.Context, q partnersParams) (partnersAnswer, error) {
	list, err := p.api.Partners(ctx, q.OrgID, q.Q)
	return partnersAnswer{q.OrgID, len(list), list}, err
}

func (p *Platform) getPartners(w http.ResponseWriter, r *http.Request) error {
	org, err := required(r, "org_id")
	if err != nil {
		return err
	}
	return writeResult(w, p.partners.Do(r.Context(), partnersParams{org, r.URL.Query().Get("q")}))
}

func (p *Platform) putPartner(w http.ResponseWriter, r *http.Request) error {
	var change origin.PartnerChange
	if err := readJSON(r, &change); err != nil {
		return err
	}
	// The write and its invalidation belong together, also when the client goes away between them.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), waitForOrigin)
	defer cancel()
	partner, err := p.api.UpdatePartner(ctx, r.PathValue("id"), change)
	if err != nil {
		return err
	}
	if _, err := p.cache.Invalidate(ctx, forebay.Tag(orgTag(partner.OrgID))); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, partner)
}

type templatesParams struct{ CleanroomID string }

type templatesAnswer struct {
	CleanroomID string            `json:"cleanroom_id"`
	Count       int               `json:"count"`
	Templates   []origin.Template `json:"templates"`
}

func (p *Platform) loadTemplates(ctx context.Context, q templatesParams) (templatesAnswer, error) {
	list, err := p.api.Templates(ctx, q.CleanroomID)
	return templatesAnswer{q.CleanroomID, len(list), list}, err
}

func (p *Platform) getTemplates(w http.ResponseWriter, r *http.Request) error {
	room, err := required(r, "cleanroom_id")
	if err != nil {
		return err
	}
	return writeResult(w, p.templates.Do(r.Context(), templatesParams{room}))
}

func (p *Platform) getTemplate(w http.ResponseWriter, r *http.Request) error {
	return writeResult(w, p.template.Do(r.Context(), r.PathValue("template_id")))
}

type statusParams struct{}

type statusAnswer struct {
	Status    string    `json:"status"`
	CheckedAt time.Time `json:"checked_at"`
	LatencyMS float64   `json:"latency_ms"`
}

// loadStatus checks the partner API. That it is down is an answer too.
func (p *Platform) loadStatus(ctx context.Context, _ statusParams) (statusAnswer, error) {
	start := time.Now()
	err := p.api.Ping(ctx)
	if ctx.Err() != nil {
		return statusAnswer{}, ctx.Err()
	}
	s := statusAnswer{"ok", start.UTC(), float64(time.Since(start).Microseconds()) / 1000}
	if err != nil {
		s.Status = "down"
	}
	return s, nil
}

func (p *Platform) getStatus(w http.ResponseWriter, r *http.Request) error {
	return writeResult(w, p.status.Do(r.Context(), statusParams{}))
}
