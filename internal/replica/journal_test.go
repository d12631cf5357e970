package replica

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/forebay-cache/forebay/shared"
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
	if err := j.add([]shared.Target{key("c:a")}, shared.Remove, 1); err != nil {
		t.Fatal(err)
	}
	// A line that a full disk has cut off.
	if _, err := j.file.WriteString(`0badc0de {"seq":7,"tar`); err != nil {
		t.Fatal(err)
	}
	j.torn = true
	if err := j.add([]shared.Target{key("c:b")}, shared.Expire, 2); err != nil {
		t.Fatal(err)
	}
	many := make([]shared.Target, 3*maxLine)
	for i := range many {
		many[i] = key("c:" + strings.Repeat("x", 100))
	}
	if err := j.add(many, shared.Remove, 3); err != nil {
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
	if targets != 2+len(many) || j.queue[0].Targets[0] != key("c:a") || j.queue[1].Targets[0] != key("c:b") || j.queue[1].Mode != shared.Expire {
		t.Errorf("%d targets came back", targets)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if _, ok := parseLine([]byte(strings.TrimSuffix(line, "\n"))); !ok {
			t.Errorf("%.60q is not a line", line)
		}
	}
	if changed := strings.Replace(string(text), "c:a", "c:z", 1); changed == string(text) {
		t.Error("nothing to change")
	} else if _, ok := parseLine([]byte(strings.SplitN(changed, "\n", 2)[0])); ok {
		t.Error("a changed line was taken")
	}
}

// No caller waits for the journal's disk but one that promises that it has something; and those that wait are written
// together.
func TestASlowJournalDisk(t *testing.T) {
	j, err := openJournal(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	j.disk.Lock() // it is at work, for as long as this test needs
	var promised sync.WaitGroup
	for n := range 100 {
		promised.Go(func() {
			if err := j.add([]shared.Target{tag(strconv.Itoa(n))}, shared.Remove, uint64(n)); err != nil {
				t.Error(err)
			}
		})
	}
	for j.waiting.Load() < 100 {
		runtime.Gosched()
	}
	j.note([]shared.Target{shared.Target{Kind: shared.KindAll}}, shared.Remove, 100)
	oldest := j.oldest()
	j.done(oldest[:50])
	if left := j.oldest(); len(oldest) != 101 || len(left) != 51 || j.empty() {
		t.Errorf("%d, then %d", len(oldest), len(left))
	}
	j.disk.Unlock()
	promised.Wait()
	if j.lines != 101+50 {
		t.Errorf("%d lines", j.lines)
	}
	j.done(j.oldest())
	if err := j.save(); err != nil || j.lines != 0 || !j.empty() {
		t.Error(j.lines, err)
	}
}

// What a failing disk does not take is tried again, and said by each that promises.
func TestAFailingJournalDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	broken, err := os.Open(path) // it cannot be written
	if err != nil {
		t.Fatal(err)
	}
	good := j.file
	j.file = broken
	for n := range 3 {
		if err := j.add([]shared.Target{tag(strconv.Itoa(n))}, shared.Remove, 1); err == nil {
			t.Error("a write that failed is not said")
		}
	}
	j.file = good
	if err := j.add([]shared.Target{tag("3")}, shared.Remove, 1); err != nil {
		t.Fatal(err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if got := again.oldest(); len(got) != 4 || got[0].Targets[0] != tag("0") || got[3].Targets[0] != tag("3") {
		t.Errorf("%v", got)
	}
}

func key(name string) shared.Target { return shared.Target{Kind: shared.KindKey, Name: name} }

func tag(name string) shared.Target { return shared.Target{Kind: shared.KindTag, Name: name} }
