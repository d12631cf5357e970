package demo_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/demo"
	"github.com/forebay-cache/forebay/demo/origin"
)

// A site is a running platform and a browser-like client.
type site struct {
	t        *testing.T
	platform *demo.Platform
	admin    *admin.Admin
	url      string
	client   *http.Client
}

// database is one that several platforms of a test share.
func database(t *testing.T) string {
	if place := emptyDatabase(); place != "" {
		return place
	}
	return t.TempDir() + "/data.db"
}

func start(t *testing.T, o demo.Options) *site {
	t.Helper()
	if o.Database == "" {
		o.Database = emptyDatabase()
	}
	p, err := demo.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	a := p.Admin(admin.Options{Loopback: true})
	server := httptest.NewServer(p.Handler(a))
	t.Cleanup(func() { server.Close(); p.Close() })
	jar, _ := cookiejar.New(nil)
	return &site{t, p, a, server.URL, &http.Client{Jar: jar, Timeout: 30 * time.Second}}
}

type answer struct {
	*http.Response
	body string
}

func (s *site) do(method, path, body string, headers ...string) answer {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{res, string(text)}
}

func (s *site) get(path string) answer { s.t.Helper(); return s.do("GET", path, "") }

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
	return v
}

// cached asserts a status code and a Cache-Status.
func (a answer) cached(t *testing.T, status int, want string) {
	t.Helper()
	got := a.Header.Get("Cache-Status")
	if a.StatusCode != status || !regexp.MustCompile("^"+want+"$").MatchString(got) {
		t.Errorf("%s %s: %d %q %s, want %d %q", a.Request.Method, a.Request.URL, a.StatusCode, got, a.body, status, want)
	}
}

const (
	miss = "forebay; fwd=uri-miss; stored"
	hit  = `forebay; hit; ttl=\d+; detail=near`
)

func TestCachedRoutes(t *testing.T) {
	s := start(t, demo.Options{})
	for path, holds := range map[string]string{
		"/api/partners?org_id=acme":         `"org_id":"acme","count":64,"partners":[{"id":"p-1","org_id":"acme","name":`,
		"/api/partners?org_id=ember&q=blue": `"org_id":"ember"`,
		"/api/templates?cleanroom_id=cr-1":  `"cleanroom_id":"cr-1","count":3,"templates":[{"id":"t-1","cleanroom_id":"cr-1","name":`,
		"/api/status":                       `"status":"ok","checked_at":"`,
	} {
		first := s.get(path)
		first.cached(t, 200, miss)
		if !strings.Contains(first.body, holds) {
			t.Errorf("%s: %s does not hold %s", path, first.body, holds)
		}
		second := s.get(path + "&utm_source=ignored")
		if !strings.Contains(path, "?") {
			second = s.get(path + "?utm_source=ignored")
		}
		second.cached(t, 200, hit)
		if first.body != second.body {
			t.Errorf("%s: the hit differs", path)
		}
	}
	if n := s.get("/api/cache-stats").json(t)["origin"].(map[string]any)["calls"]; n != 4.0 {
		t.Errorf("%v calls of the origin, want 4", n)
	}
}

func TestTheSeededData(t *testing.T) {
	s := start(t, demo.Options{})
	total, categories := 0, map[string]bool{}
	for _, org := range []string{"acme", "borealis", "cobalt", "dune", "ember"} {
		total += int(s.get("/api/partners?org_id=" + org).json(t)["count"].(float64))
	}
	templates := 0
	for i := 1; i <= 40; i++ {
		list := s.get(fmt.Sprintf("/api/templates?cleanroom_id=cr-%d", i)).json(t)["templates"].([]any)
		templates += len(list)
		for _, one := range list {
			categories[one.(map[string]any)["category"].(string)] = true
		}
	}
	if total != 300 || templates != 120 || len(categories) != 8 {
		t.Errorf("%d partners, %d templates, %d categories; want 300, 120, 8", total, templates, len(categories))
	}
}

