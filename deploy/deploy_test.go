// Package deploy holds the blueprints; its tests compare them with the command.
package deploy

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/jsonschema-go/jsonschema"
)

// reads are the variables that the command reads: those its sources name, and FOREBAY_ and a flag.
func reads(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, file := range []string{"demo.go", "serve.go", "listen.go", "client.go", "mcp.go"} {
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
			if named := regexp.MustCompile("name:\"([a-z-]+)\"").FindStringSubmatch(m[0]); named != nil {
				known["FOREBAY_"+strings.ToUpper(strings.ReplaceAll(named[1], "-", "_"))] = true
				continue
			}
			snake := regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(m[1], "${1}_$2")
			known["FOREBAY_"+strings.ToUpper(snake)] = true
		}
	}
	return known
}

type service struct {
	Name    string
	EnvVars []struct{ Key string } `yaml:"envVars"`
}

func TestTheBlueprintSetsWhatTheCommandReads(t *testing.T) {
	text, err := os.ReadFile("render.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var anything any
	if err := yaml.Unmarshal(text, &anything); err != nil {
		t.Fatal(err)
	}
	rules, err := os.ReadFile("render.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(rules, &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := resolved.Validate(anything); err != nil {
		t.Errorf("render.yaml is not what the specification allows: %v", err)
	}
	var blueprint struct {
		Services []service
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
	for _, name := range []string{"forebay-cache", "forebay", "forebay-gateway"} {
		if !slices.ContainsFunc(blueprint.Services, func(s service) bool { return s.Name == name }) {
			t.Errorf("no service %s", name)
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

// What every blueprint sets is what the command reads.
func TestBlueprintsSetWhatTheCommandReads(t *testing.T) {
	known := reads(t)
	known["FOREBAY_LOG_FORMAT"] = known["FOREBAY_LOG_FORMAT"] || known["FOREBAY_LOG"]
	n := 0
	for _, file := range []string{"compose/compose.yaml", "helm/forebay/templates/deployment.yaml", "k8s/forebay.yaml", "systemd/default", "render.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\b(?:FOREBAY_[A-Z_]+|REDIS_URL|DATABASE_URL)\b`).FindAllString(string(text), -1) {
			n++
			if !known[name] {
				t.Errorf("%s names %s, which the command does not read", file, name)
			}
		}
	}
	if n < 12 {
		t.Errorf("%d variables found", n)
	}
}
