// Package demo is the reference platform: an API with chat, partners, templates, queries, status
// and sessions in front of a slow partner API, and the cache between them. It uses only the public
// API and is written to be copied from.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/demo/origin"
	"github.com/forebay-cache/forebay/edge"
	"github.com/forebay-cache/forebay/shared"
)

// Options configure [Open]. The zero Options work.
type Options struct {
	Database      string          // default: memory
	OriginLatency origin.Latency  // of each call of the partner API; the zero value is no latency at all
	Classes       []forebay.Class // default: Classes; others must have the same names
	NearBytes     int64           // default: the library's
	Shared        shared.Tier     // the tier that nodes share; the platform does not close it. Default: none
	Journal       string          // file of the invalidations that the log does not have yet; default: memory
	Secret        []byte          // keys the hashes of sessions; nodes that share a tier need the same
	Assistant     Assistant       // default: the embedded one
	Version       string
	Logger        *slog.Logger // default slog.Default()
}

// A Platform is the running platform. Its methods are safe for concurrent use.
type Platform struct {
	edge     *edge.Queue
	cache    *forebay.Cache
	api      *origin.API
	sessions *scs.SessionManager
	store    *sessionStore
	chat     http.Handler // the cache in front of the assistant
	logger   *slog.Logger
	version  string

	mu     sync.Mutex // guards the fields below
	admins []*admin.Admin

	partners  *forebay.Func[partnersParams, partnersAnswer]
	templates *forebay.Func[templatesParams, templatesAnswer]
	template  *forebay.Func[string, origin.Template]
	status    *forebay.Func[statusParams, statusAnswer]
	query     *forebay.Func[string, origin.QueryStatus]
	results   *forebay.Func[string, origin.Result]
}

// Open opens the partner API and puts the cache in front of its functions.
func Open(ctx context.Context, o Options) (*Platform, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Classes == nil {
		o.Classes = Classes
	}
	api, err := origin.Open(ctx, o.Database, o.OriginLatency)
	if err != nil {
		return nil, err
	}
	cache, err := forebay.Open(ctx, forebay.Options{
		Classes:    o.Classes,
		NearBytes:  o.NearBytes,
		Shared:     o.Shared,
		Journal:    o.Journal,
		Secret:     o.Secret,
		Caller:     sessionCaller,
		IsNotFound: func(err error) bool { return errors.Is(err, origin.ErrNotFound) },
		Logger:     o.Logger,
	})
	if err != nil {
		return nil, errors.Join(err, api.Close())
	}
	p := &Platform{cache: cache, edge: edge.Open(ctx, edge.Options{Cache: cache, Logger: o.Logger}), api: api, logger: o.Logger, version: o.Version}
	if o.Assistant == nil {
		o.Assistant = embedded{api}
	}
	if err := p.wrap(o.Assistant); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// wrap puts the cache in front of each function of the origin.
func (p *Platform) wrap(a Assistant) (err error) {
	c := p.cache
	var errs []error
	keep := func(err error) { errs = append(errs, err) }

	p.partners, err = forebay.Wrap(c, "partner_data", p.loadPartners,
		forebay.KeepBy(func(_ context.Context, q partnersParams, _ partnersAnswer) forebay.Keep {
			return forebay.Keep{Tags: []string{orgTag(q.OrgID)}}
		}))
	keep(err)
	p.templates, err = forebay.Wrap(c, "template_data", p.loadTemplates)
	keep(err)
	p.template, err = forebay.Wrap(c, "template_data/one", p.api.Template)
	keep(err)
	p.status, err = forebay.Wrap(c, "status_data", p.loadStatus)
	keep(err)
	p.query, err = forebay.Wrap(c, "status_data/query", p.api.QueryState,
		forebay.KeepBy(func(_ context.Context, _ string, s origin.QueryStatus) forebay.Keep {
			if s.Running() {
				return forebay.Keep{TTL: runningTTL, Stale: -1, StaleIfError: -1}
			}
			return forebay.Keep{}
		}))
	keep(err)
	p.results, err = forebay.Wrap(c, "api_response/results", p.api.Results)
	keep(err)
	p.store, err = newSessionStore(c, p.api.DB())
	keep(err)
	p.chat, err = newChat(c, a)
	keep(err)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("platform: %w", err)
	}
	p.sessions = newSessions(p.store)
	return nil
}

// Cache is the platform's cache.
func (p *Platform) Cache() *forebay.Cache { return p.cache }

// Close ends what watches the cache, then the cache, then the partner API.
func (p *Platform) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.admins {
		a.Close()
	}
	return errors.Join(p.edge.Close(), p.cache.Close(), p.api.Close())
}

// Handler serves the public listener. The admin's reading operations are mounted on it.
func (p *Platform) Handler(a *admin.Admin) http.Handler { return p.handler(a.Register) }

// Operators serves the admin listener: every operation, and the platform, so that one page can use both.
func (p *Platform) Operators(a *admin.Admin) http.Handler { return p.handler(a.RegisterAll) }

func (p *Platform) handler(operations func(*http.ServeMux)) http.Handler {
	rt := newRouter()
	rt.handle("GET /api/partners", p.getPartners)
	rt.handle("PUT /api/partners/{id}", p.putPartner)
	rt.handle("GET /api/templates", p.getTemplates)
	rt.handle("GET /api/templates/{template_id}", p.getTemplate)
	rt.handle("POST /api/queries", p.postQuery)
	rt.handle("GET /api/status", p.getStatus)
	rt.handle("GET /api/status/{query_id}", p.getQueryStatus)
	rt.handle("GET /api/results/{query_id}", p.getResults)
	rt.handle("POST /api/chat", p.postChat)
	rt.handle("GET /api/session", p.getSession)
	rt.handle("POST /api/session", p.postSession)
	rt.handle("DELETE /api/session", p.deleteSession)
	operations(rt.mux)
	return p.withSession(rt.handler())
}

// Admin returns the operations on the platform's cache, with what it knows itself filled in. The
// platform closes it, if nobody has before.
func (p *Platform) Admin(o admin.Options) *admin.Admin {
	o.Version, o.Logger, o.OriginCalls = p.version, p.logger, p.api.Calls
	o.Checks = map[string]admin.Check{"database": p.api.DB().PingContext}
	o.Edge = p.edge
	o.Platform, o.Parts = true, admin.Parts{Front: "platform", Origin: "partner API", Database: "SQLite"}
	a := admin.New(p.cache, o)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admins = append(p.admins, a)
	return a
}

// maxBody bounds the requests to the platform.
const maxBody = 1 << 20

// waitForOrigin bounds a request that changes something.
const waitForOrigin = 30 * time.Second
