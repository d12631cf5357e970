// Package origin is the partner API behind the reference platform: a database of organisations,
// clean rooms, partners, templates and queries, as slow as such APIs are. It knows nothing of caches.
package origin

import (
	"context"
	crand "crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the embedded database, without cgo
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
	db      *sql.DB
	keeper  *sql.Conn
	latency Latency
	calls   atomic.Int64
}

// Open opens the database, in memory if file is empty, and fills it if it is new. Two processes may
// share a file.
func Open(ctx context.Context, file string, l Latency) (*API, error) {
	// A file that several processes share needs the write-ahead log; both need patience with others.
	dsn := "file:" + file + "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"
	if file == "" {
		dsn = "file:/forebay-" + crand.Text() + "?vfs=memdb"
	} else if err := writable(file); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", dsn+"&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("data file %s: %w", file, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	a := &API{db: db, latency: l}
	// A database in memory lives as long as a connection to it.
	if a.keeper, err = db.Conn(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("data file %s: %w", file, err)
	}
	if err := a.seed(ctx); err != nil {
		a.Close()
		return nil, fmt.Errorf("data file %s: %w: name another with --data, or none for memory", file, err)
	}
	return a, nil
}

// conns bounds the connections to the database.
const conns = 8

func writable(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("data file: %w: name a file that can be written with --data, or none for memory", err)
	}
	return f.Close()
}

// DB is the database itself, for what the platform keeps beside the partner API: its sessions.
func (a *API) DB() *sql.DB { return a.db }

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
func rows[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows, *T) error, query string, args ...any) ([]T, error) {
	r, err := db.QueryContext(ctx, query, args...)
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
	err := a.db.QueryRowContext(ctx, "SELECT 1 FROM "+table+" WHERE id = ?", id).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
