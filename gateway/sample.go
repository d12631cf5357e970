package gateway

import (
	"cmp"
	"hash/maphash"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// A Sample is what was seen of the responses of a route that are not cached, of some of them: whether a cache would have
// served the same.
type Sample struct {
	Compared  int      `json:"compared"`  // responses, with an earlier one of the same URL and the same caller
	Differing int      `json:"differing"` // of those: another body within five minutes
	ByCaller  int      `json:"by_caller"` // URLs for which two callers got different bodies
	Cookies   int      `json:"cookies"`   // responses that set one
	Vary      []string `json:"vary"`      // fields of requests that the origin says its responses depend on
}

// A sampler lays the responses of the origin to equal requests beside each other.
type sampler struct {
	limit *rate.Limiter
	seen  map[string]seenBody // by host and target: the latest
	by    map[string]*Sample  // by route
}

type seenBody struct {
	body, caller uint64
	at           time.Time
}

const (
	samplesPerSecond = 20
	maxSeen          = 2000
	comparedFor      = 5 * time.Minute // what the suggested rule would keep
	maxVary          = 8
)

var bodySeed = maphash.MakeSeed()

func newSampler() sampler {
	return sampler{rate.NewLimiter(samplesPerSecond, samplesPerSecond), map[string]seenBody{}, map[string]*Sample{}}
}

// handler samples the responses of next, the way to the origin.
func (a *advice) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !a.sampler.limit.Allow() || ofOperators.MatchString(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		s := &sampled{ResponseWriter: w}
		s.hash.SetSeed(bodySeed)
		next.ServeHTTP(s, r) // what panics broke off, and says nothing
		if s.status == http.StatusOK && r.Context().Err() == nil {
			a.compare(r, s)
		}
	})
}

// sampled hashes a body as it goes by.
type sampled struct {
	http.ResponseWriter
	hash   maphash.Hash
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (s *sampled) WriteHeader(status int) {
	if s.status == 0 && status >= 200 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (s *sampled) Write(p []byte) (int, error) {
	s.status = cmp.Or(s.status, http.StatusOK)
	s.hash.Write(p)
	return s.ResponseWriter.Write(p)
}

// Unwrap lets [http.ResponseController] reach the writer below.
func (s *sampled) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// compare lays a response beside the one before of the same URL, in the same form.
func (a *advice) compare(r *http.Request, s *sampled) {
	var who maphash.Hash
	who.SetSeed(bodySeed)
	for _, name := range []string{"Authorization", "Cookie"} {
		who.WriteString(strings.Join(r.Header[name], "\x00") + "\x01")
	}
	now := seenBody{s.hash.Sum64(), who.Sum64(), time.Now()}
	url := strings.Join([]string{r.Host, r.URL.RequestURI(), r.Header.Get("Accept"), r.Header.Get("Accept-Encoding"), r.Header.Get("Accept-Language")}, "\x00")
	header := s.Header()
	a.mu.Lock()
	defer a.mu.Unlock()
	route := routeOf(r)
	one := a.sampler.by[route]
	if one == nil {
		if len(a.sampler.by) >= maxRoutes {
			return
		}
		one = &Sample{Vary: []string{}}
		a.sampler.by[route] = one
	}
	if header["Set-Cookie"] != nil {
		one.Cookies++
	}
	one.varies(header["Vary"])
	before, ok := a.sampler.seen[url]
	switch {
	case !ok || now.at.Sub(before.at) > comparedFor:
	case before.caller == now.caller:
		if one.Compared++; before.body != now.body {
			one.Differing++
		}
	case before.body != now.body:
		one.ByCaller++
	}
	if !ok && len(a.sampler.seen) >= maxSeen {
		maps.DeleteFunc(a.sampler.seen, func(_ string, b seenBody) bool { return now.at.Sub(b.at) > comparedFor })
		if len(a.sampler.seen) >= maxSeen {
			return
		}
	}
	a.sampler.seen[url] = now
}

func (s *Sample) varies(lines []string) {
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name != "" && len(s.Vary) < maxVary && !slices.Contains(s.Vary, name) {
				s.Vary = append(s.Vary, name)
			}
		}
	}
}

// A Safety says whether a route should be cached, by what was seen.
type Safety string

const (
	SafetyUnknown Safety = "unknown"
	SafetyYes     Safety = "yes"
	SafetyCareful Safety = "careful"
	SafetyNo      Safety = "no"
)

// enough is how many comparisons say something.
const enough = 3

// judge says whether to cache a route, and why.
func (s Sample) judge(answers answers) (Safety, string) {
	switch {
	case slices.Contains(s.Vary, "*"):
		return SafetyNo, "its responses depend on more than the request (Vary: *)"
	case s.Differing*5 > s.Compared && s.Compared >= enough:
		return SafetyNo, "the same request is answered otherwise within five minutes: callers would see what is out of date"
	case s.Cookies > 0:
		return SafetyCareful, "it sets cookies: those responses are not stored"
	case s.Differing > 0:
		return SafetyCareful, "now and then the same request is answered otherwise within five minutes: keep it for less, or invalidate when it changes"
	case s.ByCaller > 0:
		return SafetyCareful, "callers get different responses: each has an entry of its own, and the hit rate is that of one caller"
	case answers.credentials > 0:
		return SafetyCareful, "it is asked for with credentials: each caller has an entry of its own"
	case s.Compared < enough:
		return SafetyUnknown, "too few requests were repeated to say"
	}
	return SafetyYes, "repeated requests were answered alike, without cookies or credentials"
}
