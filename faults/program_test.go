package faults

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
)

// A program is "forebay demo" as people run it, in a process of its own.
type program struct {
	t    *testing.T
	args []string
	cmd  *exec.Cmd
	url  string
	read sync.WaitGroup
}

var built = sync.OnceValues(func() (string, error) {
	file := filepath.Join(binaries, "forebay")
	cmd := exec.Command("go", "build", "-o", file, "./cmd/forebay")
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return file, nil
})

func runProgram(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{t: t, args: append([]string{"demo", "--addr", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--origin-latency", "0"}, args...)}
	p.start()
	t.Cleanup(p.kill)
	return p
}

// start starts the process and waits until it has printed where it listens.
func (p *program) start() {
	p.t.Helper()
	file, err := built()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(file, p.args...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "platform  "); ok {
			p.url = url
			break
		}
	}
	if p.url == "" {
		p.t.Fatal("it does not say where it listens")
	}
	p.read.Go(func() { io.Copy(io.Discard, out) })
	until(p.t, "it is up", func() bool {
		res, err := http.Get(p.url + "/api/status")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

func (p *program) kill() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGCONT)
	p.cmd.Process.Kill()
	p.read.Wait()
	p.cmd.Wait()
	p.cmd = nil
}

func (p *program) freeze() { p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *program) thaw()   { p.cmd.Process.Signal(syscall.SIGCONT) }

// ask returns the body of a good answer.
func (p *program) ask(method, path, body string) string {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		p.t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, text, err)
	}
	return string(text)
}

// partners are those of one organisation: names by ID.
func (p *program) partners() map[string]string {
	p.t.Helper()
	var list partners
	if err := json.Unmarshal([]byte(p.ask("GET", "/api/partners?org_id=acme", "")), &list); err != nil || len(list.Partners) == 0 {
		p.t.Fatal("no partners", err)
	}
	names := map[string]string{}
	for _, one := range list.Partners {
		names[one.ID] = one.Name
	}
	return names
}

// any is the ID of one of them.
func (p *program) any() string {
	for id := range p.partners() {
		return id
	}
	return ""
}

func (p *program) well() bool {
	return strings.Contains(p.ask("GET", "/health", ""), `"ok"`)
}

// A node is frozen, misses an invalidation, and is thawed: its first answer is the new one, though nothing
// has told it so.
func TestANodeIsFrozen(t *testing.T) {
	server, data := redistest.Start(t), t.TempDir()+"/platform.db"
	a, b := runProgram(t, "--redis", server.URL(), "--data", data), runProgram(t, "--redis", server.URL(), "--data", data)
	until(t, "both are well", func() bool { return a.well() && b.well() })
	id := b.any()
	b.partners() // it has them now
	b.freeze()
	time.Sleep(*duration / 2)
	a.ask("PUT", "/api/partners/"+id, `{"name":"changed meanwhile"}`)
	time.Sleep(*duration / 2)
	b.thaw()
	if name := b.partners()[id]; name != "changed meanwhile" {
		t.Errorf("after it was thawed: %s", name)
	}
	until(t, "it is well", b.well)
}

// A node acknowledges a change while Redis is silent, and is killed before Redis has it. It has its journal:
// when it is back, the others learn of it.
func TestANodeIsKilledBeforeItsAppend(t *testing.T) {
	server, dir := redistest.Start(t), t.TempDir()
	data := dir + "/platform.db"
	a := runProgram(t, "--redis", server.URL(), "--data", data, "--journal", dir+"/journal")
	b := runProgram(t, "--redis", server.URL(), "--data", data)
	until(t, "both are well", func() bool { return a.well() && b.well() })
	id := b.any()
	server.Freeze()
	a.ask("PUT", "/api/partners/"+id, `{"name":"changed before it died"}`)
	a.kill()
	server.Thaw()
	until(t, "the other is well", b.well)
	b.partners() // whatever it knows
	a.start()
	until(t, "the other sees the change", func() bool { return b.partners()[id] == "changed before it died" })
}
