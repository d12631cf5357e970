package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/admin"
)

// said is what a command prints; its exit code must be the one that is expected.
func said(t *testing.T, want int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var b bytes.Buffer
	if code := run(ctx, args, &b, &b); code != want {
		t.Errorf("%v: exit %d, want %d: %s", args, code, want, b.String())
	}
	return b.String()
}

// The routes of a gateway: by its rules, and by folded paths where there is none.
func TestRoutesCommand(t *testing.T) {
	gateway, operators, _ := start(t, "serve", "--origin", startOrigin(t), "--cache", "GET /api/partners=15m")
	node := strings.TrimPrefix(operators, "http://")
	if text := said(t, 0, "routes", "--node", node); !strings.Contains(text, "no requests in the last minutes") {
		t.Errorf("before: %s", text)
	}
	for range 3 {
		fetch(t, gateway+"/api/partners?org_id=acme")
	}
	fetch(t, gateway+"/items/1234")
	var routes []admin.Route
	if err := json.Unmarshal([]byte(said(t, 0, "routes", "--node", node, "--json")), &routes); err != nil {
		t.Fatal(err)
	}
	if len(routes) != 2 || routes[0].Route != "GET /api/partners" || routes[0].Requests != 3 || routes[0].OriginSpared != 2 || routes[1].Route != "GET /items/{id}" {
		t.Errorf("%+v", routes)
	}
	if text := said(t, 0, "routes", "--node", node); !regexp.MustCompile(`GET /api/partners +[0-9.]+ +66.7 %`).MatchString(text) {
		t.Errorf("%s", text)
	}
}

func TestTopCommand(t *testing.T) {
	platform, operators, _ := startDemo(t, "--origin-latency", "0")
	ctx, cancel := context.WithCancel(t.Context())
	out := newScreen()
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"top", "--json", "--every", "200ms", "--node", operators}, out, out)
	}()
	for until := time.Now().Add(20 * time.Second); !regexp.MustCompile(`"class":"partner_data","lookups_per_second":[1-9]`).MatchString(out.String()); {
		if time.Now().After(until) {
			t.Fatal(out.String())
		}
		fetch(t, platform+"/api/partners?org_id=acme")
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("interrupted: exit %d", code)
	}
	said(t, exitUsage, "top", "--every", "1ms")
}

// A purge says what it would reach, without doing it; then it does.
func TestPurgeDryRun(t *testing.T) {
	platform, operators, _ := startDemo(t, "--origin-latency", "0")
	fetch(t, platform+"/api/partners?org_id=acme")
	fetch(t, platform+"/api/partners?org_id=dune")
	if text := said(t, 0, "purge", "--class", "partner_data", "--dry-run", "--node", operators); !strings.Contains(text, "it would reach 2 entries") || !strings.Contains(text, "partner_data:org_id=dune") {
		t.Errorf("%s", text)
	}
	if res, _ := fetch(t, platform+"/api/partners?org_id=acme"); !strings.Contains(res.Header.Get("Cache-Status"), "hit") {
		t.Error("the dry run invalidated")
	}
	var receipt admin.Receipt
	if text := said(t, 0, "purge", "--class", "partner_data", "--wait", "--json", "--node", operators); json.Unmarshal([]byte(text), &receipt) != nil || receipt.ID == "" {
		t.Errorf("%s", text)
	}
	if text := said(t, 0, "purge", "--all", "--dry-run", "--node", operators); !strings.Contains(text, "it would reach 0 entries") {
		t.Errorf("%s", text)
	}
}

// What is refused for want of a token says which variable to set.
func TestATokenIsMissing(t *testing.T) {
	t.Setenv("FOREBAY_ADMIN_TOKEN", "secret")
	_, operators, _ := startDemo(t)
	os.Unsetenv("FOREBAY_ADMIN_TOKEN")
	if text := said(t, exitFailed, "routes", "--node", operators); !strings.Contains(text, "401") || !strings.Contains(text, "set FOREBAY_ADMIN_TOKEN") {
		t.Errorf("%s", text)
	}
}

func TestHealthz(t *testing.T) {
	_, operators, _ := startDemo(t)
	said(t, 0, "healthz", operators+"/health/live")
	said(t, exitFailed, "healthz", operators+"/nowhere")
	said(t, exitFailed, "healthz", "http://127.0.0.1:1/")
	said(t, exitUsage, "healthz", "http://[")
}

func TestVersionFlag(t *testing.T) {
	if flag, command := said(t, 0, "--version"), said(t, 0, "version"); flag != command {
		t.Errorf("%q and %q", flag, command)
	}
	var v map[string]string
	if err := json.Unmarshal([]byte(said(t, 0, "version", "--json")), &v); err != nil || v["version"] == "" {
		t.Errorf("%v %v", v, err)
	}
}

// The file's mistakes as JSON, with the same exit code.
func TestCheckAsJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "forebay.yaml")
	for text, want := range map[string]int{"origin: http://127.0.0.1:5000\n": 0, "origin: 7\nroutes: x\n": exitUsage} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var found struct{ Good bool }
		out := said(t, want, "check", file, "--json")
		if err := json.NewDecoder(strings.NewReader(out)).Decode(&found); err != nil || found.Good != (want == 0) {
			t.Errorf("%q: %v: %s", text, err, out)
		}
	}
}

// Bash completes commands, flags and what an argument may be.
func TestCompletion(t *testing.T) {
	script := said(t, 0, "completion", "bash")
	complete := func(words ...string) string {
		t.Helper()
		ask := script + "\nCOMP_WORDS=(" + strings.Join(words, " ") + "); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _forebay; echo ${COMPREPLY[@]}"
		out, err := exec.Command("bash", "-c", ask).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(string(out))
	}
	for _, test := range []struct{ typed, want string }{
		{"forebay pu", "purge"}, {"forebay purge --dr", "--dry-run"}, {"forebay drill r", "redis"}, {"forebay completion f", "fish"}, {"forebay --ver", "--version"},
	} {
		if got := complete(strings.Fields(test.typed)...); got != test.want {
			t.Errorf("%s: %q", test.typed, got)
		}
	}
	for _, shell := range []string{"zsh", "fish"} {
		if text := said(t, 0, "completion", shell); !strings.Contains(text, "purge") {
			t.Errorf("%s: %s", shell, text)
		}
	}
	said(t, exitUsage, "completion", "tcsh")
}
