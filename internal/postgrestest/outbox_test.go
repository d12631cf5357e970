package postgrestest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/forebaytest"
	"github.com/forebay-cache/forebay/internal/postgrestest"
	"github.com/jackc/pgx/v5"
)

// outboxTables tell every node that listens of what a transaction has written there, when it commits.
const outboxTables = `
CREATE TABLE users (id BIGINT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE outbox (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tag TEXT NOT NULL);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NOTIFY outbox; RETURN NULL; END';
CREATE TRIGGER outbox_tells AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION tell();
INSERT INTO users VALUES (1, 'Anna'), (2, 'Ben');`

// rename changes a user and writes down, in the same transaction, which tag is out of date.
func rename(ctx context.Context, tx pgx.Tx, id int64, name string) error {
	if _, err := tx.Exec(ctx, `UPDATE users SET name = $2 WHERE id = $1`, id, name); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO outbox (tag) VALUES ($1)`, fmt.Sprint("user:", id))
	return err
}

// drain invalidates what is in the outbox, and takes it out once every node will hear of it. Rows that another node has taken are
// left to it; by their numbers, because a transaction that began earlier may commit later.
func drain(ctx context.Context, db *pgx.Conn, cache *forebay.Cache) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	rows, err := tx.Query(ctx, `SELECT id, tag FROM outbox ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED`)
	if err != nil {
		return err
	}
	var done []int64
	var targets []forebay.Target
	var id int64
	var tag string
	if _, err := pgx.ForEachRow(rows, []any{&id, &tag}, func() error {
		done, targets = append(done, id), append(targets, forebay.Tag(tag))
		return nil
	}); err != nil || len(done) == 0 {
		return err
	}
	if _, err := cache.Invalidate(forebay.MustAcknowledge(ctx), targets...); err != nil {
		return err // what is in the outbox stays there
	}
	if _, err := tx.Exec(ctx, `DELETE FROM outbox WHERE id = ANY($1)`, done); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// listen drains whenever a transaction tells of it, and every second in case that nobody could.
func listen(ctx context.Context, url string, cache *forebay.Cache) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	if _, err := db.Exec(ctx, `LISTEN outbox`); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := drain(ctx, db, cache); err != nil {
			return err // and begin again
		}
		wait, cancel := context.WithTimeout(ctx, time.Second)
		_, err := db.WaitForNotification(wait)
		cancel()
		if err != nil && wait.Err() == nil {
			return err
		}
	}
	return nil
}

func TestOutbox(t *testing.T) {
	url := postgrestest.Start(t).Database()
	ctx, stop := context.WithCancel(t.Context())
	connect := func() *pgx.Conn {
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(context.Background()) })
		return c
	}
	writer := connect()
	if _, err := writer.Exec(ctx, outboxTables); err != nil {
		t.Fatal(err)
	}
	nodes := forebaytest.Nodes(t, 2, forebay.Options{})
	var users [2]*forebay.Func[int64, string]
	var listening sync.WaitGroup
	for i, c := range nodes {
		reader := connect()
		var reading sync.Mutex // of one connection
		f, err := forebay.Wrap(c, "users", func(ctx context.Context, id int64) (name string, err error) {
			reading.Lock()
			defer reading.Unlock()
			return name, reader.QueryRow(ctx, `SELECT name FROM users WHERE id = $1`, id).Scan(&name)
		}, forebay.KeepBy(func(_ context.Context, id int64, _ string) forebay.Keep {
			return forebay.Keep{Tags: []string{fmt.Sprint("user:", id)}}
		}))
		if err != nil {
			t.Fatal(err)
		}
		users[i] = f
		listening.Go(func() {
			if err := listen(ctx, url, c); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { stop(); listening.Wait() })
	shows := func(id int64, want string) {
		t.Helper()
		for i, f := range users {
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				got, err := f.Get(t.Context(), id)
				if got == want {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("node %d says %q (%v), want %q", i, got, err, want)
				}
			}
		}
	}
	shows(1, "Anna")
	shows(2, "Ben")
	// The transaction that began first commits last: its row has the lower number.
	late, err := connect().Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := rename(ctx, late, 1, "Annette"); err != nil {
		t.Fatal(err)
	}
	early, err := writer.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := rename(ctx, early, 2, "Benno"); err != nil {
		t.Fatal(err)
	}
	if err := early.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	shows(2, "Benno")
	shows(1, "Anna")
	if err := late.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	shows(1, "Annette")
}
