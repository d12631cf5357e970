// Package security attacks the gateway's binary from outside, with bytes and frames that no honest client
// or origin sends. docs/security.md lists the attacks, what happens, and which test shows it.
package security

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

var binary string

// full has the tests of resources run at the size of their promises: go test ./security -full
var full = flag.Bool("full", false, "thousands of clients instead of hundreds")

func sized(small, large int) int {
	if *full {
		return large
	}
	return small
}

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "forebay-security-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(folder, "forebay")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/forebay").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

// A gate is a running gateway.
type gate struct {
	t              testing.TB
	addr, operator string
	pid            int
	log            *logBuffer
}

type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

var addresses = regexp.MustCompile(`gateway +http://(\S+) ->[^\n]*\nadmin +http://(\S+)`)

// serve starts a gateway in front of an origin. limit: descriptors it may have, or 0.
func serve(t testing.TB, limit int, args ...string) *gate {
	t.Helper()
	command := append([]string{binary, "serve", "--addr", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)
	if limit > 0 {
		command = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, limit), "sh"}, command...)
	}
	cmd := exec.Command(command[0], command[1:]...)
	g := &gate{t: t, log: &logBuffer{}}
	cmd.Stdout, cmd.Stderr = g.log, g.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.pid = cmd.Process.Pid
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
		if text := g.log.String(); strings.Contains(text, "panic") || strings.Contains(text, "DATA RACE") {
			t.Errorf("the gateway said:\n%s", text)
		}
	})
	for range 500 {
		if found := addresses.FindStringSubmatch(g.log.String()); found != nil {
			g.addr, g.operator = found[1], found[2]
			return g
		}
		select {
		case err := <-done:
			done <- err
			t.Fatalf("the gateway ended: %v\n%s", err, g.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("the gateway does not say where it listens:\n%s", g.log)
	return nil
}

// config writes a file for --config.
func config(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// An origin remembers what it was asked.
type origin struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string
}

// startOrigin starts an origin that speaks HTTP.
func startOrigin(t testing.TB, h http.HandlerFunc) *origin {
	o := &origin{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.seen = append(o.seen, r.Method+" "+r.RequestURI)
		o.mu.Unlock()
		h(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *origin) asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.seen...)
}

// rawOrigin starts an origin that answers each request with bytes. It closes where nothing else says how long they are.
func rawOrigin(t testing.TB, answer func(r *http.Request) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewReader(c); ; {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					io.Copy(io.Discard, r.Body)
					text := answer(r)
					io.WriteString(c, text)
					if !strings.Contains(text, "Content-Length") && !strings.Contains(text, "chunked") {
						return // it ends with the connection
					}
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// dial opens a connection that ends with the test.
func (g *gate) dial() net.Conn {
	g.t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	g.t.Cleanup(func() { c.Close() })
	return c
}

// An answer is a response that was read whole.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

func (a answer) how() string { return a.header.Get("Cache-Status") }

// shared reports whether the answer took no load of its own. The load before may still be ending when its answer
// has been read whole.
func (a answer) shared() bool {
	return strings.Contains(a.how(), "hit") || strings.Contains(a.how(), "collapsed")
}

// raw sends bytes on a connection of their own and reads one response.
func (g *gate) raw(bytes string) answer {
	g.t.Helper()
	c := g.dial()
	defer c.Close()
	go io.WriteString(c, bytes)
	method, _, _ := strings.Cut(bytes, " ")
	return read(bufio.NewReader(c), method)
}

func read(r *bufio.Reader, method string) answer {
	res, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return answer{err: err, header: http.Header{}}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(body), err}
}

// get asks for a path with fields, each "Name: value".
func (g *gate) get(path string, fields ...string) answer {
	g.t.Helper()
	return g.raw("GET " + path + " HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n" + lines(fields) + "\r\n")
}

func lines(fields []string) string {
	var b strings.Builder
	for _, field := range fields {
		b.WriteString(field + "\r\n")
	}
	return b.String()
}

// stats are the gateway's own.
func (g *gate) stats() (s struct {
	Classes map[string]struct {
		NotStored map[string]uint64 `json:"not_stored"`
	} `json:"classes"`
	Limits []struct {
		Name      string
		Used, Max int64
		Refused   uint64
	} `json:"limits"`
}) {
	g.t.Helper()
	res, err := http.Get("http://" + g.operator + "/api/cache-stats")
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		g.t.Fatal(err)
	}
	return s
}

// resident is the memory of the gateway's process in bytes.
func (g *gate) resident() int64 {
	g.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.pid))
	if err != nil {
		g.t.Fatal(err)
	}
	var total, resident int64
	if _, err := fmt.Sscan(string(text), &total, &resident); err != nil {
		g.t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

func (g *gate) descriptors() int {
	g.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", g.pid))
	if err != nil {
		g.t.Fatal(err)
	}
	return len(entries)
}