func TestAChangedPartnerIsSeenAtOnce(t *testing.T) {
	s := start(t, demo.Options{})
	s.get("/api/partners?org_id=acme")
	s.get("/api/partners?org_id=borealis")
	for i := range 20 {
		status := []string{"paused", "active"}[i%2]
		changed := s.do("PUT", "/api/partners/p-1", fmt.Sprintf(`{"status":%q}`, status))
		if changed.StatusCode != 200 || changed.json(t)["status"] != status || changed.json(t)["name"] == "" {
			t.Fatalf("%d %s", changed.StatusCode, changed.body)
		}
		list := s.get("/api/partners?org_id=acme")
		list.cached(t, 200, miss)
		if got := list.json(t)["partners"].([]any)[0].(map[string]any)["status"]; got != status {
			t.Fatalf("change %d: the list shows %v, want %s", i, got, status)
		}
	}
	s.get("/api/partners?org_id=borealis").cached(t, 200, hit)
}

func TestQueries(t *testing.T) {
	s := start(t, demo.Options{})
	begun := s.do("POST", "/api/queries", `{"template_id":"t-7","parameters":{"start_date":"2026-01-01","end_date":"2026-02-01"}}`)
	id, _ := begun.json(t)["query_id"].(string)
	if begun.StatusCode != 202 || id == "" || begun.json(t)["status"] != "queued" {
		t.Fatalf("%d %s", begun.StatusCode, begun.body)
	}
	running := s.get("/api/results/" + id)
	if running.StatusCode != 409 || running.Header.Get("Retry-After") == "" {
		t.Errorf("results of a running query: %d %s", running.StatusCode, running.body)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		state := s.get("/api/status/" + id)
		if st := state.json(t)["status"]; st == "completed" {
			break
		} else if time.Now().After(deadline) || st != "queued" && st != "running" {
			t.Fatalf("%s", state.body)
		}
		time.Sleep(100 * time.Millisecond) // the query takes its time, on the real clock
	}
	results := s.get("/api/results/" + id)
	results.cached(t, 200, miss)
	if rows := results.json(t)["rows"].([]any); len(rows) == 0 || results.json(t)["summary"] == nil {
		t.Errorf("results: %s", results.body)
	}
	s.get("/api/results/"+id).cached(t, 200, hit)
}

func TestChatIsOneAnswerInBothForms(t *testing.T) {
	ask := `{"org_id":"acme","message":"Which partners are in retail?"}`
	stream := `{"org_id":"acme","message":"Which partners are in retail?","stream":true}`
	for name, order := range map[string][2]string{"whole first": {ask, stream}, "streamed first": {stream, ask}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, demo.Options{OriginLatency: origin.Latency{Min: 50 * time.Millisecond, Max: 50 * time.Millisecond}})
			first := s.do("POST", "/api/chat", order[0])
			first.cached(t, 200, "forebay; fwd=uri-miss(; stored)?")
			second := s.do("POST", "/api/chat", order[1])
			second.cached(t, 200, hit)
			if a, b := text(t, first), text(t, second); a != b || !strings.HasPrefix(a, "acme has 8 partners in retail: ") {
				t.Errorf("answers %q and %q", a, b)
			}
		})
	}
	t.Run("by the Accept header", func(t *testing.T) {
		s := start(t, demo.Options{})
		a := s.do("POST", "/api/chat", ask, "Accept", "text/event-stream")
		if a.Header.Get("Content-Type") != "text/event-stream" || !strings.HasSuffix(a.body, "data: [DONE]\n\n") {
			t.Errorf("%s %q", a.Header.Get("Content-Type"), a.body)
		}
		if lines := strings.Count(a.body, "data: "); lines < len(strings.Fields(text(t, a))) {
			t.Errorf("%d data lines for %d words", lines, len(strings.Fields(text(t, a))))
		}
	})
}

// text is the answer of either form.
func text(t *testing.T, a answer) string {
	t.Helper()
	if a.Header.Get("Content-Type") != "text/event-stream" {
		return a.json(t)["reply"].(string)
	}
	var b strings.Builder
	for lines := bufio.NewScanner(strings.NewReader(a.body)); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		var v struct{ Delta string }
		if ok && json.Unmarshal([]byte(data), &v) == nil {
			b.WriteString(v.Delta)
		}
	}
	return b.String()
}

