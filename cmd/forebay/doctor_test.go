package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay/internal/redistest"
)

func TestDoctor(t *testing.T) {
	healthy := redistest.Start(t, "--maxmemory", "64mb", "--maxmemory-policy", "volatile-lru")
	for _, test := range []struct {
		name  string
		url   func(t *testing.T) string
		code  int
		holds []string
		lacks []string
	}{
		{"near only", func(*testing.T) string { return "" }, 0, []string{"ok", "near tier", "set REDIS_URL"}, []string{"FAILED"}},
		{"healthy", func(*testing.T) string { return healthy.URL() }, 0,
			[]string{"redis 7", "values: expire", "leases", "log: follow", "two nodes"}, []string{"FAILED", "warning"}},
		{"no limit", func(t *testing.T) string { return redistest.Start(t).URL() }, 0, []string{"no memory limit", "set maxmemory"}, []string{"FAILED"}},
		{"noeviction", func(t *testing.T) string { return redistest.Start(t, "--maxmemory", "64mb").URL() }, 0,
			[]string{"noeviction", "volatile-lru"}, []string{"FAILED"}},
		{"allkeys", func(t *testing.T) string {
			return redistest.Start(t, "--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru").URL()
		}, 0, []string{"can be evicted", "64 MB or more"}, []string{"FAILED"}},
		{"not there", func(t *testing.T) string {
			s := redistest.Start(t)
			s.Kill()
			return s.URL()
		}, exitFailed, []string{"FAILED", "nothing listens there", "ok"}, nil},
		{"an ACL without the log", func(t *testing.T) string {
			s := redistest.Start(t)
			s.Do("ACL", "SETUSER", "weak", "on", ">secret", "~*", "+@all", "-xrange")
			return strings.Replace(s.URL(), "redis://", "redis://weak:secret@", 1)
		}, exitFailed, []string{"FAILED", "XRANGE"}, []string{"secret"}},
		{"a wrong URL", func(*testing.T) string { return "http://here" }, exitUsage, []string{"REDIS_URL", "redis://"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := []string{"doctor"}
			if url := test.url(t); url != "" {
				args = append(args, "--redis", url)
			}
			var b bytes.Buffer
			if code := run(t.Context(), args, &b, &b); code != test.code {
				t.Errorf("exit %d, want %d", code, test.code)
			}
			for _, want := range test.holds {
				if !strings.Contains(b.String(), want) {
					t.Errorf("does not say %q", want)
				}
			}
			for _, not := range test.lacks {
				if strings.Contains(b.String(), not) {
					t.Errorf("says %q", not)
				}
			}
			if t.Failed() {
				t.Log(b.String())
			}
		})
	}
}
