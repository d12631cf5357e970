package faults

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// nodeVariable makes the test's program one node of the checker: the server's URL, the origin's, which
// process it is, and the folder of its journal.
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
	if url := os.Getenv(callerVariable); url != "" {
		if err := beCaller(url); err != nil {
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
	signal.Ignore(syscall.SIGXFSZ) // its disk may be full
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
	n, end, err := openChecked(ctx, server, filepath.Join(what[3], "journal-"+what[2]), load, loadBusy)
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