func TestChatKey(t *testing.T) {
	s := start(t, demo.Options{})
	s.do("POST", "/api/chat", `{"org_id":"acme","message":"help"}`)
	for body, want := range map[string]string{
		`{"message":"  help\n","org_id":"acme"}`:                                       hit,
		`{"org_id":"acme","message":"help","session_id":"s-1"}`:                        hit,
		`{"org_id":"acme","message":"help","history":[]}`:                              hit,
		`{"org_id":"acme","message":"help","unknown":1}`:                               hit,
		`{"org_id":"ember","message":"help"}`:                                          miss,
		`{"org_id":"acme","message":"Help"}`:                                           miss,
		`{"org_id":"acme","message":"help","history":[{"role":"user","content":"a"}]}`: miss,
	} {
		s.do("POST", "/api/chat", body).cached(t, 200, want)
	}
	s.do("POST", "/api/chat", "{\"org_id\":\"acme\",\"message\":\"caf\u00e9\"}").cached(t, 200, miss)
	s.do("POST", "/api/chat", "{\"org_id\":\"acme\",\"message\":\"cafe\u0301\"}").cached(t, 200, hit)
}

func TestManyAskersAreOneAnswer(t *testing.T) {
	s := start(t, demo.Options{OriginLatency: origin.Latency{Min: 300 * time.Millisecond, Max: 300 * time.Millisecond}})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			a := s.do("POST", "/api/chat", fmt.Sprintf(`{"org_id":"acme","message":"Which partners are in media?","stream":%v}`, i%2 == 0))
			if a.StatusCode != 200 || !strings.HasPrefix(text(t, a), "acme has ") {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
		})
	}
	wg.Wait()
	if n := s.get("/api/cache-stats").json(t)["origin"].(map[string]any)["calls"]; n != 1.0 {
		t.Errorf("%v calls of the assistant, want 1", n)
	}
}

