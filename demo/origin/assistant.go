package origin

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Source is what an answer of the assistant rests on.
type Source struct {
	Type string `json:"type"` // partner, template or query
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Ask is the embedded assistant: it answers from the database, takes as long as the API does, and
// says its answer word by word. It understands questions about partners (by industry, status or
// name), templates (by category), the status of a query, and help.
func (a *API) Ask(ctx context.Context, orgID, message string, say func(string)) ([]Source, error) {
	a.calls.Add(1)
	if err := a.exists(ctx, "organisations", orgID); err != nil {
		return nil, err
	}
	think := a.draw()
	if err := a.sleep(ctx, think/2); err != nil {
		return nil, err
	}
	text, sources, err := a.answer(ctx, orgID, strings.ToLower(message))
	if err != nil {
		return nil, err
	}
	words := strings.SplitAfter(text, " ")
	for _, w := range words {
		if err := a.sleep(ctx, think/2/time.Duration(len(words))); err != nil {
			return nil, err
		}
		say(w)
	}
	return sources, nil
}

var queryID = regexp.MustCompile(`\bq-[a-z0-9]{6,}\b`)

func (a *API) answer(ctx context.Context, orgID, message string) (string, []Source, error) {
	words := strings.FieldsFunc(message, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	has := func(any ...string) string {
		for _, w := range any {
			if slices.Contains(words, w) || slices.Contains(words, w+"s") {
				return w
			}
		}
		return ""
	}
	if id := queryID.FindString(message); id != "" {
		return a.answerQuery(ctx, id)
	}
	category, industry := has(Categories...), has(Industries...)
	switch {
	case has("template") != "" || category != "" && has("partner") == "":
		return a.answerTemplates(ctx, orgID, category)
	case has("partner", "company", "companie", "who") != "" || industry != "" || has(partnerStatuses...) != "":
		return a.answerPartners(ctx, orgID, industry, has(partnerStatuses...))
	case has("query", "querie", "result", "running") != "":
		return "Tell me the query's ID, for example: what is the status of q-abc123def456? You start one from a template with POST /api/queries.", []Source{}, nil
	}
	return "I answer questions about this platform: which partners are in retail? Which templates measure reach? What is the status of a query? Name an industry (" +
		strings.Join(Industries, ", ") + ") or a category (" + strings.Join(Categories, ", ") + ").", []Source{}, nil
}

func (a *API) answerQuery(ctx context.Context, id string) (string, []Source, error) {
	q, err := a.query(ctx, id)
	if err == ErrNotFound {
		return "I know no query " + id + ".", []Source{}, nil
	} else if err != nil {
		return "", nil, err
	}
	s := q.status(time.Now())
	return fmt.Sprintf("Query %s is %s, at %d %%.", id, s.Status, s.Progress), []Source{{"query", id, q.templateID}}, nil
}

func (a *API) answerPartners(ctx context.Context, orgID, industry, status string) (string, []Source, error) {
	list, err := rows(ctx, a.db, func(r *sql.Rows, p *Partner) error { return scanPartner(r, p) },
		"SELECT "+partnerColumns+" FROM partners WHERE org_id = ? AND (? = '' OR industry = ?) AND (? = '' OR status = ?) ORDER BY n",
		orgID, industry, industry, status, status)
	if err != nil {
		return "", nil, err
	}
	kind := strings.TrimSpace(status + " partners")
	if industry != "" {
		kind += " in " + industry
	}
	names, sources := make([]string, 0, len(list)), make([]Source, 0, len(list))
	for _, p := range list {
		names = append(names, p.Name)
		sources = append(sources, Source{"partner", p.ID, p.Name})
	}
	return enumerate(orgID, kind, names), first(sources), nil
}

func (a *API) answerTemplates(ctx context.Context, orgID, category string) (string, []Source, error) {
	list, err := a.templatesWhere(ctx, "cleanroom_id IN (SELECT id FROM cleanrooms WHERE org_id = ?) AND (? = '' OR category = ?)", orgID, category, category)
	if err != nil {
		return "", nil, err
	}
	kind := "templates"
	if category != "" {
		kind += " for " + category
	}
	names, sources := make([]string, 0, len(list)), make([]Source, 0, len(list))
	for _, t := range list {
		names = append(names, fmt.Sprintf("%s (%s, %d s)", t.Name, t.CleanroomID, t.ExpectedRuntimeS))
		sources = append(sources, Source{"template", t.ID, t.Name})
	}
	return enumerate(orgID, kind, names), first(sources), nil
}

// shown is how many things an answer names.
const shown = 8

func enumerate(orgID, kind string, names []string) string {
	switch {
	case len(names) == 0:
		return fmt.Sprintf("%s has no %s.", orgID, kind)
	case len(names) > shown:
		return fmt.Sprintf("%s has %d %s. The first: %s, and %d more.", orgID, len(names), kind, strings.Join(names[:shown], ", "), len(names)-shown)
	}
	return fmt.Sprintf("%s has %d %s: %s.", orgID, len(names), kind, strings.Join(names, ", "))
}

func first(s []Source) []Source { return s[:min(len(s), shown)] }
