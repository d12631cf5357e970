package faults

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
)

var oldBuild = flag.String("old", "", "commit whose build TestMixedVersions runs beside this one. Default: this one beside itself, as in a restart")

// buildOf builds the program of a commit.
func buildOf(t *testing.T, commit string) string {
	t.Helper()
	if commit == "" {
		file, err := built()
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	dir := filepath.Join(t.TempDir(), "old")
	file := filepath.Join(t.TempDir(), "forebay-old")
	for _, cmd := range []*exec.Cmd{exec.Command("git", "worktree", "add", "--detach", dir, commit), exec.Command("go", "build", "-C", dir, "-o", file, "./cmd/forebay")} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
		}
	}
	t.Cleanup(func() { exec.Command("git", "worktree", "remove", "--force", dir).Run() })
	return file
}

// A member is one node of two, which is replaced while its clients ask the other.
type member struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	read sync.WaitGroup
}

func (m *member) start(binary string, args ...string) {
	m.t.Helper()
	m.cmd = exec.Command(binary, append([]string{"demo", "--addr", "127.0.0.1:0", "--admin", "off", "--origin-latency", "0"}, args...)...)
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.url = ""
	for lines := bufio.NewScanner(out); m.url == "" && lines.Scan(); {
		if _, at, ok := strings.Cut(lines.Text(), "platform  "); ok {
			m.url = at
		}
	}
	m.read.Go(func() { io.Copy(io.Discard, out) })
	until(m.t, "it answers", func() bool { status, _, _ := m.ask("GET", "/health/ready", ""); return status == http.StatusOK })
}

// stop ends the node as a deployment does.
func (m *member) stop() {
	m.cmd.Process.Signal(syscall.SIGTERM)
	m.read.Wait()
	m.cmd.Wait()
}

func (m *member) ask(method, path, body string) (status int, answer, how string) {
	req, err := http.NewRequest(method, m.url+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error(), ""
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error(), ""
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(text), res.Header.Get("Cache-Status")
}

// Two versions on one Redis: a node is replaced by one of the new version, then the other, then the first is taken back. No request
// fails, what one invalidates the other has lost, and what one has stored the other reads, where both know its type by the same shape.
func TestMixedVersions(t *testing.T) {
	before, after := buildOf(t, *oldBuild), buildOf(t, "")
	redis := redistest.Start(t)
	args := []string{"--redis", redis.URL(), "--data", filepath.Join(t.TempDir(), "platform.db")}
	a, b := &member{t: t}, &member{t: t}
	a.start(before, args...)
	b.start(before, args...)
	t.Cleanup(func() { a.stop(); b.stop() })
	for i, step := range []struct {
		name    string
		replace *member
		by      string
	}{{"both old", nil, ""}, {"the second is new", b, after}, {"both new", a, after}, {"the first is old again", a, before}} {
		if step.replace != nil {
			other := a
			if step.replace == a {
				other = b
			}
			var failed, asked atomic.Int64
			stop := make(chan struct{})
			var asking sync.WaitGroup
			asking.Go(func() { // the load balancer has taken the one out that is replaced
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					asked.Add(1)
					if status, answer, _ := other.ask("GET", fmt.Sprintf("/api/partners?org_id=acme&q=%c", 'a'+n%26), ""); status != http.StatusOK {
						failed.Add(1)
						t.Logf("%d %.200s", status, answer)
					}
				}
			})
			step.replace.stop()
			step.replace.start(step.by, args...)
			close(stop)
			asking.Wait()
			if failed.Load() > 0 || asked.Load() == 0 {
				t.Errorf("%s: %d of %d requests failed meanwhile", step.name, failed.Load(), asked.Load())
			}
		}
		for n, pair := range [][2]*member{{a, b}, {b, a}} {
			here, there := pair[0], pair[1]
			there.ask("GET", "/api/partners?org_id=acme", "")
			name := fmt.Sprintf("Renamed %d %d", i, n)
			if status, answer, _ := here.ask("PUT", "/api/partners/p-1", fmt.Sprintf(`{"name":%q}`, name)); status != http.StatusOK {
				t.Fatalf("%s: %d %s", step.name, status, answer)
			}
			until(t, step.name+": what one node changed the other shows", func() bool {
				_, answer, _ := there.ask("GET", "/api/partners?org_id=acme", "")
				return strings.Contains(answer, name)
			})
		}
		if *oldBuild == "" {
			room := fmt.Sprintf("/api/templates?cleanroom_id=cr-%d", 10+i)
			a.ask("GET", room, "")
			until(t, step.name+": what one node stored is a hit on the other", func() bool {
				_, _, how := b.ask("GET", room, "")
				return strings.Contains(how, "hit")
			})
		}
		for _, m := range []*member{a, b} {
			if status, answer, _ := m.ask("GET", "/health", ""); status != http.StatusOK || !strings.Contains(answer, `"status":"ok"`) {
				t.Errorf("%s: %d %s", step.name, status, answer)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}
