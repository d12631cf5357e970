package faults

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/demo"
)

// A program is "forebay demo" as people run it, in a process of its own that can be frozen and killed.
type program struct {
	t      *testing.T
	args   []string
	cmd    *exec.Cmd
	url    atomic.Pointer[url.URL]
	client http.Transport
	read   sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	still   bool       // it cannot be asked
	said    standing
	at      time.Time
	earlier uint64 // loads of its earlier lives
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

// program opens a node in a process of its own.
func (w *world) program(redis string, o demo.Options) *node {
	p := &program{t: w.t, args: []string{"demo", "--addr", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--origin-latency", fmt.Sprintf("%s-%s", o.OriginLatency.Min, o.OriginLatency.Max),
		"--redis", redis, "--data", o.Database, "--journal", w.t.TempDir() + "/journal"}, client: http.Transport{MaxIdleConnsPerHost: 64}}
	p.start()
	w.t.Cleanup(p.kill)
	return &node{process: p, says: p.says, handler: p}
}

// ServeHTTP passes a request on. It is lean: what asks must not take the processor from what is measured.
func (p *program) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := r.WithContext(r.Context())
	out.URL, out.RequestURI = p.url.Load().ResolveReference(r.URL), ""
	out.URL.Host = p.url.Load().Host
	res, err := p.client.RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	maps.Copy(w.Header(), res.Header)
	w.WriteHeader(res.StatusCode)
	io.Copy(w, res.Body)
}

// start starts the process and waits until it has printed where it listens, and answers.
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
	var at *url.URL
	for lines := bufio.NewScanner(out); at == nil && lines.Scan(); {
		if _, text, ok := strings.Cut(lines.Text(), "platform  "); ok {
			at, _ = url.Parse(text)
		}
	}
	if at == nil {
		p.t.Fatal("it does not say where it listens")
	}
	p.url.Store(at)
	p.read.Go(func() { io.Copy(io.Discard, out) })
	until(p.t, "it answers", func() bool {
		res, err := http.Get(at.JoinPath("/health/ready").String())
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
	p.thaw()
	p.cmd.Process.Kill()
	p.read.Wait()
	p.cmd.Wait()
	p.cmd = nil
}

func (p *program) freeze() { p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *program) thaw()   { p.cmd.Process.Signal(syscall.SIGCONT) }

// rest keeps what it said last until it can be asked again. From then on its loads count from 0 if it died.
func (p *program) rest(died bool) {
	said := p.says()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.still = true
	if died {
		p.earlier = said.loads
	}
}

func (p *program) goOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.still = false
}

// askEvery is how often a program is asked what it says of itself: it has other things to do.
const askEvery = 20 * time.Millisecond

// says is what it said lately. One that does not answer is degraded.
func (p *program) says() standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.still || time.Since(p.at) < askEvery {
		return p.said
	}
	p.at, p.said = time.Now(), standing{mode: forebay.Degraded, deferred: 1, loads: p.said.loads}
	client := http.Client{Timeout: time.Second}
	res, err := client.Get(p.url.Load().JoinPath("/api/cache-stats").String())
	if err != nil {
		return p.said
	}
	defer res.Body.Close()
	var stats admin.Stats
	if err := json.NewDecoder(res.Body).Decode(&stats); err != nil || stats.Shared == nil {
		return p.said
	}
	p.said = standing{
		mode: forebay.TierMode(stats.Mode), away: !stats.Shared.Connected || stats.Shared.Breaker != "closed",
		deferred: stats.Shared.Deferred, loads: p.earlier + stats.Loads,
	}
	return p.said
}

// freezeNode stops the first node in the middle of what it does.
func freezeNode(w *world) { w.nodes[0].leave(false, (*program).freeze) }
func thawNode(w *world)   { w.nodes[0].comeBack((*program).thaw) }
func killNode(w *world)   { w.nodes[0].leave(true, (*program).kill) }
func startNode(w *world)  { w.nodes[0].comeBack((*program).start) }

// leave stops a node; whoever sends it requests sees that.
func (n *node) leave(died bool, stop func(*program)) {
	n.turns.Add(1)
	n.process.rest(died)
	stop(n.process)
}

func (n *node) comeBack(start func(*program)) {
	start(n.process)
	n.process.goOn()
	n.turns.Add(1)
}

// A node acknowledges a change while Redis is silent, and is killed before Redis has it. It has its journal:
// when it is back, the others learn of it.
func TestANodeIsKilledBeforeItsAppend(t *testing.T) {
	w := build(t, programs, demo.Options{})
	until(t, "both are well", func() bool { return w.mode() == forebay.TwoTier })
	l := &load{w: w}
	other := w.nodes[1]
	l.read(other, 0) // it has them now
	w.server.Freeze()
	l.write(w.nodes[0], 0)
	killNode(w)
	w.server.Thaw()
	until(t, "the other is well", func() bool { return w.mode() == forebay.TwoTier })
	l.read(other, 0) // whatever it knows
	startNode(w)
	until(t, "the other sees the change", func() bool {
		v, ok := l.read(other, 0)
		return ok && v == w.orgs[0].answered && v > 0
	})
}
