package gateway_test

import (
	"os"
	"path/filepath"
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
`
	_, err := gateway.ParseConfig([]byte(bad))
	if err == nil {
		t.Fatal("no mistake was found")
	}
	for _, want := range []string{
		"1:1: origin \"ftp://x\"", "2:9: unknown field \"profil\"", "3:10: \"lax\" is none of safe, rfc", "5:12: 15 has no unit",
		"5:23: \"soon\" is no duration", "5:37: true or false is wanted", "6:6: a mapping is wanted", "8:12: ", "9:12: there is no class \"nobody\"",
		": the route has no match", "11:13: unknown field \"colour\"", "12:11: much is no size",
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
