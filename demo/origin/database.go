package origin

import (
	"context"
	crand "crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // Postgres, where the platform is given one
	_ "modernc.org/sqlite"             // the embedded database, without cgo
)

// A Database is SQLite or Postgres, with the one difference between their SQL that matters here: a statement is written with "?" for
// each value, and Bind numbers them for Postgres.
type Database struct {
	*sql.DB
	postgres bool
}

// Bind is a statement as this database wants it.
func (d Database) Bind(statement string) string {
	if !d.postgres {
		return statement
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(statement, "?") {
		if n > 0 {
			b.WriteString("$" + strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

// forUpdate ends a SELECT whose rows are about to be changed: nobody else changes them meanwhile. SQLite has one writer.
func (d Database) forUpdate() string {
	if d.postgres {
		return " FOR UPDATE"
	}
	return ""
}

// IsPostgres reports whether a place is an address of Postgres, and not a file of SQLite.
func IsPostgres(place string) bool {
	return strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://")
}

// conns bounds the connections to the database.
const conns = 8

// openDatabase opens a file, or memory where place is empty, or a database of Postgres by its URL.
func openDatabase(place string) (Database, error) {
	d := Database{postgres: IsPostgres(place)}
	driver, dsn := "sqlite", ""
	switch {
	case d.postgres:
		if _, err := url.Parse(place); err != nil {
			return d, errors.New("the URL of the database is not of the form postgres://user:password@host:5432/name")
		}
		driver, dsn = "pgx", place
	case place == "":
		dsn = "file:/forebay-" + crand.Text() + "?vfs=memdb&_pragma=busy_timeout(5000)&_txlock=immediate"
	default:
		if err := writable(place); err != nil {
			return d, err
		}
		// A file that several processes share needs the write-ahead log; both need patience with others.
		dsn = "file:" + place + "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)&_txlock=immediate"
	}
	var err error
	if d.DB, err = sql.Open(driver, dsn); err != nil {
		return d, err
	}
	d.SetMaxOpenConns(conns)
	d.SetMaxIdleConns(conns)
	return d, nil
}

func writable(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("%w: name a file that can be written with --data, or none for memory", err)
	}
	return f.Close()
}

// Named is a place as people may read it: without a password.
func Named(place string) string {
	if !IsPostgres(place) {
		return "data file " + place
	}
	u, err := url.Parse(place)
	if err != nil {
		return "database"
	}
	return "database " + u.Redacted()
}

// migrations bring a database to the form that this program knows, one after the other: what is released is never changed, and another
// is added behind it. Types have names of their own, because the databases' differ.
var migrations = []string{schema}

// migrationLock is what nodes that begin at once wait for, in Postgres. SQLite's transactions begin with the right to write.
const migrationLock = 0x666f7265626179 // "forebay"

// migrate brings the database to its newest form.
func migrate(ctx context.Context, d Database, tx *sql.Tx) error {
	types := strings.NewReplacer("{number}", "INTEGER", "{bytes}", "BLOB", "{serial}", "INTEGER PRIMARY KEY")
	if d.postgres {
		types = strings.NewReplacer("{number}", "BIGINT", "{bytes}", "BYTEA", "{serial}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock("+strconv.Itoa(migrationLock)+")"); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"); err != nil {
		return err
	}
	var version int
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("it has version %d, and this program knows %d: it was used by a newer one", version, len(migrations))
	}
	for i, m := range migrations[version:] {
		for statement := range strings.SplitSeq(types.Replace(m), ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("migration %d: %w", version+i+1, err)
			}
		}
		if _, err := tx.ExecContext(ctx, d.Bind("INSERT INTO schema_version VALUES (?)"), version+i+1); err != nil {
			return err
		}
	}
	return nil
}
