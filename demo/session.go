package demo

import (
	"context"
	"database/sql"
	"encoding/gob"
	"errors"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/demo/origin"
)

const (
	sessionLife = time.Hour
	// A session's end moves with its use, but is written only when so much of its life has passed.
	slideAfter = sessionLife / 10
	// keptTurns bounds the conversation that a session remembers.
	keptTurns = 50
)

// A turn is one question of a session and its answer.
type turn struct {
	Message string    `json:"message"`
	Reply   string    `json:"reply"`
	At      time.Time `json:"at"`
}

func init() { gob.Register([]turn{}) }

// A sessionRow is a row of the table of sessions: the truth. What the cache holds of it can be lost at any time.
type sessionRow struct {
	Data    []byte
	Expires time.Time
}

// sessionStore is the table of sessions behind the cache: reads go through the cache, a commit
// writes the row and then puts the entry. The class is private: the key is a keyed hash of the
// token, which stands nowhere in the clear but in the table.
type sessionStore struct {
	db   origin.Database
	rows *forebay.Func[string, sessionRow]
}

var _ scs.CtxStore = (*sessionStore)(nil)

func newSessionStore(c *forebay.Cache, db origin.Database) (*sessionStore, error) {
	s := &sessionStore{db: db}
	var err error
	s.rows, err = forebay.Wrap(c, "session_data", s.read)
	return s, err
}

type callerKey struct{}

// sessionCaller names the caller of the private class: the bearer of the token.
func sessionCaller(ctx context.Context) string {
	caller, _ := ctx.Value(callerKey{}).(string)
	return caller
}

func asCaller(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, callerKey{}, token)
}

func (s *sessionStore) read(ctx context.Context, token string) (sessionRow, error) {
	var row sessionRow
	var expires int64
	err := s.db.QueryRowContext(ctx, s.db.Bind("SELECT data, expires_ms FROM sessions WHERE token = ?"), token).Scan(&row.Data, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return row, forebay.ErrNotFound
	}
	row.Expires = time.UnixMilli(expires)
	return row, err
}

// FindCtx implements [scs.CtxStore].
func (s *sessionStore) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	row, err := s.rows.Get(asCaller(ctx, token), token)
	if errors.Is(err, forebay.ErrNotFound) || err == nil && !time.Now().Before(row.Expires) {
		return nil, false, nil
	}
	return row.Data, err == nil, err
}

// CommitCtx implements [scs.CtxStore].
func (s *sessionStore) CommitCtx(ctx context.Context, token string, data []byte, expires time.Time) error {
	_, err := s.db.ExecContext(ctx, s.db.Bind("INSERT INTO sessions (token, data, expires_ms) VALUES (?, ?, ?) "+
		"ON CONFLICT (token) DO UPDATE SET data = excluded.data, expires_ms = excluded.expires_ms"), token, data, expires.UnixMilli())
	if err != nil {
		return err
	}
	_, err = s.rows.Put(asCaller(ctx, token), token, sessionRow{data, expires})
	return err
}

// DeleteCtx implements [scs.CtxStore]. Rows whose time is up go with it.
func (s *sessionStore) DeleteCtx(ctx context.Context, token string) error {
	_, err := s.db.ExecContext(ctx, s.db.Bind("DELETE FROM sessions WHERE token = ? OR expires_ms < ?"), token, time.Now().UnixMilli())
	if err != nil {
		return err
	}
	_, err = s.rows.Invalidate(asCaller(ctx, token), token)
	return err
}

// Find implements [scs.Store]; the manager calls the methods with a context.
func (s *sessionStore) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit implements [scs.Store].
func (s *sessionStore) Commit(token string, data []byte, expires time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expires)
}

