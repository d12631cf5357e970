package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
)

// answering answers as a cache would: by what the request asks for in X-Say, after X-Take.
var answering = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if d, err := time.ParseDuration(r.Header.Get("X-Take")); err == nil {
		time.Sleep(d)
	}
	if how := r.Header.Get("X-Say"); how != "" {
		w.Header().Set("Cache-Status", "forebay; "+how)
	}
	if r.Header.Get("X-Fail") != "" {
		w.WriteHeader(http.StatusBadGateway)
	}
	fmt.Fprint(w, "12345")
})

// follow opens an admin over such answers, and returns what sends requests to it.
func follow(t *testing.T, o admin.Options) (*admin.Admin, func(path, say, take string)) {
	c, err := forebay.Open(t.Context(), forebay.Options{Classes: []forebay.Class{{Name: "partners", Cost: 0.25}}})
	if err != nil {
		t.Fatal(err)
	}
	a := admin.New(c, quiet(o))
	t.Cleanup(func() {
		a.Close()
		c.Close()
	})
	h := a.Measure(answering)
	return a, func(path, say, take string) {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("X-Say", say)
		r.Header.Set("X-Take", take)
		if say == "fail" {
			r.Header.Set("X-Say", "fwd=uri-miss; detail=load-failed")
			r.Header.Set("X-Fail", "1")
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

func TestRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := func(r *http.Request) (rule, class string) {
			if strings.HasPrefix(r.URL.Path, "/api/partners") {
				return "GET /api/partners", "partners"
			}
			return "", ""
		}
		a, ask := follow(t, admin.Options{Rule: rule})
		if got := a.Routes(); len(got) != 0 {
			t.Fatalf("before the first request: %+v", got)
		}
		ask("/api/partners?org_id=a", "fwd=uri-miss; stored", "400ms")
		ask("/api/partners?org_id=b", "fwd=uri-miss; detail=set-cookie", "400ms")
		for range 6 {
			ask("/api/partners?org_id=a", "hit; ttl=9; detail=near", "1ms")
		}
		ask("/users/42", "fwd=bypass; detail=no-caller", "10ms")
		ask("/users/7", "fail", "10ms")
		got := a.Routes()
		if len(got) != 2 || got[0].Route != "GET /api/partners" || got[1].Route != "GET /users/{id}" {
			t.Fatalf("%+v", got)
		}
		p, u := got[0], got[1]
		if p.Requests != 8 || p.Outcomes["near"] != 6 || *p.HitRate != 0.75 || p.OriginCalls != 2 || p.OriginSpared != 6 || p.NotStored["set-cookie"] != 1 || p.Bytes != 40 || !p.Rule {
			t.Errorf("%+v", p)
		}
		if p.Hits.P99 > 5 || p.Misses.P50 < 350 || p.Misses.P50 > 450 || p.SavedSeconds < 2.3 || p.SavedSeconds > 2.4 || p.SavedCost == nil || *p.SavedCost != 1.5 || u.SavedCost != nil {
			t.Errorf("times: %+v", p)
		}
		if u.Rule || u.Status["5xx"] != 1 || u.NotStored["no-caller"] != 1 || u.NotStored["load-failed"] != 1 || *u.HitRate != 0 || u.SavedSeconds != 0 || u.Example != "http://example.com/users/42" {
			t.Errorf("%+v", u)
		}
		time.Sleep(5 * time.Minute)
		ask("/users/8", "hit; ttl=9; detail=near", "")
		if got := a.Routes(); len(got) != 2 || got[0].Requests != 8 || got[1].Requests != 3 {
			t.Errorf("five minutes later: %+v", got)
		}
		time.Sleep(5 * time.Minute)
		if got := a.Routes(); len(got) != 1 || got[0].Requests != 1 {
			t.Errorf("what is ten minutes old: %+v", got)
		}
		time.Sleep(20 * time.Minute)
		if got := a.Routes(); len(got) != 0 {
			t.Errorf("half an hour later: %+v", got)
		}
	})
}

