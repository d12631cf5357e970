package httpcache

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/canon"
)

// A Profile says how far the cache trusts what it stands between.
type Profile string

const (
	// Safe is the default. A request with a credential has entries of its own; responses that set a
	// cookie and errors are not stored; on routes with a rule only the request's fields that are part
	// of the key are forwarded.
	Safe Profile = "safe"
	// RFC is the letter of RFC 9111.
	RFC Profile = "rfc"
)

// Options configure [New]. The zero Options work: profile safe, and every response obeys its own fields.
type Options struct {
	// Profile is Safe or RFC. Default Safe.
	Profile Profile

	// Rules name routes. The most specific one that matches a request counts, as in [http.ServeMux].
	Rules []Rule

	// Class is the class of the requests that no rule matches. Default "http".
	Class string

	// IgnoreHeaders are fields of the request that do not shape its response but by Vary, such as
	// User-Agent at an origin that only logs it. In profile Safe, where no rule says what the response
	// depends on, every other field that is forwarded is part of the key.
	IgnoreHeaders []string

	// Relayed are fields that an intermediary before the cache has set itself, such as
	// X-Forwarded-Proto: forwarded on every route, and part of the key.
	Relayed []string

	// MaxBody bounds the bodies that are stored, in bytes. Larger ones pass. Default 8 MiB.
	MaxBody int

	// BodyBytes bounds the memory of bodies under way, in bytes: those that grow, and those that clients
	// are slow to read, which the near tier's bound does not hold. Without room an answer passes
	// unstored, and one that is stored is answered 503 after a while. At least twice MaxBody. Default 64
	// MiB, or that.
	BodyBytes int64

	// KeepControl passes on the fields by which the origin speaks to caches alone (Cache-Tag,
	// Surrogate-Key, Surrogate-Control, Forebay-Cache-Control): where a CDN stands above that obeys
	// them. Default off: they end here.
	KeepControl bool

	// Compression compresses what is stored. Default nil: not; the origin may.
	Compression *Compression

	// Replaces is an HTTP cache on the same tiers whose place this one takes: what is stored stays, and both may serve
	// meanwhile. Default nil.
	Replaces *Cache

	// Error answers where the origin did not and nothing stale may be served: a [forebay.BusyError],
	// [forebay.ErrLoadTimeout], or what the next handler gave to [Fail]. Default: problem details
	// (RFC 9457) with 503, 504 and 502.
	Error func(w http.ResponseWriter, r *http.Request, err error)

	// Logger gets the panics of the next handler. Default slog.Default().
	Logger *slog.Logger

	// MayLoad is asked before a request waits for a load; false answers it with what is stale, else with 429. Nil: all may.
	MayLoad func(r *http.Request) bool

	// MayChange is asked before a request that may change something goes on: each that succeeds invalidates. False answers
	// it with 503. Nil: all may.
	MayChange func(r *http.Request) bool

	// Served is told of each response that a cache above may keep for everybody, before it is sent: it may add fields that
	// say so. What it is not told of is one caller's own, is not kept here, or did not come from a cache. Default nobody.
	Served func(w http.ResponseWriter, s Served)

	// Repeats is told of each hit that the same request gets again, before it is sent: see [Repeat]. Default nobody.
	Repeats func(r *http.Request, again *Repeat)

	// Uncached is told of each response that could not be stored only because nobody said for how
	// long. It must not block. Default nobody.
	Uncached func(r *http.Request)
}

// A Rule says how the responses of a route are kept. It is plain data.
type Rule struct {
	// Match is a pattern of [http.ServeMux]: "GET /api/partners", with a host if need be.
	Match string
	// Class is the class of the route's entries: its statistics, and how long they are kept where the
	// origin says nothing. Default: the class of Options.
	Class string
	// TTL overrides the class's. Default: that of Class; without a Class, what the origin says.
	TTL time.Duration
	// NotFound keeps a 404 for so long, unless the origin says less. Default: as the profile says.
	NotFound time.Duration
	// TTLByStatus keeps a response with one of these statuses, of 200 to 499, for so long, unless the origin says less.
	// Default: as the profile says.
	TTLByStatus map[int]time.Duration
	// Query says what of the query reaches the origin and is in the key. Default: all of it, as it is written.
	Query *QueryRule
	// Cookies are those of a request that reach the origin and are in the key; all others are taken off. They name no
	// caller then: callers with the same ones share entries. Nil: the whole of Cookie names the caller; empty: none.
	Cookies []string
	// Override: TTL counts whatever the origin says, no-store and private included.
	Override bool
	// Bypass: the route is not cached.
	Bypass bool
	// Shared: callers share entries in spite of their credentials. In profile Safe the origin must
	// still allow it (public, s-maxage, must-revalidate), or Override.
	Shared bool
	// Headers are fields of the request that the response depends on, besides Accept,
	// Accept-Encoding, Accept-Language and credentials: forwarded, and part of the key.
	Headers []string
	// Upgrade are the protocols that a request of the route may upgrade its connection to. Such a
	// request bypasses the cache. Default "websocket"; empty but not nil: none. A request for another
	// one is passed on without its Upgrade.
	Upgrade []string
	// Compress: false compresses nothing of the route; true also what is one caller's own. Default: as Options.Compression says.
	Compress *bool
	// Preflights caches those that browsers send before requests of the route (Fetch, section 4.8): by Origin and what
	// they ask for, for as long as Access-Control-Max-Age says, at most TTL.
	Preflights bool
	// BodyKey makes a POST a query: its JSON body is part of the key.
	BodyKey *BodyKey
	// Events says when server-sent events count as whole. Default EndOpenAI.
	Events EventsEnd
	// Pace is the pause between two events when they are replayed. Default none.
	Pace time.Duration
}

