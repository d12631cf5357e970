package main

import (
	"context"
	"database/sql"
	"strings"

	_ "modernc.org/sqlite"
)

// A User is a row of the database.
type User struct {
	ID   int64
	Name string
	Team string
}

// A Store is the database. It knows nothing of caches.
type Store struct{ db *sql.DB }

// OpenStore opens the database in a file, and makes its tables.
func OpenStore(ctx context.Context, file string) (*Store, error) {
	db, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(wal)")
	if err != nil {
		return nil, err
	}
	_, err = db.ExecContext(ctx, `
		CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, team TEXT NOT NULL);
		CREATE TABLE IF NOT EXISTS settings (user INTEGER PRIMARY KEY, theme TEXT NOT NULL);
		CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, tag TEXT NOT NULL);
		INSERT OR IGNORE INTO users VALUES (1, 'Anna', 'red'), (2, 'Ben', 'red'), (3, 'Chris', 'blue');`)
	return &Store{db}, err
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// User returns a user, or sql.ErrNoRows.
func (s *Store) User(ctx context.Context, id int64) (u User, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT id, name, team FROM users WHERE id = ?`, id).Scan(&u.ID, &u.Name, &u.Team)
	return u, err
}

// Team returns the users of a team.
func (s *Store) Team(ctx context.Context, name string) ([]User, error) {
	return s.users(ctx, `SELECT id, name, team FROM users WHERE team = ? ORDER BY id`, name)
}

// Search returns the users whose names hold a text.
func (s *Store) Search(ctx context.Context, text string) ([]User, error) {
	return s.users(ctx, `SELECT id, name, team FROM users WHERE instr(lower(name), ?) > 0 ORDER BY id`, strings.ToLower(text))
}

func (s *Store) users(ctx context.Context, query string, arg any) (all []User, err error) {
	rows, err := s.db.QueryContext(ctx, query, arg)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var u User
		if err := rows.Scan(&u.ID, &u.Name, &u.Team); err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, rows.Err()
}

// Theme returns what a user has set.
func (s *Store) Theme(ctx context.Context, user int64) (theme string, err error) {
	err = s.db.QueryRowContext(ctx, `SELECT theme FROM settings WHERE user = ?`, user).Scan(&theme)
	return theme, err
}

// Rename changes a user, and writes down in the same transaction which tag is out of date: see outbox.go.
func (s *Store) Rename(ctx context.Context, id int64, name string) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `UPDATE users SET name = ? WHERE id = ?`, name, id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO outbox (tag) VALUES (?)`, userTag(id)); err != nil {
		return err
	}
	return tx.Commit()
}

// SetTheme changes what a user has set.
func (s *Store) SetTheme(ctx context.Context, user int64, theme string) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO settings VALUES (?, ?) ON CONFLICT (user) DO UPDATE SET theme = excluded.theme`, user, theme)
	return err
}
