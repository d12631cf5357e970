package deploy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// exports are the metrics that the sources declare.
func exports(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../admin/*.go")
	if err == nil {
		var more []string
		more, err = filepath.Glob("../metrics/*.go")
		files = append(files, more...)
	}
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`= desc\("([a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
			known["forebay_"+m[1]] = true
		}
	}
	return known
}

// used are the metrics that a text names, but for what the rules record themselves.
func used(text string) []string {
	return regexp.MustCompile(`\bforebay_[a-z_]+`).FindAllString(text, -1)
}

func TestRulesAndDashboardNameWhatIsExported(t *testing.T) {
	known := exports(t)
	if len(known) < 20 {
		t.Fatalf("the sources declare %d metrics", len(known))
	}
	shown := map[string]bool{}
	for _, file := range []string{"prometheus/forebay.rules.yml", "prometheus/forebay.test.yml", "grafana/forebay.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range used(string(text)) {
			if name = strings.TrimSuffix(name, "_bucket"); !known[name] {
				t.Errorf("%s: nothing exports %s", file, name)
			}
			shown[name] = true
		}
	}
	for name := range known {
		if !shown[name] {
			t.Logf("neither shown nor watched: %s", name)
		}
	}
}

// The dashboard is one that Grafana can read: panels with a title, a query and a place that no other has.
func TestTheDashboardIsWhole(t *testing.T) {
	text, err := os.ReadFile("grafana/forebay.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		UID, Title    string
		SchemaVersion int
		Panels        []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr, RefID string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion == 0 || len(d.Panels) < 10 {
		t.Fatalf("%q %q %d, %d panels", d.UID, d.Title, d.SchemaVersion, len(d.Panels))
	}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			if target.Expr == "" || target.RefID == "" {
				t.Errorf("%s: a target without a query", p.Title)
			}
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x > 23 {
					t.Fatalf("%s lies over %q, or beyond the page", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// Prometheus' own tool checks the rules, and lives through what they are for.
func TestRules(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "forebay.rules.yml"}, {"test", "rules", "forebay.test.yml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = "prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v: %s (install: sh internal/install.sh)", strings.Join(args, " "), err, out)
		}
	}
}

// Every query of the dashboard is PromQL.
func TestTheDashboardsQueries(t *testing.T) {
	text, err := os.ReadFile("grafana/forebay.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	fill := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$class", ".*")
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expr, err := json.Marshal(fill.Replace(target.Expr))
			if err != nil {
				t.Fatal(err)
			}
			rules.WriteString("  - {record: 'x:x', expr: " + string(expr) + "}\n")
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("promtool", "check", "rules", "--lint=none", file).CombinedOutput()
	if err != nil {
		t.Errorf("promtool: %v: %s", err, out)
	}
}
