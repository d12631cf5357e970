package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// screen collects what a command prints, also while it runs.
type screen struct {
	mu      sync.Mutex
	b       bytes.Buffer
	printed chan struct{}
}

func newScreen() *screen { return &screen{printed: make(chan struct{}, 100)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.printed <- struct{}{}:
	default:
	}
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var urls = regexp.MustCompile(`(platform|gateway|admin) +(https?://\S+)`)

// startDemo runs the demo on free ports and returns its addresses.
func startDemo(t *testing.T, args ...string) (platform, admin string, out *screen) {
	t.Helper()
	return start(t, append([]string{"demo", "--origin-latency", "0"}, args...)...)
}

// start runs a command on free ports and returns its addresses.
func start(t testing.TB, args ...string) (public, admin string, out *screen) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	out = newScreen()
	code := make(chan int)
	args = append(args, "--admin", "127.0.0.1:0")
	if !slices.Contains(args, "--addr") {
		args = append(args, "--addr", "127.0.0.1:0")
	}
	go func() { code <- run(ctx, args, out, out) }()
	t.Cleanup(func() {
		stop()
		if c := <-code; c != 0 {
			t.Errorf("exit code %d: %s", c, out)
		}
	})
	public, admin = addresses(out)
	return public, admin, out
}

// addresses waits until a command has printed where it listens.
func addresses(out *screen) (platform, admin string) {
	for range out.printed {
		if found := urls.FindAllStringSubmatch(out.String(), -1); len(found) == 2 {
			return found[0][2], found[1][2]
		}
	}
	return "", ""
}

func fetch(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res, string(body)
}

func TestDemo(t *testing.T) {
	platform, admin, out := startDemo(t, "--access-log", "json")
	fetch(t, platform+"/api/partners?org_id=acme")
	if res, _ := fetch(t, platform+"/api/partners?org_id=acme"); !strings.HasPrefix(res.Header.Get("Cache-Status"), "forebay; hit") {
		t.Errorf("Cache-Status %q", res.Header.Get("Cache-Status"))
	}
	if !strings.Contains(out.String(), `"path":"/api/partners","status":200`) || strings.Contains(out.String(), "org_id=acme\",") {
		t.Errorf("access log: %s", out)
	}
	var b bytes.Buffer
	if code := run(t.Context(), []string{"stats", "--node", admin}, &b, &b); code != 0 || !strings.Contains(b.String(), "partner_data") || !strings.Contains(b.String(), "50.0 %") {
		t.Errorf("stats: %d %s", code, b.String())
	}
	b.Reset()
	if code := run(t.Context(), []string{"purge", "--node", admin, "--tag", "org:acme"}, &b, &b); code != 0 || !regexp.MustCompile(`^\d+-\d+\n.*it covered \d+ entries`).MatchString(b.String()) {
		t.Errorf("purge: %d %s", code, b.String())
	}
	if res, _ := fetch(t, platform+"/api/partners?org_id=acme"); !strings.Contains(res.Header.Get("Cache-Status"), "uri-miss") {
		t.Errorf("after the purge: %q", res.Header.Get("Cache-Status"))
	}
	b.Reset()
	if code := run(t.Context(), []string{"purge", "--node", admin, "--class", "nobody"}, &b, &b); code != exitFailed || !strings.Contains(b.String(), `no class "nobody"`) {
		t.Errorf("purge of an unknown class: %d %s", code, b.String())
	}
}

// A client that is being answered when the command is told to stop gets its answer; streams end.
func TestStoppingAnswersWhoWaits(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	out := newScreen()
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"demo", "--addr", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--origin-latency", "500ms"}, out, out)
	}()
	platform, admin := addresses(out)
	stream, err := http.Get(admin + "/api/events")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	status := make(chan int)
	go func() {
		res, err := http.Get(platform + "/api/partners?org_id=acme")
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		res.Body.Close()
		status <- res.StatusCode
	}()
	for { // until the load runs
		if _, body := fetch(t, platform+"/api/cache-stats"); strings.Contains(body, `"loading":1`) {
			break
		}
	}
	stop()
	if s := <-status; s != 200 {
		t.Errorf("the waiting request got %d", s)
	}
	if c := <-code; c != 0 {
		t.Errorf("exit code %d: %s", c, out)
	}
	if _, err := io.ReadAll(stream.Body); err != nil {
		t.Errorf("the stream broke off: %v", err)
	}
}

