package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// quotes reports whether the code of a page is a part of tests and programs that run.
func quotes(file string) bool {
	return strings.HasPrefix(file, "guides/") || slices.Contains([]string{"cookbook.md", "testing.md", "writes.md"}, file)
}

// What the guides show is what runs: each block of code is, word for word, in an example, in a test of forebaytest, or in the
// service under examples/.
func TestGuidesQuoteWhatRuns(t *testing.T) {
	var sources strings.Builder
	for _, pattern := range []string{"../example*_test.go", "../forebaytest/*_test.go", "../examples/service/*.go", "../internal/postgrestest/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(text)
		}
	}
	n := 0
	for _, b := range blocks(t) {
		if b.lang != "go" || !quotes(b.file) {
			continue
		}
		n++
		if !strings.Contains(sources.String(), b.text) {
			t.Errorf("%s shows what nothing runs:\n%s", b.file, b.text)
		}
	}
	if n < 20 {
		t.Errorf("%d blocks found", n)
	}
}

// The figures of the comparison are those of the measurement that is in the repository.
func TestComparisonHasTheMeasuredFigures(t *testing.T) {
	measured, err := os.ReadFile("performance.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("comparison.md")
	if err != nil {
		t.Fatal(err)
	}
	_, costs, _ := strings.Cut(string(text), "## What each costs")
	n := 0
	for _, m := range regexp.MustCompile(`(?m)^\| [^|]*\| ([0-9,; ]+) \|`).FindAllStringSubmatch(costs, -1) {
		for figure := range strings.SplitSeq(m[1], ";") {
			n++
			if figure = strings.ReplaceAll(strings.TrimSpace(figure), ",", ""); !strings.Contains(string(measured), "| "+figure+" |") {
				t.Errorf("%s ns is not in performance.md: make bench has written it again", figure)
			}
		}
	}
	if n < 8 {
		t.Errorf("%d figures found", n)
	}
}
