package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
)

// Two gateways on one server: each lists both, and says what the other holds.
func TestNodesCommand(t *testing.T) {
	redis, origin := redistest.Start(t).URL(), startOrigin(t)
	t.Setenv("FOREBAY_SECRET", "the same on both")
	gatewayA, a, _ := start(t, "serve", "--origin", origin, "--redis", redis, "--cache", "GET /api/partners=15m")
	_, b, _ := start(t, "serve", "--origin", origin, "--redis", redis, "--cache", "GET /api/partners=15m")
	both := regexp.MustCompile(`(?s)NODE.*\(this one\) +ok .* yes +1 .*\n.* ok .* yes +1 `)
	text := ""
	for until := time.Now().Add(20 * time.Second); !both.MatchString(text); text = said(t, 0, "nodes", "--node", a) {
		if time.Now().After(until) {
			t.Fatal(text)
		}
		time.Sleep(200 * time.Millisecond)
	}
	url := gatewayA + "/api/partners?org_id=acme"
	fetch(t, url)
	loaded(t, a)
	text = said(t, 0, "explain", "--node", a, "GET", url, "-H", "Accept-Encoding: gzip", "--value")
	if !regexp.MustCompile(`(?s)now +hit.*origin /api/partners.*node +\S+: not in its near tier`).MatchString(text) {
		t.Errorf("where it is:\n%s", text)
	}
	text = said(t, 0, "explain", "--node", b, "GET", url, "-H", "Accept-Encoding: gzip")
	if !regexp.MustCompile(`(?s)now +hit.*node +\S+: \S+ old, fresh for 14m`).MatchString(text) {
		t.Errorf("where it is not near:\n%s", text)
	}
	if text := said(t, 0, "purge", "--node", b, "--url", url); strings.Contains(text, "deferred") {
		t.Error(text)
	}
	text = said(t, 0, "explain", "--node", a, "GET", url, "-H", "Accept-Encoding: gzip")
	if !strings.Contains(text, "invalidated at "+fmt.Sprint(time.Now().Year())) {
		t.Errorf("after a purge on the other:\n%s", text)
	}
}
