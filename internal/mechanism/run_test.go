package mechanism

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// build compiles the tests of a package, once, with the files that overlay replaces; "" replaces none.
func build(t *testing.T, dir, overlay string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "package.test")
	cmd := exec.Command("go", "test", "-c", "-vet=off", "-trimpath", "-ldflags=-s -w", "-o", binary, "-overlay", overlay, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("does not compile: %v:\n%s", err, out)
	}
	return binary
}

func run(dir, binary string, args []string) (string, error) {
	cmd := exec.Command(binary, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// controlRuns are the runs with everything in place: each once, whichever mechanisms name the test. It is
// safe for concurrent use.
type controlRuns struct {
	root string

	mu       sync.Mutex // guards the fields below
	binaries map[string]func() string
	results  map[string]func() string
}

// mustPass fails t unless the named test ran and passed.
func (c *controlRuns) mustPass(t *testing.T, pkg string, args []string) {
	t.Helper()
	dir := filepath.Join(c.root, pkg)
	binary := c.once(&c.binaries, pkg, func() string { return buildControl(dir) })
	problem := c.once(&c.results, pkg+"\x00"+strings.Join(args, "\x00"), func() string {
		out, err := run(dir, binary, args)
		switch {
		case err != nil:
			return fmt.Sprintf("%v:\n%s", err, tail(out))
		case !strings.Contains(out, "--- PASS: Test"):
			return "no test ran"
		}
		return ""
	})
	if problem != "" {
		t.Fatalf("the test does not pass while everything is in place: %s", problem)
	}
}

func (c *controlRuns) once(in *map[string]func() string, key string, do func() string) string {
	c.mu.Lock()
	if *in == nil {
		*in = map[string]func() string{}
	}
	f := (*in)[key]
	if f == nil {
		f = sync.OnceValue(do)
		(*in)[key] = f
	}
	c.mu.Unlock()
	return f()
}

// buildControl compiles the tests of a package as they are. Where that fails the path does not exist, and
// the run says so.
func buildControl(dir string) string {
	file := filepath.Join(os.TempDir(), fmt.Sprintf("forebay-control-%d-%s.test", os.Getpid(), filepath.Base(dir)))
	cmd := exec.Command("go", "test", "-c", "-vet=off", "-trimpath", "-ldflags=-s -w", "-o", file, ".")
	cmd.Dir = dir
	if err := cmd.Run(); err == nil {
		controlFiles.Store(file, true)
	}
	return file
}

var controlFiles sync.Map // of the binaries, removed by TestMain

func TestMain(m *testing.M) {
	code := m.Run()
	controlFiles.Range(func(file, _ any) bool { os.Remove(file.(string)); return true })
	os.Exit(code)
}

// What is proved stays proved while neither the mutant's binary nor its arguments change: it is remembered
// in the user's cache folder, in an empty file whose name is the hash of both.

func known(binary string, args []string) bool {
	file, err := proofOf(binary, args)
	if err != nil {
		return false
	}
	_, err = os.Stat(file)
	return err == nil
}

func remember(t *testing.T, binary string, args []string) {
	t.Helper()
	file, err := proofOf(binary, args)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file, nil, 0o644)
	}
	if err != nil {
		t.Logf("the proof is not remembered: %v", err)
	}
}

func proofOf(binary string, args []string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	f, err := os.Open(binary)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	fmt.Fprintf(hash, "%q\n", args)
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return filepath.Join(cache, "forebay", "proofs", hex.EncodeToString(hash.Sum(nil))), nil
}

// hungIn reports whether the named test was the one that had not ended when the time was up: a mechanism
// that is taken out may leave a loop behind.
func hungIn(out, test string) bool {
	_, running, timedOut := strings.Cut(out, "panic: test timed out")
	name, _, _ := strings.Cut(test, "/")
	lines := strings.SplitN(running, "\n", 4)
	return timedOut && len(lines) > 2 && strings.Contains(lines[1], "running tests:") && strings.Contains(lines[2], name)
}

// tail is the end of what a run printed.
func tail(out string) string { return out[max(len(out)-4000, 0):] }
