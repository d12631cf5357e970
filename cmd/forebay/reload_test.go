package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// The file may change while the gateway serves: what is stored stays, and what cannot be used changes nothing.
func TestReload(t *testing.T) {
	origin := startOrigin(t)
	file := filepath.Join(t.TempDir(), "forebay.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("origin: "+origin+"\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("routes:\n  - {match: GET /a, ttl: 1h}\n")
	gateway, admin, out := start(t, "serve", "--config", file)
	fetch(t, gateway+"/a")
	loaded(t, admin)
	hits := func(path string) bool {
		fetch(t, gateway+path)
		res, _ := fetch(t, gateway+path)
		return strings.Contains(res.Header.Get("Cache-Status"), "; hit")
	}
	write("routes:\n  - {match: GET /a, ttl: 1h}\n  - {match: GET /b, ttl: 1h}\n")
	eventually(t, "a change of the file is not taken over", func() bool { return strings.Contains(out.String(), "route added: GET /b") })
	if !hits("/b") || !hits("/a") {
		t.Error("the file is not obeyed")
	}
	write("routes:\n  - {match: GET /c, ttl: 15}\n")
	eventually(t, "nobody is told of a file that cannot be used", func() bool { return strings.Contains(out.String(), file+":3:26: 15 has no unit") })
	if !hits("/a") || hits("/c") {
		t.Error("what cannot be used has changed something")
	}
	write("routes:\n  - {match: GET /c, ttl: 1h}\n")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "SIGHUP is not heard", func() bool { return strings.Contains(out.String(), "route added: GET /c") })
	if !hits("/c") {
		t.Error("the file is not obeyed")
	}
	_, body := fetch(t, admin+"/api/activity")
	for _, want := range []string{"route added: GET /b", "cannot be used", "15 has no unit", "route removed: GET /a"} {
		if !strings.Contains(body, want) {
			t.Errorf("the activity does not say %q", want)
		}
	}
}
