package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
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

// nodeVariable makes the test's program one node of the checker: the server's URL, the origin's, and
// which process it is.
const nodeVariable = "FOREBAY_FAULTS_NODE"

func TestMain(m *testing.M) {
	if what := os.Getenv(nodeVariable); what != "" {
		flag.Parse()
		if err := beNode(strings.Fields(what)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(runTests(m))
}

// binaries is a folder for what the tests build.
var binaries string

func runTests(m *testing.M) int {
	var err error
	if binaries, err = os.MkdirTemp("", "forebay-faults-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(binaries)
	return m.Run()
}

// A line is an operation as a node's process reports it.
type line struct {
	Key     int    `json:"key"`
	Kind    string `json:"kind"` // strict, own, ack: of everybody, own-ack: of its node alone
	Version int    `json:"version"`
	Call    int64  `json:"call"`
	Return  int64  `json:"return"`
	// Unconfirmed: the node said that it may not know everything.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
}

// beNode reads and writes at random until its input ends, and reports each operation.
func beNode(what []string) error {
	server, origin := what[0], what[1]
	ctx := context.Background()
	load := func(ctx context.Context, i int) (int64, error) { return askOrigin(ctx, "GET", origin, i) }
	loadBusy := func(ctx context.Context, i int) (int, error) {
		kind := "/busy/"
		if holdsLease(ctx) {
			kind = "/leased/"
		}
		_, err := askOrigin(ctx, "GET", origin+kind+what[2], i)
		return i, err
	}
	n, end, err := openChecked(ctx, server, load, loadBusy)
	if err != nil {
		return err
	}
	defer end()
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	report := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		out.Encode(l)
	}
	var work sync.WaitGroup
	asking, enough := context.WithCancel(ctx)
	work.Go(func() { n.askBusy(asking) })
	work.Go(func() {
		<-ended
		enough()
	})
	for range 2 {
		work.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond):
				}
				n.operate(ctx, origin, report)
			}
		})
	}
	work.Wait()
	return nil
}

func (n checkNode) operate(ctx context.Context, origin string, report func(line)) {
	i, p := pick(rand.New(rand.NewPCG(rand.Uint64(), 0))), rand.IntN(100)
	if p < 24 {
		v, err := askOrigin(ctx, "POST", origin, i)
		if err != nil {
			return
		}
		l := line{Key: i, Kind: "ack", Version: int(v), Call: time.Now().UnixNano()}
		r, err := n.cache.Invalidate(ctx, n.targets(i, rand.New(rand.NewPCG(rand.Uint64(), 0)))...)
		if err != nil {
			return
		}
		if r.Deferred {
			l.Kind = "own-ack"
		}
		l.Return = time.Now().UnixNano()
		report(l)
		return
	}
	f, l := n.strict, line{Key: i, Kind: "strict", Call: time.Now().UnixNano()}
	if p < 62 {
		f, l.Kind = n.loose, "own"
	}
	r := f.Do(ctx, i)
	if r.Err != nil {
		return
	}
	l.Version, l.Return, l.Unconfirmed = int(r.Value), time.Now().UnixNano(), r.Unconfirmed
	report(l)
}

func askOrigin(ctx context.Context, method, origin string, i int) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, method, origin+"/"+strconv.Itoa(i), nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

// processes are the nodes that run in processes of their own, beside those of the test.
type processes struct {
	t      *testing.T
	server *pair
	origin *httptest.Server
	keys   []*checkedKey

	mu      sync.Mutex // guards what follows
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

func startProcesses(t *testing.T, server *pair, keys []*checkedKey, often *busy) *processes {
	t.Helper()
	ps := &processes{t: t, server: server, keys: keys}
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
	cmd.Env = append(os.Environ(), nodeVariable+"="+ps.server.proxies[checkNodes+i].URL()+" "+ps.origin.URL+" "+strconv.Itoa(i))
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
		switch l.Kind {
		case "strict":
			k.strict.note(101+i, read{}, l.Version, call, end)
		case "own":
			k.own[own].note(101+i, read{}, l.Version, call, end)
			k.others.read(l.Version, call, l.Unconfirmed)
		default:
			k.own[own].note(101+i, ack{l.Version}, nil, call, end)
			if l.Kind == "ack" {
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
// for itself alone died with it, so its own history begins anew: nothing is known of it any more.
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
