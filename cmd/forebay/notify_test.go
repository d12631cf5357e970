package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A service manager that waits for it is told when the listeners are served, and when that ends.
func TestSystemdIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	origin := httptest.NewServer(http.NotFoundHandler())
	defer origin.Close()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"serve", "--addr", "127.0.0.1:0", "--admin", "off", "--origin", origin.URL}, &lockedBuffer{}, &lockedBuffer{})
	}()
	next := func() string {
		told.SetReadDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 1000)
		n, err := told.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	if said := next(); !strings.Contains(said, "READY=1") || !strings.Contains(said, fmt.Sprint("MAINPID=", os.Getpid())) {
		t.Errorf("at the start: %q", said)
	}
	stop()
	if said := next(); said != "STOPPING=1" {
		t.Errorf("at the end: %q", said)
	}
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
}