// A BodyKey says how a request's JSON body becomes part of the key: keys sorted, insignificant space
// left out, numbers as they are written.
type BodyKey struct {
	// Ignore are fields that do not count: names joined by dots, "*" for every element of a list. A dot
	// in a name is written "\.".
	Ignore []string
	// MaxBytes: a larger body bypasses. Default 64 KiB.
	MaxBytes int
	// GraphQL: only what can do nothing but read is a query. Any other request bypasses, and removes what is stored of its
	// URI when it has succeeded, as a POST does.
	GraphQL bool
}

// An EventsEnd says by what a stream of server-sent events shows that it is whole.
type EventsEnd string

const (
	// EndOpenAI: "data: [DONE]" after a finish_reason in each choice, none of them "length", and no error.
	EndOpenAI EventsEnd = "openai"
	// EndDone: "data: [DONE]", and no event of type error.
	EndDone EventsEnd = "done"
	// EndClose: the connection was closed in good order, and no event of type error.
	EndClose EventsEnd = "close"
)

const (
	defaultClass    = "http"
	defaultMaxBody  = 8 << 20
	defaultMaxQuery = 64 << 10

	defaultBodyBytes = 64 << 20
)

// A route is a rule in use.
type route struct {
	Rule
	space  *forebay.Space[*response]
	class  forebay.Class
	prefix string        // of the space's keys
	print  []byte        // of what the rule makes of a key: see marked
	ttl    time.Duration // where the origin says nothing; 0: what it says counts
	keyed  []string      // canonical names of the fields that are part of the key
	ignore []canon.Path  // of BodyKey

	passages map[string]passage // of the fields that have a name here …
	unknown  passage            // … and of all others
	ruled    bool
	known    knownBodies
	off      bool // the cache is

	preflight *route // for those of its requests; nil: they are not cached
	isFlight  bool
}

// ServeHTTP is never called: a route is what the mux finds.
func (*route) ServeHTTP(http.ResponseWriter, *http.Request) {}

// withDefaults returns the options with every default, or every mistake at once.
func (o Options) withDefaults() (Options, error) {
	var mistakes []error
	switch o.Profile {
	case "":
		o.Profile = Safe
	case Safe, RFC:
	default:
		mistakes = append(mistakes, fmt.Errorf("Profile: %q is not a profile: use safe or rfc", o.Profile))
	}
	if o.Class == "" {
		o.Class = defaultClass
	}
	if o.MaxBody == 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.MaxBody < 0 {
		mistakes = append(mistakes, fmt.Errorf("MaxBody: %d is negative", o.MaxBody))
	}
	if o.BodyBytes < 0 {
		mistakes = append(mistakes, fmt.Errorf("BodyBytes: %d is negative", o.BodyBytes))
	}
	if o.BodyBytes == 0 {
		o.BodyBytes = defaultBodyBytes
	}
	o.BodyBytes = max(o.BodyBytes, 2*int64(o.MaxBody))
	var err error
	if o.Compression, err = o.Compression.withDefaults(); err != nil {
		mistakes = append(mistakes, err)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Error == nil {
		o.Error = WriteError
	}
	o.Rules = slices.Clone(o.Rules)
	for i := range o.Rules {
		if err := o.Rules[i].setDefaults(); err != nil {
			mistakes = append(mistakes, fmt.Errorf("Rules[%d] (%s): %w", i, o.Rules[i].Match, err))
		}
	}
	return o, errors.Join(mistakes...)
}

// Check returns every mistake in the rule but for its pattern, joined; [New] does the same.
func (r Rule) Check() error { return r.setDefaults() }

func (r *Rule) setDefaults() error {
	var mistakes []error
	for status, ttl := range r.TTLByStatus {
		if status < 200 || status > 499 || status == http.StatusPartialContent || status == http.StatusNotModified || ttl <= 0 {
			mistakes = append(mistakes, fmt.Errorf("TTLByStatus: %d: %s: a status of 200 to 499, but 206 and 304, and a time above 0", status, ttl))
		}
	}
	if r.Query != nil {
		if err := r.Query.Check(); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	if r.NotFound < 0 {
		mistakes = append(mistakes, fmt.Errorf("NotFound: %s is negative", r.NotFound))
	}
	if r.TTL < 0 {
		mistakes = append(mistakes, fmt.Errorf("TTL: %s is negative: use Bypass to keep nothing", r.TTL))
	}
	switch r.Events {
	case "":
		r.Events = EndOpenAI
	case EndOpenAI, EndDone, EndClose:
	default:
		mistakes = append(mistakes, fmt.Errorf("Events: %q is not an end of a stream: use openai, done or close", r.Events))
	}
	for _, name := range r.Headers {
		if !isToken(name) {
			mistakes = append(mistakes, fmt.Errorf("Headers: %q is not the name of a field", name))
		}
	}
	if r.BodyKey != nil {
		k := *r.BodyKey
		if k.MaxBytes == 0 {
			k.MaxBytes = defaultMaxQuery
		}
		if method, _, _ := strings.Cut(r.Match, " "); method != http.MethodPost {
			mistakes = append(mistakes, errors.New("BodyKey: only a POST can be made a query: begin Match with POST"))
		}
		r.BodyKey = &k
	}
	if r.Override && r.TTL == 0 && r.Class == "" {
		mistakes = append(mistakes, errors.New("Override: needs a TTL or a Class"))
	}
	return errors.Join(mistakes...)
}
