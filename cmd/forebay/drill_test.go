package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
)

func TestDrill(t *testing.T) {
	server := redistest.Start(t)
	_, operators, _ := start(t, "demo", "--origin-latency", "0", "--redis", server.URL(), "--drills", "--traffic", "50")
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) { // there is traffic
		if _, body := fetch(t, operators+"/api/cache-stats"); regexp.MustCompile(`"near_hits":\d{2,}`).MatchString(body) {
			break
		}
	}
	var b bytes.Buffer
	if code := run(t.Context(), []string{"drill", "redis", "--for", "2s", "--node", operators}, &b, &b); code != 0 {
		t.Fatalf("%d %s", code, b.String())
	}
	text := b.String()
	for _, want := range []string{`before +\d{2,} +0 `, `during +\d{2,} +0 `, `after +\d{2,} +0 `, `degraded was said after [\d.µm]+s, healed after [\d.µm]+s`} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	t.Log("\n" + text)
}

func TestDrillIsRefusedUnlessEnabled(t *testing.T) {
	_, operators, _ := startDemo(t)
	var b bytes.Buffer
	if code := run(t.Context(), []string{"drill", "redis", "--for", "2s", "--node", operators}, &b, &b); code != exitFailed || !strings.Contains(b.String(), "start it with --drills") {
		t.Errorf("%d %s", code, b.String())
	}
}
