// Package origin is the partner API behind the reference platform: a database of organisations,
// clean rooms, partners, templates and queries, as slow as such APIs are. It knows nothing of caches.
package origin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// ErrNotFound says that the database has no such row.
var ErrNotFound = errors.New("not found")

// An Invalid error says which parameter the partner API cannot accept, and why.
type Invalid struct{ Field, Detail string }

func (e *Invalid) Error() string { return e.Field + ": " + e.Detail }

// Latency is how long a call takes: between Min and Max, evenly.
type Latency struct{ Min, Max time.Duration }

// An API is the partner API. It is safe for concurrent use.
type API struct {
	db      Database
	keeper  *sql.Conn
	latency Latency
	calls   atomic.Int64
}

// Open opens the database and fills it if it is new: a file of SQLite, memory if place is empty, or Postgres by its URL
// (postgres://user:password@host/name). Two processes may share one.
func Open(ctx context.Context, place string, l Latency) (*API, error) {
	db, err := openDatabase(place)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Named(place), err)
	}
	a := &API{db: db, latency: l}
	// A database in memory lives as long as a connection to it.
	if a.keeper, err = db.Conn(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("%s: %w", Named(place), err)
	}
	if err := a.seed(ctx); err != nil {
		a.Close()
		if IsPostgres(place) {
			return nil, fmt.Errorf("%s: %w: may this user make tables there?", Named(place), err)
		}
		return nil, fmt.Errorf("%s: %w: name another with --data, or none for memory", Named(place), err)
	}
	return a, nil
}

// DB is the database itself, for what the platform keeps beside the partner API: its sessions.
func (a *API) DB() Database { return a.db }

// Calls is how many calls the API has answered.
func (a *API) Calls() int64 { return a.calls.Load() }

// Close closes the database.
func (a *API) Close() error { return errors.Join(a.keeper.Close(), a.db.Close()) }

// call counts a call and takes as long as the API does.
func (a *API) call(ctx context.Context) error {
	a.calls.Add(1)
	return a.sleep(ctx, a.draw())
}

func (a *API) draw() time.Duration {
	d := a.latency.Min
	if span := a.latency.Max - a.latency.Min; span > 0 {
		d += rand.N(span)
	}
	return d
}

func (a *API) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ping is the partner API's health check.
func (a *API) Ping(ctx context.Context) error {
	if err := a.call(ctx); err != nil {
		return err
	}
	return a.db.PingContext(ctx)
}

// rows runs a query and scans each row.
func rows[T any](ctx context.Context, db Database, scan func(*sql.Rows, *T) error, query string, args ...any) ([]T, error) {
	r, err := db.QueryContext(ctx, db.Bind(query), args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out := []T{}
	for r.Next() {
		var t T
		if err := scan(r, &t); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, r.Err()
}

// exists answers whether a table has a row with the ID.
func (a *API) exists(ctx context.Context, table, id string) error {
	var one int
	err := a.db.QueryRowContext(ctx, a.db.Bind("SELECT 1 FROM "+table+" WHERE id = ?"), id).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
