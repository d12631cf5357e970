package demo

import (
	"net/http"
)

func (p *Platform) postQuery(w http.ResponseWriter, r *http.Request) error {
	var req struct {
		TemplateID string         `json:"template_id"`
		Parameters map[string]any `json:"parameters"`
	}
	if err := readJSON(r, &req); err != nil {
		return err
	}
	if req.TemplateID == "" {
		return wrongField("template_id", "is required")
	}
	s, err := p.api.StartQuery(r.Context(), req.TemplateID, req.Parameters)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/status/"+s.QueryID)
	return writeJSON(w, http.StatusAccepted, map[string]string{"query_id": s.QueryID, "status": s.Status})
}

func (p *Platform) getQueryStatus(w http.ResponseWriter, r *http.Request) error {
	return writeResult(w, p.query.Do(r.Context(), r.PathValue("query_id")))
}

// getResults answers 409 while the query runs: an error, and so it is not stored.
func (p *Platform) getResults(w http.ResponseWriter, r *http.Request) error {
	return writeResult(w, p.results.Do(r.Context(), r.PathValue("query_id")))
}
