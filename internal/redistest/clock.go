package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// StartTimed is Start for a server whose clock can be set: it runs under Debian's libfaketime.
func StartTimed(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{Port: FreePort(t), t: t, dir: t.TempDir(), args: args, clock: t.TempDir() + "/clock"}
	s.SetClock(0)
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// SetClock sets the server's clock, against the machine's, at once.
func (s *Server) SetClock(off time.Duration) {
	s.t.Helper()
	if err := os.WriteFile(s.clock+".new", fmt.Appendf(nil, "%+d", int(off.Seconds())), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(s.clock+".new", s.clock); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) environment() []string {
	if s.clock == "" {
		return nil // this process's own
	}
	found, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(found) == 0 {
		s.t.Fatal("libfaketime is not installed: apt-get install libfaketime")
	}
	// The C library's allocator comes first: jemalloc asks for the time while libfaketime begins.
	return append(os.Environ(), "LD_PRELOAD="+found[0]+" libc.so.6", "FAKETIME_TIMESTAMP_FILE="+s.clock, "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1")
}
