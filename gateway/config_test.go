package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/gateway"
)

const good = `
origin: http://127.0.0.1:5000
profile: rfc
max_body: 2MiB
ignore_headers: [X-Tenant-Trace]
classes:
  partner_data: {ttl: 15m, stale: 1m, stale_if_error: off}
  chat:
    ttl: 5m
    max_loads: 8
    refresh_ahead: 0.5
    private: true
routes:
  - match: GET /api/partners
    class: partner_data
    headers: [X-Plan]
  - match: POST /api/chat
    class: chat
    body_key: {ignore: [request_id], max_bytes: 16KiB}
    events: done
    pace: 20ms
  - match: GET /img/
    bypass: true
`

func TestConfig(t *testing.T) {
	c, err := gateway.ParseConfig([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if c.Origin != "http://127.0.0.1:5000" || c.Profile != "rfc" || c.MaxBody != 2<<20 || len(c.Ignore) != 1 || len(c.Classes) != 2 || len(c.Rules) != 3 {
		t.Errorf("%+v", c)
	}
	if p := c.Classes[0]; p.Name != "partner_data" || p.TTL != 15*time.Minute || p.StaleIfError != -1 {
		t.Errorf("%+v", p)
	}
	if r := c.Rules[1]; r.Match != "POST /api/chat" || r.BodyKey.MaxBytes != 16<<10 || r.BodyKey.Ignore[0] != "request_id" || r.Events != "done" || r.Pace != 20*time.Millisecond {
		t.Errorf("%+v", r)
	}
}

// Every mistake is named at once, each with its place.
func TestConfigMistakes(t *testing.T) {
	const bad = `origin: ftp://x
profil: safe
profile: lax
classes:
  a: {ttl: 15, stale: soon, strict: maybe}
  b: [1]
routes:
  - match: GET /{
    class: nobody
  - ttl: 5m
    colour: red
max_body: much
integrity: {encrypt: true}
`
	_, err := gateway.ParseConfig([]byte(bad))
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for _, want := range []string{
		"1:9: origin \"ftp://x\"", "2:9: unknown field \"profil\"", "3:10: \"lax\" is not one of safe, rfc", "5:12: 15 has no unit",
		"5:23: \"soon\" is not a duration", "5:37: expected true or false", "6:6: expected a mapping", "8:12: ", "9:12: there is no class \"nobody\"",
		": the route has no match", "11:13: unknown field \"colour\"", "12:11: much is not a size", "encrypt needs keys",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in:\n%v", want, err)
		}
	}
}

func TestConfigFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "forebay.yaml")
	if _, err := gateway.ReadConfig(file); err == nil {
		t.Error("a file that is not there was read")
	}
	if err := os.WriteFile(file, []byte("a: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.ReadConfig(file); err == nil || !strings.HasPrefix(err.Error(), file+":1:") {
		t.Errorf("%v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add(good)
	f.Add("routes: [1, {match: [}]")
	f.Fuzz(func(t *testing.T, text string) {
		gateway.ParseConfig([]byte(text))
	})
}

func TestParseRule(t *testing.T) {
	if r, err := gateway.ParseRule("GET /a={x}/b = 90s"); err != nil || r.TTL != 90*time.Second {
		t.Logf("%+v %v", r, err)
	}
	for _, text := range []string{"", "GET /a", "GET /a=", "GET /a=15", "GET /a=-5m", "=5m", "GET a=5m", "GET /{=5m"} {
		if r, err := gateway.ParseRule(text); err == nil {
			t.Errorf("%q: %+v", text, r)
		}
	}
}

// What is refused when the gateway starts is told of the file before, each mistake with its place.
func TestOneValidation(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"a class's name", "classes:\n  Bad_Name: {ttl: 1m}\n", "2:13: name: \"Bad_Name\": use lower-case letters"},
		{"a class twice", "classes:\n  a: {ttl: 1m}\n  a: {ttl: 2m}\n", "3:3: mapping key \"a\" already defined"},
		{"routes in each other's way", "routes:\n  - match: GET /a/{x}\n  - match: GET /{y}/b\n", "3:5: \"GET /{y}/b\" and \"GET /a/{x}\" both match some requests, and neither is the more specific: it conflicts with the route of line 2"},
		{"a route twice", "routes:\n  - match: GET /a\n  - match: GET /a\n", "3:5: it has its pattern in common with the route of line 2"},
		{"override without a time", "routes:\n  - {match: GET /a, override: true}\n", "2:5: override: needs a TTL or a Class"},
		{"a body of a GET", "routes:\n  - {match: GET /a, body_key: {}}\n", "2:5: body_key: only a POST"},
		{"an invalid field", "routes:\n  - {match: GET /a, headers: [\"X\u00e9\", \"a b\"]}\n", "is not the name of a field"},
		{"an origin", "profile: rfc\norigin: 'http://u:p@h'\n", "2:9: origin"},
		{"an invalid proxy", "listen: {trusted_proxies: [10.0.0.0/99]}\n", "is not a range of addresses"},
		{"a limit of nothing", "limits: {requests: 0}\n", "a limit is a number above 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := gateway.ParseConfig([]byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), ".go:") {
				t.Errorf("%v", err)
			}
		})
	}
}

