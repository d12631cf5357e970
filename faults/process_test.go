package faults

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// processes are the nodes that run in processes of their own, beside those of the test.
type processes struct {
	t      *testing.T
	server *pair
	origin *httptest.Server
	keys   []*checkedKey
	astray *astray
	folder string // of their journals

	mu      sync.Mutex // guards the fields below
	running [checkProcesses]*process
	lines   int
	killed  int
	frozen  int
	thawed  [checkProcesses]time.Time // when each will have been awake for long enough to know what it has lost
}

type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	read  sync.WaitGroup
}

func startProcesses(t *testing.T, server *pair, keys []*checkedKey, often *busy, lost *astray) *processes {
	t.Helper()
	ps := &processes{t: t, server: server, keys: keys, astray: lost, folder: t.TempDir()}
	ps.origin = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		whose, name := path.Split(strings.TrimPrefix(r.URL.Path, "/"))
		i, err := strconv.Atoi(name)
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if whose != "" {
			from, leased := strings.CutPrefix(strings.Trim(whose, "/"), "leased/")
			often.load(r.Context(), i, leased && ps.awake(from))
			fmt.Fprint(w, i)
			return
		}
		if r.Method == "POST" {
			fmt.Fprint(w, keys[i].raise(100)) // noted here, because its process may be killed
			return
		}
		fmt.Fprint(w, keys[i].version.Load())
	}))
	t.Cleanup(ps.origin.Close)
	for i := range ps.running {
		ps.start(i)
	}
	return ps
}

func (ps *processes) start(i int) {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), nodeVariable+"="+ps.server.proxies[checkNodes+i].URL()+" "+ps.origin.URL+" "+strconv.Itoa(i)+" "+ps.folder)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		ps.t.Error(err)
		return
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		ps.t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		ps.t.Error(err)
		return
	}
	p := &process{cmd: cmd, stdin: in}
	p.read.Go(func() { ps.readLines(i, out) })
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.running[i] = p
}

// readLines takes down what a process reports; a line that its death cut off is nothing.
func (ps *processes) readLines(i int, out io.Reader) {
	own := checkNodes + i
	for s := bufio.NewScanner(out); s.Scan(); {
		var l line
		if json.Unmarshal(s.Bytes(), &l) != nil {
			continue
		}
		k, call, end := ps.keys[l.Key], time.Unix(0, l.Call), time.Unix(0, l.Return)
		lost := ps.astray.during(own, call, end)
		switch l.Kind {
		case "strict":
			if lost {
				break
			}
			k.strict.note(101+i, read{}, l.Version, call, end)
		case "own":
			k.own[own].note(101+i, read{}, l.Version, call, end)
			k.others.read(l.Version, call, l.Unconfirmed)
		default:
			k.own[own].note(101+i, ack{l.Version}, nil, call, end)
			if l.Kind == "ack" {
				if lost {
					end = end.Add(afterDeath)
				}
				k.strict.note(101+i, ack{l.Version}, nil, call, end)
				k.others.acked(l.Version, end)
			}
		}
		ps.mu.Lock()
		ps.lines++
		ps.mu.Unlock()
	}
}

// kill ends a process at once, wherever it is, and starts another in its place. What it had invalidated
// for itself alone died with it, so its own history starts over: nothing is known of it any more.
func (ps *processes) kill(i int) {
	p := ps.running[i]
	p.cmd.Process.Kill()
	p.read.Wait()
	p.cmd.Wait()
	for _, k := range ps.keys {
		k.own[checkNodes+i].check(ps.t, fmt.Sprintf("%s, process %d's own", k.name, i))
		k.own[checkNodes+i].restart(k)
	}
	ps.mu.Lock()
	ps.killed++
	ps.mu.Unlock()
	ps.start(i)
}

// restart forgets the history, but for how far the counter may have come.
func (r *recorder) restart(k *checkedKey) {
	r.mu.Lock()
	r.ops = nil
	r.mu.Unlock()
	now := time.Now()
	r.note(100, raise{int(k.version.Load())}, nil, now.Add(-time.Minute), now)
}

// freeze stops a process for a while.
func (ps *processes) freeze(i int, while func()) {
	p := ps.running[i]
	ps.mu.Lock()
	ps.frozen++
	ps.thawed[i] = time.Now().Add(time.Hour)
	ps.mu.Unlock()
	p.cmd.Process.Signal(syscall.SIGSTOP)
	while()
	ps.mu.Lock()
	ps.thawed[i] = time.Now().Add(leaseLife)
	ps.mu.Unlock()
	p.cmd.Process.Signal(syscall.SIGCONT)
}

// awake reports whether a process may be taken at its word that it holds a lease: not one that was frozen
// between taking it and using it.
func (ps *processes) awake(name string) bool {
	i, err := strconv.Atoi(name)
	if err != nil || i < 0 || i >= checkProcesses {
		return false
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return time.Now().After(ps.thawed[i])
}

// stop ends them in good order and returns how many operations they made.
func (ps *processes) stop() int {
	for _, p := range ps.running {
		p.stdin.Close()
		p.read.Wait()
		p.cmd.Wait()
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.lines
}
