// Package deploy holds the blueprints; its tests compare them with the command.
package deploy

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// reads are the variables that the command reads: those its sources name, and FOREBAY_ and a flag.
func reads(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, file := range []string{"demo.go", "listen.go", "client.go", "mcp.go"} {
		source, err := os.ReadFile("../cmd/forebay/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?:Getenv\("|env:")([A-Z_,]+)"`).FindAllStringSubmatch(string(source), -1) {
			for name := range strings.SplitSeq(m[1], ",") {
				known[name] = true
			}
		}
		for _, m := range regexp.MustCompile("(?m)^\t([A-Z]\\w+) +\\S+ +`.*help:").FindAllStringSubmatch(string(source), -1) {
			snake := regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(m[1], "${1}_$2")
			known["FOREBAY_"+strings.ToUpper(snake)] = true
		}
	}
	return known
}

func TestTheBlueprintSetsWhatTheCommandReads(t *testing.T) {
	text, err := os.ReadFile("render.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var blueprint struct {
		Services []struct {
			Name    string
			EnvVars []struct{ Key string } `yaml:"envVars"`
		}
	}
	if err := yaml.Unmarshal(text, &blueprint); err != nil {
		t.Fatal(err)
	}
	known := reads(t)
	if !known["FOREBAY_ACCESS_LOG"] || !known["REDIS_URL"] || !known["PORT"] {
		t.Fatalf("the sources were not read: %v", known)
	}
	for _, s := range blueprint.Services {
		for _, v := range s.EnvVars {
			if !known[v.Key] {
				t.Errorf("%s sets %s, which the command does not read", s.Name, v.Key)
			}
		}
	}
	for _, want := range []string{"maxmemoryPolicy: volatile-lru", "ipAllowList: []", "healthCheckPath: /health/live", "dockerfilePath: ./deploy/Dockerfile"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the blueprint does not say %q", want)
		}
	}
}

func TestTheImageRunsAsNobody(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	known := reads(t)
	for _, m := range regexp.MustCompile(`(?m)^ENV (\w+)=`).FindAllStringSubmatch(string(text), -1) {
		if !known[m[1]] {
			t.Errorf("the image sets %s, which the command does not read", m[1])
		}
	}
	if !strings.Contains(string(text), "\nUSER 65532:65532\n") {
		t.Error("the image runs as root")
	}
}
