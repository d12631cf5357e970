package forebay

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each line of the journal stands alone.
func TestJournalLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	open := func() *journal {
		t.Helper()
		j, err := openJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := open()
	if _, err := openJournal(path); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("a second one: %v", err)
	}
	if err := j.add([]Target{Key("c:a")}, Remove, 1); err != nil {
		t.Fatal(err)
	}
	// A line that a full disk has cut off.
	if _, err := j.file.WriteString(`0badc0de {"seq":7,"tar`); err != nil {
		t.Fatal(err)
	}
	j.torn = true
	if err := j.add([]Target{Key("c:b")}, Expire, 2); err != nil {
		t.Fatal(err)
	}
	many := make([]Target, 3*maxLine)
	for i := range many {
		many[i] = Key("c:" + strings.Repeat("x", 100))
	}
	if err := j.add(many, Remove, 3); err != nil {
		t.Fatal(err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	j = open()
	defer j.close()
	targets := 0
	for _, d := range j.queue {
		targets += len(d.Targets)
	}
	if targets != 2+len(many) || j.queue[0].Targets[0] != Key("c:a") || j.queue[1].Targets[0] != Key("c:b") || j.queue[1].Mode != Expire {
		t.Errorf("%d targets came back", targets)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if _, ok := parseLine([]byte(strings.TrimSuffix(line, "\n"))); !ok {
			t.Errorf("%.60q is no line", line)
		}
	}
	if changed := strings.Replace(string(text), "c:a", "c:z", 1); changed == string(text) {
		t.Error("nothing to change")
	} else if _, ok := parseLine([]byte(strings.SplitN(changed, "\n", 2)[0])); ok {
		t.Error("a changed line was taken")
	}
}