// Delete implements [scs.Store].
func (s *sessionStore) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// newSessions does without scs.New, whose store in memory would leave a goroutine behind.
func newSessions(store *sessionStore) *scs.SessionManager {
	return &scs.SessionManager{
		Store: store, Lifetime: sessionLife, Codec: scs.GobCodec{},
		ErrorFunc: func(w http.ResponseWriter, _ *http.Request, err error) { writeProblem(w, err) },
		Cookie:    scs.SessionCookie{Name: "forebay_session", Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Persist: true},
	}
}

// withSession loads a request's session where there is a cookie of one, and moves its end. The
// routes without it pass by untouched: a session costs only those that have one.
func (p *Platform) withSession(next http.Handler) http.Handler {
	sliding := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(context.WithValue(r.Context(), loadedKey{}, true))
		if left := time.Until(p.sessions.Deadline(r.Context())); p.sessions.Exists(r.Context(), "user") && left < sessionLife-slideAfter {
			p.sessions.SetDeadline(r.Context(), time.Now().Add(sessionLife))
		}
		next.ServeHTTP(w, r)
	})
	loaded := p.sessions.LoadAndSave(sliding)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/session" || r.URL.Path == "/api/chat" && hasCookie(r, p.sessions.Cookie.Name) {
			loaded.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

type loadedKey struct{}

func hasSession(ctx context.Context) bool { return ctx.Value(loadedKey{}) != nil }

func hasCookie(r *http.Request, name string) bool {
	_, err := r.Cookie(name)
	return err == nil
}

type sessionAnswer struct {
	User  string `json:"user"`
	OrgID string `json:"org_id"`
	Turns []turn `json:"turns"`
}

func (p *Platform) writeSession(w http.ResponseWriter, r *http.Request) error {
	turns, _ := p.sessions.Get(r.Context(), "turns").([]turn)
	if turns == nil {
		turns = []turn{}
	}
	w.Header().Set("Cache-Control", "no-store")
	return writeJSON(w, http.StatusOK, sessionAnswer{p.sessions.GetString(r.Context(), "user"), p.sessions.GetString(r.Context(), "org_id"), turns})
}

func (p *Platform) getSession(w http.ResponseWriter, r *http.Request) error {
	if !p.sessions.Exists(r.Context(), "user") {
		return &problem{Status: http.StatusNotFound, Detail: "there is no session: begin one with POST /api/session"}
	}
	return p.writeSession(w, r)
}

func (p *Platform) postSession(w http.ResponseWriter, r *http.Request) error {
	var req struct {
		User  string `json:"user"`
		OrgID string `json:"org_id"`
	}
	if err := readJSON(r, &req); err != nil {
		return err
	}
	switch {
	case req.User == "":
		return wrongField("user", "is required")
	case len(req.User) > 200:
		return wrongField("user", "is longer than 200 bytes")
	case req.OrgID == "":
		return wrongField("org_id", "is required")
	}
	// The list of partners also tells whether there is such an organisation, and is cached.
	if _, err := p.partners.Get(r.Context(), partnersParams{OrgID: req.OrgID}); err != nil {
		return err
	}
	ctx := r.Context()
	if err := p.sessions.RenewToken(ctx); err != nil { // a token from before the log-in is worth nothing after it
		return err
	}
	p.sessions.Put(ctx, "user", req.User)
	p.sessions.Put(ctx, "org_id", req.OrgID)
	p.sessions.Put(ctx, "turns", []turn{})
	return p.writeSession(w, r)
}

func (p *Platform) deleteSession(w http.ResponseWriter, r *http.Request) error {
	if err := p.sessions.Destroy(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// remember adds a turn to the caller's session, if there is one, and writes it: the answer may have
// been sent already.
func (p *Platform) remember(ctx context.Context, t turn) error {
	if !hasSession(ctx) || !p.sessions.Exists(ctx, "user") {
		return nil
	}
	turns, _ := p.sessions.Get(ctx, "turns").([]turn)
	turns = append(turns[:len(turns):len(turns)], t)
	p.sessions.Put(ctx, "turns", turns[max(0, len(turns)-keptTurns):])
	_, _, err := p.sessions.Commit(ctx)
	return err
}