func TestDemoListensWherePORTSays(t *testing.T) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := probe.Addr().(*net.TCPAddr).Port
	probe.Close()
	t.Setenv("PORT", strconv.Itoa(port))
	f := listenFlags{Admin: "off"}
	own, err := f.listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.public.Close()
	if a := own.public.Addr().(*net.TCPAddr); own.operators != nil || a.Port != port || !a.IP.IsUnspecified() {
		t.Errorf("listens on %s", a)
	}
	f.Addr = "127.0.0.1:0"
	again, err := f.listen("")
	if err != nil {
		t.Fatal(err)
	}
	defer again.public.Close()
	if a := again.public.Addr().(*net.TCPAddr); a.Port == port || !a.IP.IsLoopback() {
		t.Errorf("the flag does not win: %s", a)
	}
}

func TestMistakesAreOneLineAndExitTwo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct {
		args  []string
		holds []string
	}{
		{[]string{"demo", "--addr", taken.Addr().String()}, []string{"--addr", taken.Addr().String(), "in use", "choose another"}},
		{[]string{"demo", "--addr", "127.0.0.1:0", "--admin", taken.Addr().String()}, []string{"--admin", "in use"}},
		{[]string{"demo", "--data", "/nowhere/at/all.db"}, []string{"/nowhere/at/all.db", "--data"}},
		{[]string{"demo", "--near-bytes", "12 parsecs"}, []string{"--near-bytes", "64MiB"}},
		{[]string{"demo", "--near-bytes", "1kB"}, []string{"NearBytes"}},
		{[]string{"demo", "--origin-latency", "fast"}, []string{"--origin-latency", "200ms-500ms"}},
		{[]string{"demo", "--origin-latency", "500ms-200ms"}, []string{"--origin-latency"}},
		{[]string{"demo", "--traffic", "-1"}, []string{"--traffic"}},
		{[]string{"demo", "--access-log", "xml"}, []string{"--access-log"}},
		{[]string{"demo", "--no-such-flag"}, []string{"--no-such-flag"}},
		{[]string{"nonsense"}, []string{"nonsense"}},
		{[]string{"purge"}, []string{"--key"}},
	} {
		var b bytes.Buffer
		code := run(t.Context(), test.args, io.Discard, &b)
		if code != exitUsage || strings.Count(strings.TrimSpace(b.String()), "\n") != 0 {
			t.Errorf("%q: exit %d, %q", test.args, code, b.String())
		}
		for _, want := range test.holds {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%q: %q does not hold %q", test.args, b.String(), want)
			}
		}
	}
}

func TestNoNodeAnswers(t *testing.T) {
	var b bytes.Buffer
	if code := run(t.Context(), []string{"stats", "--node", "http://127.0.0.1:1"}, &b, &b); code != exitFailed || !strings.Contains(b.String(), "--node") {
		t.Errorf("%d %s", code, b.String())
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("FOREBAY_ORIGIN_LATENCY", "oops")
	var b bytes.Buffer
	if code := run(t.Context(), []string{"demo"}, &b, &b); code != exitUsage || !strings.Contains(b.String(), "oops") {
		t.Errorf("%d %s", code, b.String())
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"demo", "--help"}, {"version"}} {
		var b bytes.Buffer
		if code := run(t.Context(), args, &b, &b); code != 0 || !strings.Contains(b.String(), "forebay") {
			t.Errorf("%q: %d %s", args, code, b.String())
		}
	}
}