func TestSessions(t *testing.T) {
	s := start(t, demo.Options{Database: database(t)})
	if a := s.get("/api/session"); a.StatusCode != 404 {
		t.Errorf("without a session: %d", a.StatusCode)
	}
	if a := s.do("POST", "/api/session", `{"user":"anna","org_id":"acme"}`); a.StatusCode != 200 || a.json(t)["user"] != "anna" || a.Header.Get("Set-Cookie") == "" {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	s.do("POST", "/api/chat", `{"org_id":"acme","message":"help"}`)
	s.do("POST", "/api/chat", `{"org_id":"acme","message":"Which partners are in media?","stream":true}`)
	for _, invalidate := range []bool{false, true} {
		if invalidate { // nobody is logged out
			if _, err := s.platform.Cache().Invalidate(context.Background(), forebay.Everything()); err != nil {
				t.Fatal(err)
			}
		}
		turns, _ := s.get("/api/session").json(t)["turns"].([]any)
		if len(turns) != 2 || turns[0].(map[string]any)["message"] != "help" {
			t.Errorf("turns %v", turns)
		}
	}
	other := start(t, demo.Options{})
	if a := other.get("/api/session"); a.StatusCode != 404 {
		t.Errorf("a stranger: %d %s", a.StatusCode, a.body)
	}
	if a := s.do("DELETE", "/api/session", ""); a.StatusCode != 204 {
		t.Errorf("delete: %d", a.StatusCode)
	}
	if a := s.get("/api/session"); a.StatusCode != 404 {
		t.Errorf("after the end: %d", a.StatusCode)
	}
}

// Reading a session costs the database nothing, and writes nothing before a tenth of its life is gone.
func TestASessionIsReadFromTheCache(t *testing.T) {
	s := start(t, demo.Options{})
	s.do("POST", "/api/session", `{"user":"anna","org_id":"acme"}`)
	for range 10 {
		if a := s.get("/api/session"); a.Header.Get("Set-Cookie") != "" {
			t.Fatal("the session was written again")
		}
	}
	c := s.admin.Stats().Classes["session_data"]
	if c.Hits != 10 || c.Misses != 0 || c.Loads != 0 {
		t.Errorf("%d hits, %d misses, %d loads; want 10, 0, 0", c.Hits, c.Misses, c.Loads)
	}
}

func TestBadInput(t *testing.T) {
	s := start(t, demo.Options{})
	for _, test := range []struct {
		method, path, body string
		status             int
		holds              string
	}{
		{"GET", "/api/partners", "", 422, "org_id"},
		{"GET", "/api/partners?org_id=nobody", "", 404, ""},
		{"GET", "/api/templates", "", 422, "cleanroom_id"},
		{"GET", "/api/templates?cleanroom_id=cr-99", "", 404, ""},
		{"GET", "/api/status/q-none", "", 404, ""},
		{"GET", "/api/results/q-none", "", 404, ""},
		{"GET", "/api/nothing", "", 404, ""},
		{"DELETE", "/api/partners", "", 405, "GET"},
		{"GET", "/api/chat", "", 405, "POST"},
		{"POST", "/api/chat", "", 400, "line 1"},
		{"POST", "/api/chat", "{\n \"message\": oops}", 400, "line 2, column 13"},
		{"POST", "/api/chat", `{"org_id":"acme","message":3}`, 422, "message"},
		{"POST", "/api/chat", `{"org_id":"acme"}`, 422, "message"},
		{"POST", "/api/chat", `{"message":"hi"}`, 422, "org_id"},
		{"POST", "/api/chat", `{"org_id":"nobody","message":"hi"}`, 404, ""},
		{"POST", "/api/chat", `{"org_id":"acme","message":"hi","history":[{"role":"x"}]}`, 422, "history[0].role"},
		{"POST", "/api/chat", `{"org_id":"acme","message":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "1048576"},
		{"POST", "/api/queries", `{}`, 422, "template_id"},
		{"POST", "/api/queries", `{"template_id":"t-999"}`, 404, ""},
		{"POST", "/api/queries", `{"template_id":"t-1"}`, 422, "parameters.start_date"},
		{"POST", "/api/queries", `{"template_id":"t-1","parameters":{"start_date":"soon","end_date":"2026-01-01"}}`, 422, "parameters.start_date"},
		{"PUT", "/api/partners/p-999", `{"status":"paused"}`, 404, ""},
		{"PUT", "/api/partners/p-1", `{"status":"gone"}`, 422, "status"},
		{"PUT", "/api/partners/p-1", `{"cleanroom_id":"cr-40"}`, 422, "cleanroom_id"},
		{"PUT", "/api/partners/p-1", `{"name":" "}`, 422, "name"},
		{"POST", "/api/session", `{"user":"anna"}`, 422, "org_id"},
		{"POST", "/api/session", `{"user":"anna","org_id":"nobody"}`, 404, ""},
	} {
		a := s.do(test.method, test.path, test.body)
		var p struct {
			Status int
			Title  string
			Detail string
		}
		json.Unmarshal([]byte(a.body), &p)
		if a.StatusCode != test.status || p.Status != test.status || p.Title == "" || !strings.Contains(p.Detail, test.holds) ||
			a.Header.Get("Content-Type") != "application/problem+json" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s %.60s: %d %s, want %d with %q", test.method, test.path, test.body, a.StatusCode, a.body, test.status, test.holds)
		}
		if test.status == 405 && a.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", test.method, test.path)
		}
	}
}

func TestRefusalsAreNotStored(t *testing.T) {
	s := start(t, demo.Options{})
	for range 3 {
		s.get("/api/partners?org_id=nobody").cached(t, 404, "forebay; fwd=uri-miss")
		s.get("/api/results/q-none").cached(t, 404, "forebay; fwd=uri-miss")
	}
	if n := s.admin.Stats().Origin.Calls; n != 6 {
		t.Errorf("%d calls of the origin, want 6", n)
	}
}

// The admin listener answers the platform too, and what only operators may; the public one does not.
func TestOperatorsHaveBoth(t *testing.T) {
	s := start(t, demo.Options{})
	operators := httptest.NewServer(s.platform.Operators(s.admin))
	defer operators.Close()
	for _, test := range []struct {
		base   string
		status int
	}{{s.url, 404}, {operators.URL, 200}} {
		s.url = test.base
		s.get("/api/partners?org_id=acme")
		for _, path := range []string{"/api/keys", "/api/entries", "/api/requests", "/api/activity"} {
			if a := s.get(path); a.StatusCode != test.status {
				t.Errorf("%s%s: %d %s", test.base, path, a.StatusCode, a.body)
			}
		}
		if a := s.do("POST", "/api/invalidate", `{"all":true}`); a.StatusCode != test.status {
			t.Errorf("%s: %d %s", test.base, a.StatusCode, a.body)
		}
	}
}

func TestTwoPlatformsOnOneFile(t *testing.T) {
	file := database(t)
	a, b := start(t, demo.Options{Database: file}), start(t, demo.Options{Database: file})
	if r := a.do("PUT", "/api/partners/p-2", `{"name":"Renamed"}`); r.StatusCode != 200 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if r := b.get("/api/partners?org_id=acme"); !strings.Contains(r.body, `"name":"Renamed"`) {
		t.Error("the other process does not see the change in the database")
	}
}

func TestUnwritableDataFile(t *testing.T) {
	_, err := demo.Open(context.Background(), demo.Options{Database: t.TempDir() + "/none/data.db"})
	if err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("got %v", err)
	}
}

func TestTraffic(t *testing.T) {
	s := start(t, demo.Options{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	demo.Traffic{Base: s.url, PerSecond: 200}.Run(ctx)
	stats := s.admin.Stats()
	if n := stats.Hits + stats.Misses + stats.Coalesced + stats.StaleHits; n < 50 {
		t.Errorf("%d requests in a second of 200", n)
	}
	for _, class := range []string{"chat", "partner_data", "template_data", "status_data"} {
		if c := stats.Classes[class]; c.Hits+c.Misses+c.Coalesced == 0 {
			t.Errorf("no traffic in %s", class)
		}
	}
	if stats.LoadErrors != 0 {
		t.Errorf("%d loads failed", stats.LoadErrors)
	}
}

// chatEndpoint speaks the OpenAI-compatible protocol as a test wants it.
func chatEndpoint(t *testing.T, events ...string) (*demo.OpenAI, *int) {
	t.Helper()
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		var req struct {
			Stream   bool
			Messages []demo.Message
		}
		body, _ := io.ReadAll(r.Body)
		if json.Unmarshal(body, &req) != nil || !req.Stream || len(req.Messages) < 2 || r.Header.Get("Authorization") != "Bearer key" || r.URL.Path != "/v1/chat/completions" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if len(events) == 0 {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range events {
			fmt.Fprintf(w, "data: %s\n\n", e)
			http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(server.Close)
	return demo.NewOpenAI(server.URL+"/v1/", "key", ""), &calls
}

func TestLanguageModel(t *testing.T) {
	const one, two = `{"choices":[{"delta":{"content":"Hello "}}]}`, `{"choices":[{"delta":{"content":"you"}}]}`
	const stop, length = `{"choices":[{"delta":{},"finish_reason":"stop"}]}`, `{"choices":[{"delta":{},"finish_reason":"length"}]}`
	for _, test := range []struct {
		name   string
		events []string
		stored bool
	}{
		{"whole", []string{one, two, stop, "[DONE]"}, true},
		{"cut off by the model's limit", []string{one, two, length, "[DONE]"}, false},
		{"no finish_reason", []string{one, two, "[DONE]"}, false},
		{"broken off", []string{one, two}, false},
		{"broken off before [DONE]", []string{one, two, stop}, false},
		{"error event", []string{one, `{"error":{"message":"overloaded"}}`}, false},
		{"no JSON", []string{one, "oops"}, false},
		{"refused", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			model, calls := chatEndpoint(t, test.events...)
			s := start(t, demo.Options{Assistant: model})
			for range 2 {
				a := s.do("POST", "/api/chat", `{"org_id":"acme","message":"hi"}`)
				if test.stored && (a.StatusCode != 200 || a.json(t)["reply"] != "Hello you") {
					t.Errorf("%d %s", a.StatusCode, a.body)
				}
				if !test.stored && a.StatusCode != 503 {
					t.Errorf("%d %s, want 503", a.StatusCode, a.body)
				}
			}
			streamed := s.do("POST", "/api/chat", `{"org_id":"acme","message":"hi","stream":true}`)
			if done := strings.Contains(streamed.body, "[DONE]"); done != test.stored {
				t.Errorf("streamed: %s", streamed.body)
			}
			if want := map[bool]int{true: 1, false: 3}[test.stored]; *calls != want {
				t.Errorf("%d calls of the model, want %d", *calls, want)
			}
		})
	}
}

func TestAFirstWordComesBeforeTheLast(t *testing.T) {
	s := start(t, demo.Options{OriginLatency: origin.Latency{Min: 400 * time.Millisecond, Max: 400 * time.Millisecond}})
	res, err := s.client.Post(s.url+"/api/chat", "application/json", bytes.NewReader([]byte(`{"org_id":"acme","message":"help","stream":true}`)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	if first, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(first, "data: ") {
		t.Fatalf("%q, %v", first, err)
	}
	joined := s.do("POST", "/api/chat", `{"org_id":"acme","message":"help"}`) // while the first one streams
	joined.cached(t, 200, "forebay; fwd=uri-miss; collapsed")
	rest, _ := io.ReadAll(lines)
	if !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("%q", rest)
	}
}