// Paths that a client makes up take bounded room, neither in the routes nor in the metrics' labels.
func TestRoutesAreBounded(t *testing.T) {
	a, ask := follow(t, admin.Options{Rule: func(r *http.Request) (rule, class string) {
		if r.URL.Path == "/rule" {
			return "GET /rule", "c"
		}
		return "", ""
	}})
	for i := range 5000 {
		ask(fmt.Sprintf("/%c%c%c", 'a'+i%26, 'a'+i/26%26, 'a'+i/676), "fwd=bypass; detail="+strings.Repeat("x", 1+i%100), "")
	}
	ask("/rule", "hit; ttl=9; detail=near", "")
	got := a.Routes()
	if len(got) > 202 || got[0].Route != "(all others)" || len(got[0].NotStored) > 32 {
		t.Errorf("%d routes, the first %+v", len(got), got[0])
	}
	if last := got[len(got)-1]; last.Route != "GET /rule" && !strings.Contains(fmt.Sprint(got), "GET /rule") {
		t.Error("a rule had no room")
	}
	w := request(a.Handler(), "GET", "/metrics", "")
	if n := strings.Count(w.Body.String(), "forebay_http_requests_total{"); n != 2 {
		t.Errorf("%d series", n)
	}
}

// The histogram adds up, and its buckets end where they say.
func TestRequestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, ask := follow(t, admin.Options{Rule: func(*http.Request) (rule, class string) { return "GET /x", "" }})
		for _, take := range []string{"1ms", "3ms", "100ms", "2s"} {
			ask("/x", "fwd=uri-miss; stored", take)
		}
		ask("/x", "fail", "50s")
		text := request(a.Handler(), "GET", "/metrics", "").Body.String()
		for _, line := range []string{
			`forebay_request_duration_seconds_bucket{outcome="miss",route="GET /x",le="0.000512"} 0`,
			`forebay_request_duration_seconds_bucket{outcome="miss",route="GET /x",le="0.001024"} 1`,
			`forebay_request_duration_seconds_bucket{outcome="miss",route="GET /x",le="0.004096"} 2`,
			`forebay_request_duration_seconds_bucket{outcome="miss",route="GET /x",le="2.097152"} 4`,
			`forebay_request_duration_seconds_bucket{outcome="miss",route="GET /x",le="33.554432"} 4`,
			`forebay_request_duration_seconds_bucket{outcome="miss",route="GET /x",le="+Inf"} 5`,
			`forebay_request_duration_seconds_sum{outcome="miss",route="GET /x"} 52.104`,
			`forebay_http_requests_total{outcome="miss",route="GET /x",status="2xx"} 4`,
			`forebay_http_requests_total{outcome="miss",route="GET /x",status="5xx"} 1`,
			`forebay_nodes 1`, `forebay_invalidations_total 0`,
		} {
			if !strings.Contains(text, line) {
				t.Errorf("no line %q", line)
			}
		}
	})
}

// The slowest percent is of all requests of a minute together: with 99 % hits it is not that of the misses.
func TestTheSlowestPercentOfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, ask := follow(t, admin.Options{Loopback: true})
		latest := func() admin.Quantiles {
			var s admin.Series
			if err := json.Unmarshal(request(a.Handler(), "GET", "/api/series", "").Body.Bytes(), &s); err != nil {
				t.Fatal(err)
			}
			return s.Points[len(s.Points)-1].Minute
		}
		for range 2 {
			for range 199 {
				ask("/", "hit; ttl=9; detail=near", "2ms")
			}
			ask("/", "fwd=uri-miss; stored", "900ms")
		}
		time.Sleep(3 * time.Second)
		if m := latest(); m.N != 400 || m.P99 > 3 || m.P50 < 1.5 {
			t.Errorf("%+v", m)
		}
		time.Sleep(40 * time.Second)
		if m := latest(); m.N != 400 {
			t.Errorf("40 s later: %+v", m)
		}
		time.Sleep(30 * time.Second)
		if m := latest(); m.N != 0 {
			t.Errorf("after more than a minute: %+v", m)
		}
	})
}
