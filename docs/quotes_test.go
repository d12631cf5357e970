package docs

import (
	"os"
	"path/filepath"
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
