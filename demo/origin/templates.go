package origin

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
)

// A Template is a query that can be run in a clean room, as the database holds it.
type Template struct {
	ID               string      `json:"id"`
	CleanroomID      string      `json:"cleanroom_id"`
	Name             string      `json:"name"`
	Category         string      `json:"category"`
	Description      string      `json:"description"`
	Parameters       []Parameter `json:"parameters"`
	DataTypes        []string    `json:"data_types"`
	Complexity       string      `json:"complexity"`
	ExpectedRuntimeS int         `json:"expected_runtime_s"`
}

// A Parameter is what a template asks for. Type is date, integer or string.
type Parameter struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required"`
	Default  any    `json:"default"`
}

const templateColumns = "id, cleanroom_id, name, category, description, parameters, data_types, complexity, expected_runtime_s"

func scanTemplate(r interface{ Scan(...any) error }, t *Template) error {
	var parameters, types string
	if err := r.Scan(&t.ID, &t.CleanroomID, &t.Name, &t.Category, &t.Description, &parameters, &types, &t.Complexity, &t.ExpectedRuntimeS); err != nil {
		return err
	}
	return errors.Join(json.Unmarshal([]byte(parameters), &t.Parameters), json.Unmarshal([]byte(types), &t.DataTypes))
}

// Templates returns the templates of a clean room with everything that is needed to run them.
func (a *API) Templates(ctx context.Context, cleanroomID string) ([]Template, error) {
	if err := a.call(ctx); err != nil {
		return nil, err
	}
	if err := a.exists(ctx, "cleanrooms", cleanroomID); err != nil {
		return nil, err
	}
	return a.templatesWhere(ctx, "cleanroom_id = ?", cleanroomID)
}

// templatesWhere costs no call: it is part of one.
func (a *API) templatesWhere(ctx context.Context, where string, args ...any) ([]Template, error) {
	return rows(ctx, a.db, func(r *sql.Rows, t *Template) error { return scanTemplate(r, t) },
		"SELECT "+templateColumns+" FROM templates WHERE "+where+" ORDER BY n", args...)
}

// Template returns one template.
func (a *API) Template(ctx context.Context, id string) (Template, error) {
	if err := a.call(ctx); err != nil {
		return Template{}, err
	}
	return a.template(ctx, id)
}

// template costs no call: it is part of one.
func (a *API) template(ctx context.Context, id string) (Template, error) {
	list, err := a.templatesWhere(ctx, "id = ?", id)
	if err != nil {
		return Template{}, err
	}
	if len(list) == 0 {
		return Template{}, ErrNotFound
	}
	return list[0], nil
}