// Rules that match nothing are no mistake, but worth a word.
func TestWarnings(t *testing.T) {
	for pattern, want := range map[string]string{"/y/:id": "{id}", "/api/*": "{rest...}", "get /b": "GET", "GET API.test/x": "lower case", "GET /a/{id}": "", "GET api.test/": ""} {
		c, err := gateway.ParseConfig([]byte("routes:\n  - match: '" + pattern + "'\n"))
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		if said := strings.Join(c.Warnings, "\n"); want == "" && said != "" || !strings.Contains(said, want) || want != "" && !strings.HasPrefix(said, "2:5: ") {
			t.Errorf("%s: %q", pattern, said)
		}
	}
}

// A file may be JSON, quote its names, and begin with a byte-order mark.
func TestForms(t *testing.T) {
	for _, text := range []string{
		"\xef\xbb\xbforigin: http://127.0.0.1:1\nroutes: [{match: GET /x, ttl: 1m}]\n",
		"{\"origin\": \"http://127.0.0.1:1\",\n\t\"routes\": [\n\t\t{\"match\": \"GET /x\", \"ttl\": \"1m\"}\n\t]}",
		"\"origin\": 'http://127.0.0.1:1'\n'routes':\n  - \"match\": GET /x\n    'ttl': 1m\n",
		"origin: http://127.0.0.1:1\r\nroutes:\r\n  - match: GET /x\r\n    ttl: 1m\r\n",
	} {
		c, err := gateway.ParseConfig([]byte(text))
		if err != nil || c.Origin != "http://127.0.0.1:1" || len(c.Rules) != 1 || c.Rules[0].TTL != time.Minute {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
}

// What is dangerous, or has no effect, is said where it stands.
func TestDangersAreSaid(t *testing.T) {
	for file, want := range map[string]string{
		"routes: [{match: PUT /a, ttl: 1m}]":                                                                                  "PUT is never cached",
		"routes: [{match: POST /a, ttl: 1m}]":                                                                                 "a POST is never cached without body_key",
		"routes: [{match: GET /a, ttl: 1m, override: true, shared: true}]":                                                    "override and shared without auth",
		"profile: rfc\nroutes: [{match: GET /a, ttl: 1m}]":                                                                    "in profile rfc a request's cookies do not count",
		"routes: [{match: GET /a, headers: [authorization]}]":                                                                 "Authorization names the caller",
		"routes: [{match: GET /users/:id, ttl: 1m}]":                                                                          "matches no request",
		"profile: rfc\nroutes: [{match: GET /a, ttl: 1m, cookies: []}]":                                                       "",
		"routes: [{match: PUT /a, bypass: true}]":                                                                             "",
		"routes: [{match: POST /a, ttl: 1m, body_key: {}}]":                                                                   "",
		"routes: [{match: GET /a, ttl: 1m, shared: true}]":                                                                    "",
		"classes: {d: {}}\nroutes: [{match: GET /a, ttl: 1m, override: true, shared: true, auth: {url: http://a, class: d}}]": "",
	} {
		c, err := gateway.ParseConfig([]byte("origin: http://a\n" + file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if said := strings.Join(c.Warnings, "\n"); want == "" && said != "" || !strings.Contains(said, want) {
			t.Errorf("%s: %q", file, said)
		}
	}
}

func TestTry(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cookie", "/dangerous":
			w.Header().Set("Set-Cookie", "a=b")
		case "/private":
			w.Header().Set("Cache-Control", "private")
		case "/missing":
			w.WriteHeader(404)
		}
	}))
	defer origin.Close()
	c, err := gateway.ParseConfig([]byte("origin: " + origin.URL + `
routes:
  - {match: GET /good, ttl: 1m}
  - {match: GET /cookie, ttl: 1m}
  - {match: GET /private, ttl: 1m}
  - {match: GET /missing, ttl: 1m}
  - {match: "GET /users/{id}", ttl: 1m}
  - {match: GET api.test/good, ttl: 1m}
`))
	if err != nil {
		t.Fatal(err)
	}
	said, err := gateway.Try(t.Context(), c)
	want := []string{
		"GET /cookie: the origin sets a cookie: its answers are not stored",
		"GET /private: its answers are not stored: forebay; fwd=uri-miss; detail=private",
		"GET /missing: the origin answers with 404",
	}
	if err != nil || !slices.Equal(said, want) {
		t.Errorf("%v\n%s", err, strings.Join(said, "\n"))
	}
}

func TestParseClasses(t *testing.T) {
	classes, err := gateway.ParseClasses([]byte("classes:\n  users: {ttl: 15m, jitter: 0.1, max_bytes: 64KiB}\n  sessions: {ttl: 20m, sliding: 8h, private: true}\n"))
	if err != nil || len(classes) != 2 || classes[0].TTL != 15*time.Minute || classes[0].Jitter != 0.1 || classes[0].MaxBytes != 64<<10 || classes[1].Sliding != 8*time.Hour || !classes[1].Private {
		t.Errorf("%+v, %v", classes, err)
	}
	_, err = gateway.ParseClasses([]byte("classes:\n  users: {ttl: soon, jiter: 1}\nroutes: []\n"))
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for _, want := range []string{"2:16", `"jiter"`, `3:`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
