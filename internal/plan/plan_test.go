package plan_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay/forebaytest"
	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/internal/plan"

	"github.com/forebay-cache/forebay"
)

func read(t *testing.T, log string) *plan.Report {
	t.Helper()
	r, err := plan.Read(strings.NewReader(log), plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The same request, as each server writes it.
func TestFormats(t *testing.T) {
	for name, line := range map[string]string{
		"common":          `10.0.0.1 - anna [01/Dec/2026:10:00:00 +0000] "GET /users/7?full=1 HTTP/1.1" 200 512`,
		"combined":        `10.0.0.1 - anna [01/Dec/2026:10:00:00 +0000] "GET /users/7?full=1 HTTP/1.1" 200 512 "-" "curl/8 \"x\""`,
		"nginx, timed":    `10.0.0.1 - anna [01/Dec/2026:10:00:00 +0000] "GET /users/7?full=1 HTTP/1.1" 200 512 "-" "curl/8" 0.250`,
		"Apache, %D":      `10.0.0.1 - anna [01/Dec/2026:10:00:00 +0000] "GET /users/7?full=1 HTTP/1.1" 200 512 "-" "curl/8" 250000`,
		"ours, combined":  `10.0.0.1 - anna [01/Dec/2026:10:00:00 +0000] "GET /users/7?full=1 HTTP/1.1" 200 512 "-" "curl/8" 250.000 "forebay; fwd=uri-miss; stored"`,
		"ours, JSON":      `{"time":"2026-12-01T10:00:00.5Z","level":"INFO","msg":"request","method":"GET","path":"/users/7?full=1","status":200,"bytes":512,"took":250000000,"remote":"10.0.0.1:4","user":"anna"}`,
		"nginx, JSON":     `{"time_iso8601":"2026-12-01T10:00:00+00:00","remote_user":"anna","request":"GET /users/7?full=1 HTTP/1.1","status":"200","body_bytes_sent":"512","request_time":"0.250"}`,
		"nginx, its args": `{"time_local":"01/Dec/2026:10:00:00 +0000","remote_user":"anna","request_method":"GET","uri":"/users/7","args":"full=1","status":"200","body_bytes_sent":"512","request_time":"0.250"}`,
		"Caddy":           `{"level":"info","ts":1796119200.25,"msg":"handled request","request":{"method":"GET","uri":"/users/7?full=1","host":"x"},"user_id":"anna","duration":0.25,"size":512,"status":200}`,
		"Traefik":         `{"ClientUsername":"anna","DownstreamContentSize":512,"DownstreamStatus":200,"Duration":250000000,"RequestMethod":"GET","RequestPath":"/users/7?full=1","StartUTC":"2026-12-01T10:00:00Z"}`,
		"Envoy":           `{"start_time":"2026-12-01T10:00:00.000Z","method":"GET","path":"/users/7?full=1","response_code":200,"bytes_sent":512,"duration_ms":250,"user":"anna"}`,
		"a host before":   `api.test 10.0.0.1 - anna [01/Dec/2026:10:00:00 +0000] "GET /users/7?full=1 HTTP/1.1" 200 512 "-" "curl/8" 0.250`,
		"Docker":          `{"log":"\u001b[0m10.0.0.1 - anna [01/Dec/2026:10:00:00 +0000] \"GET /users/7?full=1 HTTP/1.1\" 200 512 \"-\" \"curl/8\" 0.250\n","stream":"stdout","time":"2026-12-01T10:00:00Z"}`,
		"an absolute URI": `10.0.0.1 - anna [01/Dec/2026:10:00:00 +0000] "GET http://api.test/users/7?full=1 HTTP/1.1" 200 512`,
	} {
		r := read(t, line+"\n")
		if len(r.Routes) != 1 || r.Unread != 0 || !r.Queries {
			t.Errorf("%s: %+v", name, r)
			continue
		}
		one := r.Routes[0]
		if one.Match != "GET /users/{id}" || one.Users != 1 || r.From.UTC().Format("15:04:05") != "10:00:00" && name != "Caddy" {
			t.Errorf("%s: %+v, %s", name, one, r.From)
		}
		if timed := !slices.Contains([]string{"common", "combined", "an absolute URI"}, name); timed != (one.Took == 250*time.Millisecond) {
			t.Errorf("%s: it took %s", name, one.Took)
		}
	}
}

func TestWhatIsNoLog(t *testing.T) {
	for _, log := range []string{"", "\n\n", "hello\n", `{"a": 1}` + "\n", "\x00\xff\n", strings.Repeat("x", 3<<20)} {
		if r, err := plan.Read(strings.NewReader(log), plan.Options{}); err == nil {
			t.Errorf("%.20q: %+v", log, r)
		}
	}
	good := `h - - [01/Dec/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 1` + "\n"
	r := read(t, good+"broken\n"+good+strings.Repeat("x", 3<<20)+"\n"+good+`h - - [01/Dec/2026:10:00:00 +0000] "\x16\x03\x01" 400 0`)
	if r.Requests != 3 || r.Unread != 3 || len(r.Examples) != 3 || !strings.HasPrefix(r.Examples[0], "line 2: ") || r.Routes[0].Match != "GET /{$}" {
		t.Errorf("%+v", r)
	}
}

// line writes a record of the combined format.
func line(at time.Time, method, uri string, status, bytes int, took time.Duration) string {
	return fmt.Sprintf("10.0.0.1 - - [%s] \"%s %s HTTP/1.1\" %d %d \"-\" \"-\" %.3f\n", at.Format("02/Jan/2006:15:04:05 -0700"), method, uri, status, bytes, took.Seconds())
}

var begin = time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)

func TestJudgement(t *testing.T) {
	var log strings.Builder
	for i := range 4000 {
		at := begin.Add(time.Duration(i) * time.Second)
		log.WriteString(line(at, "GET", fmt.Sprintf("/items/%d", i%5), 200, 1000, 100*time.Millisecond))
		log.WriteString(line(at, "GET", "/clock", 200, 500+i/3, time.Millisecond)) // another every three seconds
		log.WriteString(line(at, "GET", fmt.Sprintf("/orders/%d", i), 200, 1000, time.Millisecond))
		log.WriteString(line(at, "GET", "/gone", 404, 10, time.Millisecond))
		log.WriteString(line(at, "POST", "/items", 201, 10, time.Millisecond))
		if i%600 == 0 {
			log.WriteString(line(at, "GET", fmt.Sprintf("/words/%s", strings.Repeat("ab", i/600+1)), 200, 10, time.Millisecond))
		}
	}
	r := read(t, log.String())
	by := map[string]plan.Route{}
	for _, one := range r.Routes {
		by[one.Match] = one
	}
	if one := by["GET /items/{id}"]; one.TTL != 5*time.Minute || one.HitRates[4] < 0.99 || one.Saved < 390*time.Second || one.HitRates[0] < 0.4 || one.HitRates[0] > 0.6 {
		t.Errorf("items: %+v", one)
	}
	for match, why := range map[string]string{"GET /clock": "it changes", "GET /orders/{id}": "seldom", "GET /gone": "status", "POST /items": "POST", "GET /words/ab": "too seldom"} {
		if one := by[match]; one.TTL != 0 || !strings.Contains(one.Why, why) {
			t.Errorf("%s: %+v", match, one)
		}
	}
	if r.Routes[0].Match != "GET /items/{id}" || r.Spared < 3900 {
		t.Errorf("first is %s; %d calls spared", r.Routes[0].Match, r.Spared)
	}
	if _, err := gateway.ParseConfig([]byte("origin: http://127.0.0.1:1\n" + r.Rules())); err != nil {
		t.Errorf("the rules are no rules: %v\n%s", err, r.Rules())
	}
}

// A change by the same URL takes away what is stored, as the gateway does.
func TestChangesInvalidate(t *testing.T) {
	var log strings.Builder
	for i := range 1000 {
		at := begin.Add(time.Duration(i) * time.Second)
		log.WriteString(line(at, "GET", "/a", 200, 100, time.Millisecond))
		log.WriteString(line(at, "PUT", "/a", 204, 0, time.Millisecond))
	}
	r := read(t, log.String())
	if rate := r.Routes[0].HitRates[4]; rate != 0 {
		t.Errorf("hit rate %.2f", rate)
	}
}

// Paths with names instead of numbers become one route when there are too many of them.
func TestNamesBecomeOneRoute(t *testing.T) {
	var log strings.Builder
	for i := range 500 {
		name := strings.Map(func(c rune) rune { return c - '0' + 'a' }, fmt.Sprintf("%03d", i))
		log.WriteString(line(begin, "GET", "/people/"+name+"/posts", 200, 1, 0))
		log.WriteString(line(begin, "GET", "/v2/people", 200, 1, 0))
	}
	r := read(t, log.String())
	var matches []string
	for _, one := range r.Routes {
		matches = append(matches, one.Match)
	}
	slices.Sort(matches)
	if strings.Join(matches, " ") != "GET /people/{id}/posts GET /v2/people" {
		t.Errorf("%q", matches)
	}
}

// However different the requests are, what a plan holds is bounded.
func TestBounds(t *testing.T) {
	var log strings.Builder
	for i := range 30_000 {
		log.WriteString(line(begin, "GET", fmt.Sprintf("/%c%c/%c%c/x%c/y", 'a'+i%26, 'a'+i/26%26, 'a'+i/3%26, 'a'+i/7%26, 'a'+i/11%26), 200, 1, 0))
	}
	r := read(t, log.String())
	if n := len(r.Routes); n > 1001 {
		t.Errorf("%d routes", n)
	}
}

// What the plan says is what the HTTP cache then reaches, with the same requests at the same times.
func TestThePlanIsWhatComes(t *testing.T) {
	const ttl = 5 * time.Minute
	random := rand.New(rand.NewPCG(1, 2))
	popular := rand.NewZipf(random, 1.1, 5, 20_000)
	var log strings.Builder
	var uris []string
	for i := range 60_000 {
		uri := fmt.Sprintf("/items/%d", popular.Uint64())
		uris = append(uris, uri)
		log.WriteString(line(begin.Add(time.Duration(i/50)*time.Second), "GET", uri, 200, 2000, time.Millisecond))
	}
	for _, nearBytes := range []int64{256 << 20, 8 << 20} {
		r, err := plan.Read(strings.NewReader(log.String()), plan.Options{NearBytes: nearBytes})
		if err != nil {
			t.Fatal(err)
		}
		said := r.ByTTL[2].HitRate
		synctest.Test(t, func(t *testing.T) {
			c := forebaytest.Open(t, forebay.Options{NearBytes: nearBytes})
			h, err := httpcache.New(c, httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /items/{id}", TTL: ttl}}})
			if err != nil {
				t.Fatal(err)
			}
			body, hits := []byte(strings.Repeat("x", 2000)), 0
			cached := h.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))
			for i, uri := range uris {
				if i%50 == 0 && i > 0 {
					time.Sleep(time.Second)
				}
				w := httptest.NewRecorder()
				cached.ServeHTTP(w, httptest.NewRequest("GET", uri, nil))
				if strings.Contains(w.Header().Get("Cache-Status"), "hit") {
					hits++
				}
			}
			came := float64(hits) / float64(len(uris))
			t.Logf("%d MiB: the plan says %.1f %%, %.1f %% came", nearBytes>>20, 100*said, 100*came)
			if came < said-0.03 || came > said+0.03 {
				t.Errorf("%d MiB: the plan says %.1f %%, %.1f %% came", nearBytes>>20, 100*said, 100*came)
			}
		})
	}
}

func FuzzPlan(f *testing.F) {
	f.Add(`10.0.0.1 - anna [01/Dec/2026:10:00:00 +0000] "GET /users/7?full=1 HTTP/1.1" 200 512 "-" "curl/8" 250.000 "forebay; hit"`)
	f.Add(`{"ts":1796119200.25,"request":{"method":"GET","uri":"/users/7"},"duration":0.25,"size":512,"status":200}`)
	f.Fuzz(func(t *testing.T, line string) {
		r, err := plan.Read(strings.NewReader(line+"\n"+line), plan.Options{NearBytes: 1 << 20})
		if err != nil {
			return
		}
		if r.Requests < 1 || r.HitRate < 0 || r.HitRate > 1 {
			t.Errorf("%+v", r)
		}
		if _, err := gateway.ParseConfig([]byte("origin: http://127.0.0.1:1\n" + r.Rules())); err != nil {
			t.Errorf("%v\n%s", err, r.Rules())
		}
	})
}
