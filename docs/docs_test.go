package docs

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// A block is a fenced block of the manual.
type block struct{ file, lang, text string }

var fence = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

func blocks(t *testing.T) []block {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, _ := filepath.Glob("decisions/*.md")
	guides, _ := filepath.Glob("guides/*.md")
	more = append(more, guides...)
	var out []block
	for _, file := range append(append(files, more...), "../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
			out = append(out, block{file, m[1], m[2]})
		}
	}
	return out
}

// Every Go block is compiled, as the body of a function in a program where the manual's db, api
// and so on exist.
func TestGoBlocksCompile(t *testing.T) {
	frame, err := os.ReadFile("testdata/frame.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	// One build for all, each block a package that is there in the build alone; not a program, so that nothing is linked.
	dir, build := t.TempDir(), []string{"build", "-overlay"}
	overlay := map[string]string{}
	of := map[string]block{}
	for _, b := range blocks(t) {
		if b.lang != "go" || quotes(b.file) {
			continue
		}
		name := fmt.Sprintf("block%d", len(of))
		real := filepath.Join(dir, name+".go")
		if err := os.WriteFile(real, []byte(strings.ReplaceAll(string(frame), "BLOCK", b.text)), 0o644); err != nil {
			t.Fatal(err)
		}
		place, err := filepath.Abs(filepath.Join("testdata", name, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		overlay[place], of[name] = real, b
	}
	if len(of) == 0 {
		t.Fatal("no blocks found")
	}
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, text, 0o644); err != nil {
		t.Fatal(err)
	}
	build = append(build, list)
	for name := range of {
		build = append(build, "./testdata/"+name)
	}
	if out, err := exec.Command("go", build...).CombinedOutput(); err != nil {
		for name, b := range of {
			if strings.Contains(string(out), "testdata/"+name+"\n") || strings.Contains(string(out), name+".go:") {
				t.Errorf("%s:\n%s", b.file, b.text)
			}
		}
		t.Errorf("%s", out)
	}
}

// Every line of a sh block is looked at: targets exist, commands parse, requests are sent to a
// running platform and answered.
func TestShellBlocksWork(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "forebay")
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/forebay").CombinedOutput(); err != nil {
		t.Fatalf("%s", out)
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, bin)
	platform := runDemo(t, bin)
	for _, b := range blocks(t) {
		if b.lang != "sh" {
			continue
		}
		for line := range strings.SplitSeq(strings.TrimSpace(b.text), "\n") {
			command, rest, _ := strings.Cut(line, " ")
			switch command {
			case "make":
				if !strings.Contains(string(makefile), "\n"+rest+":") {
					t.Errorf("%s: the Makefile has no target %q", b.file, rest)
				}
			case "curl":
				line = strings.ReplaceAll(strings.ReplaceAll(line, "http://localhost:8080", platform), "localhost:8080", strings.TrimPrefix(platform, "http://"))
				out, err := exec.Command("bash", "-c", strings.Replace(line, "curl ", "curl -sS --fail-with-body --max-time 10 ", 1)).CombinedOutput()
				if err != nil {
					t.Errorf("%s: %s: %v %s", b.file, line, err, out)
				}
			case "forebay":
				if out, err := exec.Command("bash", "-c", bin+" "+rest+" --help").CombinedOutput(); err != nil || !strings.Contains(string(out), "Usage: forebay") {
					t.Errorf("%s: %s: %v %s", b.file, line, err, out)
				}
				for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(rest, -1) {
					sub, _, _ := strings.Cut(rest, " ")
					if out, _ := exec.Command(bin, sub, "--help").CombinedOutput(); !strings.Contains(string(out), flag) {
						t.Errorf("%s: forebay %s has no flag %s", b.file, sub, flag)
					}
				}
			case "npx": // conformance/inspector.mjs runs it
			case "docker": // needs an engine; the image has a test of its own
			case "sudo", "helm", "kubectl", "openssl", "sha256sum", "cd", "export": // need a machine, a cluster or a release: deploy/ and deploy/check look at what they take
			default:
				t.Errorf("%s: nothing checks %q", b.file, line)
			}
		}
	}
}

// checkFiles has the command look at every file of the gateway that stands in the manual.
func checkFiles(t *testing.T, bin string) {
	t.Helper()
	n := 0
	for _, b := range blocks(t) {
		if b.lang != "yaml" || !strings.Contains(b.text, "\nroutes:") {
			continue
		}
		n++
		file := filepath.Join(t.TempDir(), "forebay.yaml")
		if err := os.WriteFile(file, []byte(b.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(bin, "check", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", b.file, out)
		}
	}
	if n < 2 {
		t.Errorf("%d files found", n)
	}
}

func TestYAMLBlocksParse(t *testing.T) {
	for _, b := range blocks(t) {
		var v any
		if b.lang == "yaml" && yaml.Unmarshal([]byte(b.text), &v) != nil {
			t.Errorf("%s: no YAML:\n%s", b.file, b.text)
		}
	}
}

// Links between pages lead somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	files, _ := filepath.Glob("*.md")
	more, _ := filepath.Glob("decisions/*.md")
	guides, _ := filepath.Glob("guides/*.md")
	more = append(more, guides...)
	for _, file := range append(append(files, more...), "../README.md", "../CHANGELOG.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", file, m[1])
			}
		}
	}
}

// Files of ours that pages name by their folder are there.
func TestNamedFiles(t *testing.T) {
	named := regexp.MustCompile("`([\\w-]+/[\\w./-]+\\.go)`")
	files, _ := filepath.Glob("*.md")
	more, _ := filepath.Glob("decisions/*.md")
	for _, file := range append(append(files, more...), "../README.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s names %s, which is not there", file, m[1])
			}
		}
	}
}

// runDemo starts the command and returns the platform's address.
func runDemo(t *testing.T, bin string) string {
	t.Helper()
	probe := httptest.NewServer(nil) // a free port, let go just before it is taken
	addr := probe.Listener.Addr().String()
	probe.Close()
	cmd := exec.Command(bin, "demo", "--addr", addr, "--admin", "off", "--origin-latency", "0")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	waitFor(t, "http://"+addr+"/health/live")
	return "http://" + addr
}

func waitFor(t *testing.T, url string) {
	t.Helper()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for range 500 {
		if res, err := http.Get(url); err == nil {
			res.Body.Close()
			return
		}
		<-retry.C
	}
	t.Fatalf("nothing answers at %s", url)
}
