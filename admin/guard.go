package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/time/rate"
)

// A refusal says why a caller may not do something, and what would help.
type refusal struct {
	status int
	detail string
}

// may says who a caller is that may see keys, and perhaps change something: the bearer of a token, or, when none is
// set, a caller on this machine that no proxy forwarded.
func (a *Admin) may(r *http.Request) (identity, *refusal) {
	if len(a.tokens) == 0 {
		if !a.o.Loopback || forwarded(r) || !loopbackHost(r.Host) {
			return identity{}, &refusal{http.StatusForbidden, "set FOREBAY_ADMIN_TOKEN and send it as 'Authorization: Bearer …'; without a token only direct requests to a loopback address may do this"}
		}
		return identity{operate: true}, nil
	}
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		if who, ok := a.identify(given); ok {
			return who, nil
		}
	}
	if who, ok := a.visits.known(r); ok {
		return who, nil
	}
	return identity{}, &refusal{http.StatusUnauthorized, "send the token as 'Authorization: Bearer …', or sign in on the page"}
}

// sameOrigin refuses what a page of another origin makes a browser do.
func (a *Admin) sameOrigin(api huma.API) func(huma.Context, func(huma.Context)) {
	protection := http.NewCrossOriginProtection()
	return func(ctx huma.Context, next func(huma.Context)) {
		r, _ := humago.Unwrap(ctx)
		if protection.Check(r) != nil {
			huma.WriteErr(api, ctx, http.StatusForbidden, "a page of another origin must not do this: open the page on this address")
			return
		}
		next(huma.WithValue(ctx, callerKey{}, caller{"", false, r.RemoteAddr, r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"}))
	}
}

// guard lets a request through that its caller is allowed to make.
func (a *Admin) guard(api huma.API) func(huma.Context, func(huma.Context)) {
	sameOrigin := a.sameOrigin(api)
	return func(ctx huma.Context, next func(huma.Context)) {
		sameOrigin(ctx, func(ctx huma.Context) {
			r, _ := humago.Unwrap(ctx)
			who, no := a.may(r)
			if no == nil && changes(ctx.Operation()) && !who.operate {
				no = &refusal{http.StatusForbidden, "the token of " + who.name + " reads, and changes nothing: use one with the role operate"}
			}
			if no != nil {
				if no.status == http.StatusUnauthorized {
					ctx.SetHeader("WWW-Authenticate", `Bearer realm="forebay"`)
				}
				huma.WriteErr(api, ctx, no.status, no.detail)
				return
			}
			by := callerOf(ctx.Context())
			by.name, by.operate = who.name, who.operate
			next(huma.WithValue(ctx, callerKey{}, by))
		})
	}
}

// Guard lets a request through to what is beside the operations, for who may operate.
func (a *Admin) Guard(next http.Handler) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		excludeFromMetrics(w)
		who, no := a.may(r)
		if no == nil && !who.operate {
			no = &refusal{http.StatusForbidden, "the token of " + who.name + " reads: use one with the role operate"}
		}
		if no != nil {
			if no.status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="forebay"`)
			}
			http.Error(w, no.detail, no.status)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// changing marks an operation that changes something.
const changing = "changes"

func changes(o *huma.Operation) bool { return o.Metadata[changing] != nil }

// A caller is where a request came from, and what it may do.
type caller struct {
	name    string // of its token
	operate bool   // it may change something
	address string
	secure  bool // came by TLS, to here or to the proxy before
}

// String is who did something, as the activity and the log name them.
func (c caller) String() string {
	if c.name == "" {
		return c.address
	}
	return c.name + ", " + c.address
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	by, _ := ctx.Value(callerKey{}).(caller)
	return by
}

func forwarded(r *http.Request) bool {
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" {
			return true
		}
	}
	return false
}

// loopbackHost refuses other names for this machine: a page on a name that was rebound to a
// loopback address is of the same origin in the browser's eyes.
func loopbackHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// visits are the browsers that have signed in: a page cannot keep the token, and a stream of events
// cannot send it.
type visits struct {
	mu    sync.Mutex // guards the fields below
	until map[[sha256.Size]byte]visit
}

// A visit is a browser's, for a time.
type visit struct {
	identity
	until time.Time
}

const (
	visitCookie = "forebay_admin"
	visitLife   = 12 * time.Hour
	maxVisits   = 1000
)

func newVisits() *visits { return &visits{until: map[[sha256.Size]byte]visit{}} }

// begin returns the secret of a new visit. Where there are too many, the one that ends first is over.
func (v *visits) begin(who identity) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	var first [sha256.Size]byte
	for id, one := range v.until {
		if now.After(one.until) {
			delete(v.until, id)
		} else if soonest, ok := v.until[first]; !ok || one.until.Before(soonest.until) {
			first = id
		}
	}
	if len(v.until) >= maxVisits {
		delete(v.until, first)
	}
	secret := rand.Text()
	v.until[sha256.Sum256([]byte(secret))] = visit{who, now.Add(visitLife)}
	return secret
}

func (v *visits) known(r *http.Request) (identity, bool) {
	c, err := r.Cookie(visitCookie)
	if err != nil {
		return identity{}, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.until[sha256.Sum256([]byte(c.Value))]
	return one.identity, time.Now().Before(one.until)
}

// attempts bound how often an address may try to sign in.
type attempts struct {
	mu sync.Mutex // guards the fields below
	by map[string]*rate.Limiter
}

const (
	attemptEach  = 2 * time.Second
	attemptBurst = 10
	maxAddresses = 10_000
)

// wait is how long an address must wait before it may try; 0: it may.
func (t *attempts) wait(address string, now time.Time) time.Duration {
	address = hostOf(address)
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.by[address]
	if l == nil {
		if t.by == nil || len(t.by) >= maxAddresses {
			t.by = make(map[string]*rate.Limiter)
		}
		l = rate.NewLimiter(rate.Every(attemptEach), attemptBurst)
		t.by[address] = l
	}
	if l.AllowN(now, 1) {
		return 0
	}
	return attemptEach
}

type signInRequest struct {
	Body struct {
		Token string `json:"token" doc:"FOREBAY_ADMIN_TOKEN"`
	}
}

type signedIn struct {
	SetCookie string `header:"Set-Cookie"`
}

// signIn gives a browser a cookie for the token.
func (a *Admin) signIn(ctx context.Context, in *signInRequest) (*signedIn, error) {
	if wait := a.attempts.wait(callerOf(ctx).address, time.Now()); wait > 0 {
		a.activity.refused(callerOf(ctx).address)
		return nil, huma.ErrorWithHeaders(huma.Error429TooManyRequests("too many attempts to sign in from this address: wait a moment"),
			http.Header{"Retry-After": {strconv.Itoa(int(wait/time.Second) + 1)}})
	}
	who, ok := a.identify(in.Body.Token)
	if !ok {
		a.activity.refused(callerOf(ctx).address)
		return nil, huma.Error401Unauthorized("this is not the token that the process was started with (FOREBAY_ADMIN_TOKEN)")
	}
	by := callerOf(ctx)
	by.name = who.name
	a.audit(context.WithValue(ctx, callerKey{}, by), Item{Text: "signed in"})
	cookie := http.Cookie{
		Name: visitCookie, Value: a.visits.begin(who), Path: "/", MaxAge: int(visitLife.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: callerOf(ctx).secure,
	}
	return &signedIn{cookie.String()}, nil
}
