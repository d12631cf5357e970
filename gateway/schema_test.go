package gateway_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay/gateway"
	"github.com/goccy/go-yaml"
	"github.com/google/jsonschema-go/jsonschema"
)

// The schema has the fields that the file has, at each place: what the reader says there are, when it meets one that is not.
func TestSchemaHasTheFields(t *testing.T) {
	var schema any
	if err := json.Unmarshal(gateway.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	at := func(path string) (names []string) {
		node := schema
		for _, name := range strings.Fields(path) {
			node = node.(map[string]any)[name]
		}
		for name := range node.(map[string]any)["properties"].(map[string]any) {
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	said := regexp.MustCompile(`unknown field "zzz": there are ([^\n]*)`)
	for path, file := range map[string]string{
		"":                                   "zzz: 1",
		"properties limits":                  "limits: {zzz: 1}",
		"properties cdn":                     "cdn: {vendor: none, zzz: 1}",
		"properties listen":                  "listen: {zzz: 1}",
		"$defs compression":                  "compression: {zzz: 1}",
		"properties listen properties acme":  "listen: {acme: {domains: [a.example], zzz: 1}}",
		"properties listen properties tls":   "listen: {tls: {cert: a, key: b, zzz: 1}}",
		"properties integrity":               "integrity: {zzz: 1}",
		"$defs class":                        "classes: {a: {zzz: 1}}",
		"$defs origin":                       "origins: {a: {servers: [http://a], zzz: 1}}",
		"$defs origin properties health":     "origins: {a: {servers: [http://a], health: {zzz: 1}}}",
		"$defs origin properties tls":        "origins: {a: {servers: [http://a], tls: {zzz: 1}}}",
		"$defs route":                        "routes: [{match: GET /x, zzz: 1}]",
		"$defs route properties query":       "routes: [{match: GET /x, query: {zzz: 1}}]",
		"$defs route properties set_headers": "routes: [{match: GET /x, set_headers: {zzz: {}}}]",
		"$defs route properties auth":        "routes: [{match: GET /x, auth: {zzz: 1}}]",
		"$defs route properties body_key":    "routes: [{match: POST /x, body_key: {zzz: 1}}]",
		"$defs route properties mcp":         "routes: [{mcp: {name: a, zzz: 1}}]",
	} {
		_, err := gateway.ParseConfig([]byte("origin: http://a\n" + file))
		m := said.FindStringSubmatch(fmt.Sprint(err))
		if path == "" {
			_, err = gateway.ParseConfig([]byte(file))
			m = said.FindStringSubmatch(fmt.Sprint(err))
		}
		if m == nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if got := strings.Join(at(path), ", "); got != m[1] {
			t.Errorf("%q: the schema has %s\nthe file has %s", path, got, m[1])
		}
	}
}

// What the reader takes is good by the schema, and mistakes in kind are not.
func TestSchemaTakesGoodFiles(t *testing.T) {
	var schema jsonschema.Schema
	if err := json.Unmarshal(gateway.Schema, &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	check := func(text string) error {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		return resolved.Validate(v)
	}
	page, err := os.ReadFile("../docs/gateway.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	manual, _, _ := strings.Cut(rest, "```")
	manual = strings.ReplaceAll(manual, "[http://10.0.0.1:9200,", `["http://10.0.0.1:9200",`) // see unsplit
	for _, text := range []string{good, mcpFile, manual} {
		if err := check(text); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
	for _, text := range []string{"origin: ftp://x", "profile: lax", "classes: {a: {ttl: 15}}", "routes: [{ttl: 1m}]", "origins: {a: {servers: []}}", "limits: {requests: 0}", "routes: [{match: GET /x, auth: {url: http://a}}]"} {
		if check(text) == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
