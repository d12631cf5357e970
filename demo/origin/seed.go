package origin

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
)

const schema = `
CREATE TABLE IF NOT EXISTS organisations (id TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cleanrooms (id TEXT PRIMARY KEY, org_id TEXT NOT NULL REFERENCES organisations);
CREATE TABLE IF NOT EXISTS partners (
	id TEXT PRIMARY KEY, n {number} NOT NULL, org_id TEXT NOT NULL REFERENCES organisations, name TEXT NOT NULL,
	cleanroom_id TEXT NOT NULL, industry TEXT NOT NULL, status TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS partners_org ON partners (org_id, n);
CREATE TABLE IF NOT EXISTS templates (
	id TEXT PRIMARY KEY, n {number} NOT NULL, cleanroom_id TEXT NOT NULL, name TEXT NOT NULL, category TEXT NOT NULL, description TEXT NOT NULL,
	parameters TEXT NOT NULL, data_types TEXT NOT NULL, complexity TEXT NOT NULL, expected_runtime_s {number} NOT NULL);
CREATE INDEX IF NOT EXISTS templates_room ON templates (cleanroom_id, n);
CREATE TABLE IF NOT EXISTS queries (
	id TEXT PRIMARY KEY, template_id TEXT NOT NULL, parameters TEXT NOT NULL, created_ms {number} NOT NULL, runtime_ms {number} NOT NULL);
CREATE TABLE IF NOT EXISTS turns (
	id {serial}, session_id TEXT NOT NULL, org_id TEXT NOT NULL, message TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (token TEXT PRIMARY KEY, data {bytes} NOT NULL, expires_ms {number} NOT NULL);
CREATE INDEX IF NOT EXISTS sessions_expiry ON sessions (expires_ms);
`

// The data are the same in every process: everything is derived from its number.
const (
	partnerCount  = 300
	templateCount = 120
	roomCount     = 40
	seededAt      = "2026-01-05T09:00:00Z"
)

var organisations = []string{"acme", "borealis", "cobalt", "dune", "ember"}

// Industries and Categories are what partners and templates are sorted by.
var (
	Industries = []string{"retail", "media", "travel", "finance", "health", "automotive", "telecom", "energy"}
	Categories = []string{"overlap", "reach", "attribution", "segmentation", "measurement", "enrichment", "forecast", "quality"}
)

var (
	firstNames = []string{"North", "Blue", "Silver", "Green", "Bright", "Clear", "Stone", "River", "Summit", "Harbor", "Cedar", "Orchard"}
	lastNames  = []string{"Works", "Media", "Retail", "Labs", "Group", "Partners", "Systems", "Networks", "Holdings", "Studio"}
	statuses   = []string{"active", "active", "active", "pending", "paused"}
	tasks      = []string{"Audience", "Campaign", "Customer", "Household", "Basket"}
	complexity = []string{"low", "medium", "high"}
)

var does = map[string]string{
	"overlap":      "Counts the people that two partners have in common, without showing who they are.",
	"reach":        "Estimates how many different people a campaign reaches across partners.",
	"attribution":  "Shares the credit for a purchase among the contacts that came before it.",
	"segmentation": "Groups people by behaviour that partners observe together.",
	"measurement":  "Compares exposed people with a control group.",
	"enrichment":   "Adds a partner's attributes to records of one's own.",
	"forecast":     "Projects next month's figures from the joint history.",
	"quality":      "Checks match rates and gaps before data are used.",
}

func (a *API) seed(ctx context.Context) error {
	tx, err := a.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := migrate(ctx, a.db, tx); err != nil {
		return err
	}
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM templates").Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return tx.Commit()
	}
	for _, fill := range []func(context.Context, filler) error{seedRooms, seedPartners, seedTemplates} {
		if err := fill(ctx, filler{tx, a.db}); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// A filler writes the first rows.
type filler struct {
	*sql.Tx
	db Database
}

func (f filler) insert(ctx context.Context, statement string, values ...any) error {
	_, err := f.ExecContext(ctx, f.db.Bind(statement), values...)
	return err
}

// roomOrg is the organisation of a clean room, both by number: acme has cr-1 to cr-8.
func roomOrg(room int) string { return organisations[(room-1)/(roomCount/len(organisations))] }

func seedRooms(ctx context.Context, tx filler) error {
	for _, o := range organisations {
		if err := tx.insert(ctx, "INSERT INTO organisations VALUES (?, ?)", o, strings.ToUpper(o[:1])+o[1:]); err != nil {
			return err
		}
	}
	for i := 1; i <= roomCount; i++ {
		if err := tx.insert(ctx, "INSERT INTO cleanrooms VALUES (?, ?)", fmt.Sprint("cr-", i), roomOrg(i)); err != nil {
			return err
		}
	}
	return nil
}

func seedPartners(ctx context.Context, tx filler) error {
	for i := 1; i <= partnerCount; i++ {
		room := (i-1)%roomCount + 1
		name := firstNames[i*7%len(firstNames)] + " " + lastNames[i*3%len(lastNames)]
		if i > 60 {
			name = fmt.Sprintf("%s %d", name, i)
		}
		err := tx.insert(ctx, "INSERT INTO partners VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			fmt.Sprint("p-", i), i, roomOrg(room), name, fmt.Sprint("cr-", room), Industries[i%len(Industries)], statuses[i%len(statuses)], seededAt)
		if err != nil {
			return err
		}
	}
	return nil
}

func seedTemplates(ctx context.Context, tx filler) error {
	for i := 1; i <= templateCount; i++ {
		category := Categories[i%len(Categories)]
		parameters, err := json.Marshal([]Parameter{
			{Name: "start_date", Type: "date", Required: true},
			{Name: "end_date", Type: "date", Required: true},
			{Name: "min_group_size", Type: "integer", Default: 50},
			{Name: "segment", Type: "string", Default: "all"},
		}[:2+i%3])
		if err != nil {
			return err
		}
		types, err := json.Marshal([]string{"hashed_email", "transactions", "impressions"}[:1+i%3])
		if err != nil {
			return err
		}
		err = tx.insert(ctx, "INSERT INTO templates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			fmt.Sprint("t-", i), i, fmt.Sprint("cr-", (i-1)%roomCount+1), tasks[i%len(tasks)]+" "+category, category, does[category],
			string(parameters), string(types), complexity[i%len(complexity)], 2+i%7)
		if err != nil {
			return err
		}
	}
	return nil
}
