package origin

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
)

// A QueryStatus is how far a query is: queued, running, completed or failed.
type QueryStatus struct {
	QueryID  string `json:"query_id"`
	Status   string `json:"status"`
	Progress int    `json:"progress"` // percent
}

// Running reports whether the state will still change.
func (s QueryStatus) Running() bool { return s.Status == "queued" || s.Status == "running" }

// A Result is what a completed query found.
type Result struct {
	QueryID string  `json:"query_id"`
	Rows    []Row   `json:"rows"`
	Summary Summary `json:"summary"`
}

// A Row is one partner's share of a result.
type Row struct {
	PartnerID string  `json:"partner_id"`
	Name      string  `json:"name"`
	People    int     `json:"people"`
	Matched   int     `json:"matched"`
	MatchRate float64 `json:"match_rate"`
}

// A Summary adds the rows up.
type Summary struct {
	Template  string  `json:"template"`
	Category  string  `json:"category"`
	Partners  int     `json:"partners"`
	People    int     `json:"people"`
	Matched   int     `json:"matched"`
	MatchRate float64 `json:"match_rate"`
}

const (
	queueTime = 500 * time.Millisecond
	// A group this large never occurs, so a query that asks for it fails, as a clean room must.
	largestGroup = 10_000
)

// StartQuery begins to run a template and returns the new query's state.
func (a *API) StartQuery(ctx context.Context, templateID string, parameters map[string]any) (QueryStatus, error) {
	if err := a.call(ctx); err != nil {
		return QueryStatus{}, err
	}
	t, err := a.template(ctx, templateID)
	if err != nil {
		return QueryStatus{}, err
	}
	for _, p := range t.Parameters {
		if err := p.check(parameters); err != nil {
			return QueryStatus{}, err
		}
	}
	text, err := json.Marshal(parameters)
	if err != nil {
		return QueryStatus{}, err
	}
	id := "q-" + strings.ToLower(rand.Text()[:12])
	_, err = a.db.ExecContext(ctx, a.db.Bind("INSERT INTO queries VALUES (?, ?, ?, ?, ?)"), id, templateID, string(text),
		time.Now().UnixMilli(), int64(t.ExpectedRuntimeS)*1000)
	return QueryStatus{QueryID: id, Status: "queued"}, err
}

func (p Parameter) check(given map[string]any) error {
	field := "parameters." + p.Name
	v, ok := given[p.Name]
	if !ok {
		if p.Required {
			return &Invalid{field, "is required"}
		}
		return nil
	}
	switch p.Type {
	case "date":
		s, isString := v.(string)
		if _, err := time.Parse(time.DateOnly, s); !isString || err != nil {
			return &Invalid{field, "is not a date of the form 2026-01-31"}
		}
	case "integer":
		if n, isNumber := v.(float64); !isNumber || n != float64(int64(n)) || n < 1 {
			return &Invalid{field, "is not a whole number from 1"}
		}
	default:
		if _, isString := v.(string); !isString {
			return &Invalid{field, "is not a string"}
		}
	}
	return nil
}

type query struct {
	id, templateID string
	parameters     map[string]any
	created        time.Time
	runtime        time.Duration
}

func (a *API) query(ctx context.Context, id string) (query, error) {
	q := query{id: id}
	var text string
	var created, runtime int64
	err := a.db.QueryRowContext(ctx, a.db.Bind("SELECT template_id, parameters, created_ms, runtime_ms FROM queries WHERE id = ?"), id).
		Scan(&q.templateID, &text, &created, &runtime)
	if errors.Is(err, sql.ErrNoRows) {
		return q, ErrNotFound
	} else if err != nil {
		return q, err
	}
	q.created, q.runtime = time.UnixMilli(created), time.Duration(runtime)*time.Millisecond
	return q, json.Unmarshal([]byte(text), &q.parameters)
}

// status derives the state from the time: any process that shares the database sees the same.
func (q query) status(now time.Time) QueryStatus {
	s := QueryStatus{QueryID: q.id}
	switch ran := now.Sub(q.created) - queueTime; {
	case ran < 0:
		s.Status = "queued"
	case ran < q.runtime:
		s.Status, s.Progress = "running", int(100*ran/q.runtime)
	case q.minGroup() >= largestGroup:
		s.Status, s.Progress = "failed", 100
	default:
		s.Status, s.Progress = "completed", 100
	}
	return s
}

func (q query) minGroup() float64 {
	n, _ := q.parameters["min_group_size"].(float64)
	return n
}

// QueryState returns the state of a query.
func (a *API) QueryState(ctx context.Context, id string) (QueryStatus, error) {
	if err := a.call(ctx); err != nil {
		return QueryStatus{}, err
	}
	q, err := a.query(ctx, id)
	if err != nil {
		return QueryStatus{}, err
	}
	return q.status(time.Now()), nil
}

// An Unfinished error says that a query has no result, yet or forever.
type Unfinished struct{ QueryStatus }

func (e *Unfinished) Error() string {
	return fmt.Sprintf("query %s is %s (%d %%)", e.QueryID, e.Status, e.Progress)
}

// Results returns what a completed query found: a row for each partner of its clean room.
func (a *API) Results(ctx context.Context, id string) (Result, error) {
	if err := a.call(ctx); err != nil {
		return Result{}, err
	}
	q, err := a.query(ctx, id)
	if err != nil {
		return Result{}, err
	}
	if s := q.status(time.Now()); s.Status != "completed" {
		return Result{}, &Unfinished{s}
	}
	t, err := a.template(ctx, q.templateID)
	if err != nil {
		return Result{}, err
	}
	partners, err := rows(ctx, a.db, func(r *sql.Rows, p *Partner) error { return scanPartner(r, p) },
		"SELECT "+partnerColumns+" FROM partners WHERE cleanroom_id = ? ORDER BY n", t.CleanroomID)
	if err != nil {
		return Result{}, err
	}
	out := Result{QueryID: id, Rows: []Row{}, Summary: Summary{Template: t.Name, Category: t.Category}}
	for _, p := range partners {
		row := q.measure(p)
		if float64(row.Matched) < q.minGroup() {
			continue // too small a group to show
		}
		out.Rows = append(out.Rows, row)
		out.Summary.Partners++
		out.Summary.People += row.People
		out.Summary.Matched += row.Matched
	}
	if out.Summary.People > 0 {
		out.Summary.MatchRate = float64(out.Summary.Matched) / float64(out.Summary.People)
	}
	return out, nil
}

// measure derives a partner's figures from the query's parameters, so that equal queries agree.
func (q query) measure(p Partner) Row {
	text, _ := json.Marshal(q.parameters) // came out of JSON
	h := fnv.New64a()
	fmt.Fprint(h, q.templateID, "\x00", string(text), "\x00", p.ID)
	sum := h.Sum64()
	people := 2_000 + int(sum%8_000)
	matched := people * (20 + int(sum>>32%60)) / 100
	return Row{p.ID, p.Name, people, matched, float64(matched) / float64(people)}
}

// RecordTurn keeps what a session asked; nothing depends on it.
func (a *API) RecordTurn(ctx context.Context, sessionID, orgID, message string) error {
	_, err := a.db.ExecContext(ctx, a.db.Bind("INSERT INTO turns (session_id, org_id, message, at) VALUES (?, ?, ?, ?)"),
		sessionID, orgID, message, time.Now().UTC().Format(time.RFC3339Nano))
	return err
}
