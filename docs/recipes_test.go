package docs

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay/internal/redistest"
)

// Each console block of the recipes is run: what serves in the background, what asks in order, and what
// follows a question is in its answer. A block that starts nothing goes on where the last one stopped.
func TestRecipes(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "forebay")
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/forebay").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	var c *console
	n := 0
	for _, b := range blocks(t) {
		if b.file != "recipes.md" || b.lang != "console" {
			continue
		}
		n++
		for i, step := range strings.Split(strings.TrimPrefix(b.text, "$ "), "\n$ ") {
			command, answer, _ := strings.Cut(strings.TrimSpace(step), "\n")
			if i == 0 && !strings.HasPrefix(command, "curl ") {
				if c != nil {
					c.stop()
				}
				c = newConsole(t, bin)
			}
			c.run(command, answer)
		}
	}
	if c == nil || n < 5 {
		t.Fatalf("%d blocks found", n)
	}
	c.stop()
}

// A console runs the commands of a recipe on ports of its own.
type console struct {
	t       *testing.T
	bin     string
	dir     string
	origin  string // host and port
	gateway string
	running []*exec.Cmd
}

func newConsole(t *testing.T, bin string) *console {
	return &console{t: t, bin: bin, dir: t.TempDir(), origin: freeAddr(t), gateway: freeAddr(t)}
}

func freeAddr(t *testing.T) string { return fmt.Sprintf("127.0.0.1:%d", redistest.FreePort(t)) }

var ports = regexp.MustCompile(`(localhost|127\.0\.0\.1):(5000|3000)`)

// run runs a line of a recipe with its files in a folder of its own.
func (c *console) run(line, want string) {
	c.t.Helper()
	line = strings.ReplaceAll(line, "localhost:8080", c.gateway)
	line = ports.ReplaceAllString(line, c.origin)
	_, port, err := net.SplitHostPort(c.origin)
	if err != nil {
		c.t.Fatal(err)
	}
	switch command, rest, _ := strings.Cut(line, " "); command {
	case "python3":
		c.start(c.origin, flaskPython(c.t), []string{"../" + rest}, "PORT="+port)
	case "node":
		words := strings.Fields(rest)
		if len(words) == 1 {
			c.start(c.origin, "node", []string{"../" + words[0]}, "PORT="+port)
			return
		}
		db := c.copyOf("../"+words[1], nil)
		c.start(c.origin, "node", []string{"../" + words[0], "--quiet", "--port", port, db})
	case "go":
		program := filepath.Join(c.dir, "api")
		if out, err := exec.Command("go", "build", "-o", program, "../"+strings.TrimPrefix(rest, "run ")).CombinedOutput(); err != nil {
			c.t.Fatalf("%s", out)
		}
		c.start(c.origin, program, nil, "PORT="+port)
	case "forebay":
		words := strings.Fields(strings.ReplaceAll(rest, "'GET ", "'GET_"))
		for i, word := range words {
			words[i] = strings.Trim(strings.ReplaceAll(word, "'GET_", "'GET "), "'")
			if strings.HasSuffix(word, ".yaml") {
				words[i] = c.copyOf("../"+word, func(text string) string { return ports.ReplaceAllString(text, c.origin) })
			}
		}
		c.start(c.gateway, c.bin, append(words, "--addr", c.gateway, "--admin", "off"))
	case "curl":
		out, err := exec.Command("bash", "-c", line+" --max-time 20").CombinedOutput()
		if err != nil {
			c.t.Errorf("%s: %v %s", line, err, out)
		}
		for text := range strings.SplitSeq(want, "\n") {
			text = strings.ReplaceAll(text, "ttl=899", "ttl=8")
			text, _, _ = strings.Cut(text, "; detail=near")
			if !strings.Contains(strings.ReplaceAll(string(out), "\r", ""), text) {
				c.t.Errorf("%s\nlacks %q:\n%s", line, text, out)
			}
		}
	default:
		c.t.Errorf("nothing runs %q", line)
	}
}

func (c *console) copyOf(file string, change func(string) string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		c.t.Fatal(err)
	}
	if change != nil {
		text = []byte(change(string(text)))
	}
	to := filepath.Join(c.dir, filepath.Base(file))
	if err := os.WriteFile(to, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return to
}

func (c *console) start(addr, command string, args []string, env ...string) {
	cmd := exec.Command(command, args...)
	cmd.Env = append(os.Environ(), env...)
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.running = append(c.running, cmd)
	waitFor(c.t, "http://"+addr)
}

func (c *console) stop() {
	for _, cmd := range c.running {
		cmd.Process.Kill()
		cmd.Wait()
	}
}

// flaskPython is a Python that has Flask: the one on the path, or the system's, whose package it is.
func flaskPython(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import flask").Run() == nil {
			return python
		}
	}
	t.Fatal("Flask is missing: make deps installs it")
	return ""
}
