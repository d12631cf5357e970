package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// A process is succeeded under load: no connection is lost, and what was under way is answered. HTTP/3 is there again.
func TestHandover(t *testing.T) {
	t.Run("plain", func(t *testing.T) { handOver(t) })
	t.Run("TLS", func(t *testing.T) {
		gateway := handOver(t, "--tls", "self-signed")
		transport := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		defer transport.Close()
		r, err := http.NewRequestWithContext(t.Context(), "GET", gateway+"/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "HTTP/3 is not there again", func() bool {
			res, err := transport.RoundTrip(r)
			if err != nil {
				return false
			}
			res.Body.Close()
			return res.StatusCode == 200
		})
	})
}

func handOver(t *testing.T, args ...string) (gateway string) {
	t.Helper()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(300 * time.Millisecond)
		}
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "the answer")
	}))
	t.Cleanup(origin.Close)
	bin := filepath.Join(t.TempDir(), "forebay")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	out := newScreen()
	cmd := exec.Command(bin, append([]string{"serve", "--origin", origin.URL, "--addr", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	group := cmd.Process.Pid
	t.Cleanup(func() { syscall.Kill(-group, syscall.SIGKILL) })
	gateway, _ = addresses(out)

	var stop atomic.Bool
	var asked, failed atomic.Int64
	var clients sync.WaitGroup
	var first atomic.Value
	for n := range 6 {
		clients.Go(func() {
			// The last ones begin a connection for each request.
			client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: n > 3, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
			defer client.CloseIdleConnections()
			path := "/a"
			if n == 0 {
				path = "/slow"
			}
			for !stop.Load() {
				res, err := client.Post(gateway+path, "text/plain", strings.NewReader("x")) // the client does not send it again
				if err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, err.Error())
					continue
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if asked.Add(1); err != nil || string(body) != "the answer" {
					failed.Add(1)
					first.CompareAndSwap(nil, fmt.Sprint(res.Status, err))
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	eventually(t, "there is no load", func() bool { return asked.Load() > 100 })
	ended := make(chan error, 1)
	go func() {
		state, err := cmd.Process.Wait()
		if err == nil && !state.Success() {
			err = fmt.Errorf("%s", state)
		}
		ended <- err
	}()
	if err := syscall.Kill(group, syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the first process: %v\n%s", err, out)
		}
	case <-time.After(40 * time.Second):
		t.Fatalf("the first process has not ended\n%s", out)
	}
	before := asked.Load()
	eventually(t, "the successor does not answer", func() bool { return asked.Load() > before+100 })
	stop.Store(true)
	clients.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed, the first: %v\n%s", failed.Load(), asked.Load(), first.Load(), out)
	}
	if n := strings.Count(out.String(), "gateway   "); n != 2 {
		t.Errorf("%d processes have served\n%s", n, out)
	}
	return gateway
}
