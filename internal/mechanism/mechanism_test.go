// Package mechanism proves that the tests can see: each mechanism that keeps a promise is taken
// out of a copy of its file, one at a time, and the named test must fail.
package mechanism

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A mechanism is a piece of a file and what remains when it is taken out.
type mechanism struct {
	name      string
	file      string // from the root
	code, out string
	test      string // that notices
}

var mechanisms = []mechanism{
	{"a load is judged by the place from before it began", "fill.go",
		"e.number.Store(f.flight.number)", "e.number.Store(f.space.cache.ledger.number.Load())", "LoadAgainstInvalidation"},
	{"an obsolete load is not joined", "flight.go",
		"if v == valid && (!how.alone || now == f.number) {", "if _ = now; v == v {", "WhoComesAfter"},
	{"who came after an invalidation does not take the older answer", "flight.go",
		"if joined != f.number {", "if false {", "LoadAgainstInvalidation"},
	{"an entry is judged when the ledger has moved", "near.go",
		"if e.number.Load() == n.ledger.number.Load() {", "if true {", "LoadAgainstInvalidation"},
	{"an invalidation takes its number at once", "ledger.go",
		"	l.pruneLocked()\n	l.number.Store(n)", "	l.pruneLocked()", "LoadAgainstInvalidation"},
	{"an expire does not hide a remove", "ledger.go",
		"m.expire.raise(at)\n", "m.expire.raise(at)\n\t\tm.remove = place{}\n", "LoadAgainstInvalidation"},
	{"what leaves the ledger for room becomes its class", "ledger.go",
		"l.markOfLocked(Target{KindClass, class}).raise(*m)\n", "\n", "LedgerBounds"},
	{"a strict class serves nothing that was expired", "entry.go",
		"case v == expired && e.space.class.Strict:", "case false:", "ExpireServes"},
	{"the key of a private class holds the caller", "key.go",
		"	mac.Write([]byte(caller))\n", "", "PrivateClass"},
	{"delimiters are escaped", "key.go",
		`[]byte("%,*={}[]")`, `[]byte("%*={}[]")`, "NoTwoParameters"},
	{"a hanging load keeps its slot", "fill.go",
		"	f.slot = true\n", "	f.slot = true\n	context.AfterFunc(f.flight.ctx, f.Release)\n", "MaxLoads"},
}

func TestEachMechanismIsMissed(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mechanisms {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(root, m.file)
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(string(source), m.code) != 1 {
				t.Fatalf("%s holds %q %d times", m.file, m.code, strings.Count(string(source), m.code))
			}
			dir := t.TempDir()
			changed := filepath.Join(dir, "changed.go")
			overlay := filepath.Join(dir, "overlay.json")
			replace, _ := json.Marshal(map[string]any{"Replace": map[string]string{path: changed}})
			for file, text := range map[string]string{changed: strings.Replace(string(source), m.code, m.out, 1), overlay: string(replace)} {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("go", "test", "-vet=off", "-count=1", "-timeout=60s", "-overlay", overlay, "-run", m.test, ".")
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			switch {
			case err == nil:
				t.Errorf("no test noticed")
			case strings.Contains(string(out), "build failed"):
				t.Errorf("does not compile:\n%s", out)
			}
		})
	}
}
