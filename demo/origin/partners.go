package origin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Partner is a company that an organisation works with in a clean room.
type Partner struct {
	ID          string    `json:"id"`
	OrgID       string    `json:"org_id"`
	Name        string    `json:"name"`
	CleanroomID string    `json:"cleanroom_id"`
	Industry    string    `json:"industry"`
	Status      string    `json:"status"`
	UpdatedAt   time.Time `json:"updated_at"`
}

const partnerColumns = "id, org_id, name, cleanroom_id, industry, status, updated_at"

func scanPartner(r interface{ Scan(...any) error }, p *Partner) error {
	var at string
	if err := r.Scan(&p.ID, &p.OrgID, &p.Name, &p.CleanroomID, &p.Industry, &p.Status, &at); err != nil {
		return err
	}
	var err error
	p.UpdatedAt, err = time.Parse(time.RFC3339Nano, at)
	return err
}

// Partners returns an organisation's partners by ID, or those whose name holds q.
func (a *API) Partners(ctx context.Context, orgID, q string) ([]Partner, error) {
	if err := a.call(ctx); err != nil {
		return nil, err
	}
	if err := a.exists(ctx, "organisations", orgID); err != nil {
		return nil, err
	}
	list, err := rows(ctx, a.db, func(r *sql.Rows, p *Partner) error { return scanPartner(r, p) },
		"SELECT "+partnerColumns+" FROM partners WHERE org_id = ? ORDER BY n", orgID)
	if err != nil || q == "" {
		return list, err
	}
	q = strings.ToLower(q)
	return slices.DeleteFunc(list, func(p Partner) bool { return !strings.Contains(strings.ToLower(p.Name), q) }), nil
}

// A PartnerChange holds what is to change; nil stays as it is.
type PartnerChange struct {
	Name        *string `json:"name"`
	CleanroomID *string `json:"cleanroom_id"`
	Industry    *string `json:"industry"`
	Status      *string `json:"status"`
}

var partnerStatuses = []string{"active", "pending", "paused"}

func (c PartnerChange) check() error {
	switch {
	case c.Name != nil && strings.TrimSpace(*c.Name) == "":
		return &Invalid{"name", "is empty"}
	case c.Name != nil && len(*c.Name) > 200:
		return &Invalid{"name", "is longer than 200 bytes"}
	case c.Industry != nil && !slices.Contains(Industries, *c.Industry):
		return &Invalid{"industry", fmt.Sprintf("%q is not one of %s", *c.Industry, strings.Join(Industries, ", "))}
	case c.Status != nil && !slices.Contains(partnerStatuses, *c.Status):
		return &Invalid{"status", fmt.Sprintf("%q is not one of %s", *c.Status, strings.Join(partnerStatuses, ", "))}
	}
	return nil
}

// UpdatePartner changes a partner and returns it as it is now.
func (a *API) UpdatePartner(ctx context.Context, id string, c PartnerChange) (Partner, error) {
	if err := c.check(); err != nil {
		return Partner{}, err
	}
	if err := a.call(ctx); err != nil {
		return Partner{}, err
	}
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return Partner{}, err
	}
	defer tx.Rollback()
	var p Partner
	err = scanPartner(tx.QueryRowContext(ctx, a.db.Bind("SELECT "+partnerColumns+" FROM partners WHERE id = ?"+a.db.forUpdate()), id), &p)
	if errors.Is(err, sql.ErrNoRows) {
		return Partner{}, ErrNotFound
	} else if err != nil {
		return Partner{}, err
	}
	if c.CleanroomID != nil && *c.CleanroomID != p.CleanroomID {
		var org string
		err := tx.QueryRowContext(ctx, a.db.Bind("SELECT org_id FROM cleanrooms WHERE id = ?"), *c.CleanroomID).Scan(&org)
		if errors.Is(err, sql.ErrNoRows) || err == nil && org != p.OrgID {
			return Partner{}, &Invalid{"cleanroom_id", fmt.Sprintf("%q is not a clean room of %s", *c.CleanroomID, p.OrgID)}
		} else if err != nil {
			return Partner{}, err
		}
	}
	set(&p.Name, c.Name)
	set(&p.CleanroomID, c.CleanroomID)
	set(&p.Industry, c.Industry)
	set(&p.Status, c.Status)
	p.UpdatedAt = time.Now().UTC()
	_, err = tx.ExecContext(ctx, a.db.Bind("UPDATE partners SET name = ?, cleanroom_id = ?, industry = ?, status = ?, updated_at = ? WHERE id = ?"),
		p.Name, p.CleanroomID, p.Industry, p.Status, p.UpdatedAt.Format(time.RFC3339Nano), id)
	if err != nil {
		return Partner{}, err
	}
	return p, tx.Commit()
}

func set(dst *string, v *string) {
	if v != nil {
		*dst = *v
	}
}
