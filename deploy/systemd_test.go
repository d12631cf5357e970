package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// systemd itself reads the units, and judges how much of the system they leave open.
func TestSystemdTakesTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatal("systemd-analyze is not installed: apt-get install systemd")
	}
	unit, err := filepath.Abs("systemd/forebay.service")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", "--no-pager", unit).CombinedOutput() // tenths
	if err != nil {
		t.Errorf("exposure: %v\n%s", err, out)
	}
	// verify looks for the program that the unit starts: this one stands for it.
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	here := strings.ReplaceAll(string(text), "/usr/bin/forebay", "/bin/true")
	here = regexp.MustCompile(`(?m)^Documentation=.*\n`).ReplaceAllString(here, "") // man is not installed everywhere
	socket, err := os.ReadFile("systemd/forebay.socket")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"forebay.service": here, "forebay.socket": string(socket)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err = exec.Command(analyze, "verify", "--man=no", filepath.Join(dir, "forebay.socket"), filepath.Join(dir, "forebay.service")).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "forebay") {
			t.Errorf("verify: %s", line)
		}
	}
	if err != nil && strings.Contains(string(out), "forebay") {
		t.Errorf("verify: %v", err)
	}
}
