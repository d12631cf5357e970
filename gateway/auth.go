package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

// Auth says that a route asks a service whether a caller may have it, for hits too.
type Auth struct {
	URL     string // of the service: a status under 300 lets the request through, and any other answers it
	Class   string // of its decisions: how long each is kept
	By      string // url (the default): a decision is for one URL; route: for all of the route's
	Headers []string
}

const (
	byURL   = "url"
	byRoute = "route"

	authTimeout = 5 * time.Second
	maxDecision = 64 << 10
)

func (a Auth) check() error {
	u, err := url.Parse(a.URL)
	switch {
	case err != nil:
		return fmt.Errorf("auth.url: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("auth.url: %q: write http://HOST/PATH", a.URL)
	case a.Class == "":
		return fmt.Errorf("auth.class: name the class of its decisions")
	}
	return nil
}

// authFields are what the service learns of the caller, beside those that the route names.
var authFields = []string{"Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-Auth-Token", "X-Access-Token"}

// An authQuestion is what a decision depends on. The credential is a hash.
type authQuestion struct {
	Service    string
	Method     string
	Target     string // the URL, or the route's pattern
	Credential string
}

// A decision is what a service said.
type decision struct {
	Status int
	Header http.Header
	Body   []byte
}

// allowed reports whether the request goes on.
func (d decision) allowed() bool { return d.Status >= 200 && d.Status < 300 }

// authFront asks for a decision before anything else sees a request of its routes. A route within one that asks, and that
// says nothing of it, is asked for too: who adds a rule must not open a door.
type authFront struct {
	ways *http.ServeMux
	*decisions
	next http.Handler

	canonical func(http.ResponseWriter, *http.Request) (*http.Request, bool)
}

// decisions are what services said, by class. They outlive a configuration.
type decisions struct {
	cache  *forebay.Cache
	client *http.Client
	secret []byte

	mu      sync.Mutex // guards classes
	classes map[string]*forebay.Func[authQuestion, decision]
}

func newDecisions(c *forebay.Cache, secret []byte) *decisions {
	return &decisions{
		cache: c, secret: secret, classes: map[string]*forebay.Func[authQuestion, decision]{},
		client: &http.Client{
			Timeout:       authTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: authTimeout}).DialContext, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: originIdle,
				MaxResponseHeaderBytes: maxFields, ForceAttemptHTTP2: true},
		},
	}
}

// open makes sure that there are the classes of a configuration.
func (d *decisions) open(ways []Way) error {
	for _, w := range ways {
		if w.Auth != nil {
			if _, err := d.of(w.Auth.Class); err != nil {
				return err
			}
		}
	}
	return nil
}

// of returns the function that asks for decisions of a class.
func (d *decisions) of(class string) (*forebay.Func[authQuestion, decision], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := d.classes[class]; one != nil {
		return one, nil
	}
	one, err := forebay.Wrap(d.cache, class+"/auth", d.ask, forebay.KeepBy(func(_ context.Context, _ authQuestion, d decision) forebay.Keep {
		if !d.allowed() { // who has just signed in must not wait
			return forebay.Keep{TTL: -1, Stale: -1, StaleIfError: -1}
		}
		return forebay.Keep{}
	}))
	if err != nil {
		return nil, fmt.Errorf("auth: class %s: %w", class, err)
	}
	d.classes[class] = one
	return one, nil
}

func newAuthFront(d *decisions, h *httpcache.Cache, ways []Way, next http.Handler) (*authFront, error) {
	asks := slices.DeleteFunc(slices.Clone(ways), func(w Way) bool { return w.Auth == nil })
	mux, err := waysMux(asks)
	if err != nil {
		return nil, err
	}
	return &authFront{ways: mux, decisions: d, next: next, canonical: h.Canonical}, nil
}

type authKey struct{}

// An authCall is the request that a decision is asked for.
type authCall struct {
	r    *http.Request
	auth *Auth
}

func (f *authFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, ok := f.canonical(w, r)
	if !ok {
		return
	}
	if httpcache.AmbiguousPath(r.URL.EscapedPath()) { // it may lead to a route that is asked for, and not be found here
		httpcache.WriteProblem(w, http.StatusBadRequest, "the path has dots, empty segments or escaped slashes, which servers read differently", 0)
		return
	}
	way := f.asks(r)
	if way == nil {
		f.next.ServeHTTP(w, r)
		return
	}
	if t := tellingOf(w); t != nil {
		t.asked = true
	}
	q := authQuestion{way.Auth.URL, r.Method, way.Match, f.credential(r, way.Auth)}
	if way.Auth.By != byRoute {
		q.Target = r.Host + r.URL.RequestURI()
	}
	asks, err := f.of(way.Auth.Class)
	var d decision
	if err == nil {
		d, err = asks.Get(context.WithValue(r.Context(), authKey{}, &authCall{r, way.Auth}), q)
	}
	switch {
	case err != nil:
		httpcache.WriteProblem(w, http.StatusServiceUnavailable, "nobody can say now whether this caller may have it", time.Second)
	case d.allowed():
		f.next.ServeHTTP(w, r)
	default:
		d.refuse(w)
	}
}

// asks returns the way of a canonical request for which a service is asked; nil: none is.
func (f *authFront) asks(r *http.Request) *Way {
	found, _ := f.ways.Handler(r)
	if way, ok := found.(*Way); ok && way.Auth != nil {
		return way
	}
	return nil
}

// refuse answers as the service did.
func (d decision) refuse(w http.ResponseWriter) {
	for _, name := range []string{"Content-Type", "Location", "Www-Authenticate", "Set-Cookie", "Retry-After"} {
		if lines := d.Header[name]; lines != nil {
			w.Header()[name] = lines
		}
	}
	w.Header()["Cache-Control"] = []string{"no-store"}
	w.WriteHeader(d.Status)
	w.Write(d.Body)
}

// credential is a hash of all that the service learns of the caller.
func (d *decisions) credential(r *http.Request, a *Auth) string {
	h := hmac.New(sha256.New, d.secret)
	for _, name := range slices.Concat(authFields, a.Headers) {
		for _, line := range r.Header[name] {
			fmt.Fprintf(h, "%q:%q\n", name, line)
		}
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// ask asks the service.
func (d *decisions) ask(ctx context.Context, q authQuestion) (decision, error) {
	one := ctx.Value(authKey{}).(*authCall)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, q.Service, nil)
	if err != nil {
		return decision{}, err
	}
	for _, name := range slices.Concat(authFields, one.auth.Headers) {
		if lines := one.r.Header[name]; lines != nil {
			r.Header[name] = slices.Clone(lines)
		}
	}
	r.Header["X-Forwarded-Method"], r.Header["X-Forwarded-Host"] = []string{one.r.Method}, []string{one.r.Host}
	if one.auth.By != byRoute { // a decision for a whole route must not know more
		r.Header["X-Forwarded-Uri"] = []string{one.r.URL.RequestURI()}
	}
	res, err := d.client.Do(r)
	if err != nil {
		return decision{}, err
	}
	defer res.Body.Close()
	if res.StatusCode >= 500 {
		return decision{}, fmt.Errorf("the auth service answered with the status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDecision+1))
	if err != nil {
		return decision{}, err
	}
	if len(body) > maxDecision {
		body = nil
	}
	said := decision{Status: res.StatusCode, Body: body, Header: http.Header{}}
	if !said.allowed() {
		said.Header = res.Header
	} else {
		said.Body = nil
	}
	return said, nil
}

// canonicalNames are fields as a header has them.
func canonicalNames(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = http.CanonicalHeaderKey(strings.TrimSpace(name))
	}
	return out
}
