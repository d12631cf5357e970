// Package arch proves the architecture: which package may import which, and why.
package arch

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const module = "github.com/forebay-cache/forebay"

// A rule names the packages of ours that a package may import, the standard library aside, and the
// outside modules it may use. What is not listed is forbidden.
type rule struct {
	may []string
	why string
}

var rules = map[string]rule{
	"":                      {[]string{"shared", "internal/", "github.com/maypok86/otter", "github.com/fxamacker/cbor", "github.com/klauspost/compress/zstd"}, "the core knows nothing of HTTP, Redis, metrics or pages: whoever uses it pays for nothing else"},
	"shared":                {nil, "a leaf: who writes a tier depends on nothing else"},
	"shared/sharedtest":     {[]string{"shared"}, "the contract knows the interface alone"},
	"redis":                 {[]string{"shared", "github.com/redis/rueidis", "github.com/sony/gobreaker"}, "a shared tier knows the interface of one, and one client"},
	"redis/types":           {nil, "tests alone, apart because they take long to compile"},
	"internal/postgrestest": {[]string{"internal/redistest", "github.com/jackc/pgx"}, "starts a process; knows nothing of ours but how a port is found"},
	"internal/redistest":    {nil, "starts processes; knows nothing of ours"},
	"httpcache":             {[]string{"", "internal/canon", "internal/coding", "github.com/dunglas/httpsfv", "github.com/fxamacker/cbor"}, "the HTTP cache stands on the core alone"},
	"gateway":               {[]string{"", "internal/lane", "internal/static", "shared", "httpcache", "mcpcache", "edge", "relay", "github.com/goccy/go-yaml", "golang.org/x/time"}, "the gateway adds a file and the way to an origin to the HTTP cache"},
	"edge":                  {[]string{"", "shared", "golang.org/x/time"}, "what stands above reads the log of the core; it knows no vendor's interface"},
	"audit":                 {[]string{"", "shared"}, "it follows the core's log, and asks others by HTTP alone"},
	"relay":                 {[]string{"shared", "internal/codec", "github.com/fxamacker/cbor"}, "a shared tier knows the interface of one, and HTTP"},
	"edge/cdn":              {[]string{"edge", "github.com/aws/aws-sdk-go-v2"}, "the vendors' interfaces, and nothing else"},
	"metrics":               {[]string{"", "github.com/prometheus"}, "it reads the core's statistics, and listens to it"},
	"otel":                  {[]string{"", "go.opentelemetry.io/otel"}, "it is told the core's steps"},
	"forebaytest":           {[]string{"", "shared"}, "for the tests of programs: the core, and a tier in memory"},
	"admin":                 {[]string{"", "metrics", "audit", "edge", "shared", "github.com/prometheus", "github.com/danielgtaylor/huma", "internal/coding", "golang.org/x/time", "github.com/modelcontextprotocol/go-sdk"}, "operators' views read the core; nothing of the demo or the gateway may leak into them"},
	"web":                   {[]string{"internal/static"}, "the pages know the operations by their addresses alone"},
	"edge/cdn/cdntest":      {[]string{"internal/redistest"}, "a CDN for tests knows nothing of ours"},
	"demo":                  {[]string{"", "edge", "shared", "httpcache", "mcpcache", "admin", "demo/origin", "github.com/modelcontextprotocol/go-sdk", "github.com/google/jsonschema-go", "github.com/alexedwards/scs", "internal/coding", "golang.org/x/"}, "the platform is the example users copy: it uses the public API only, but for how its answers are compressed"},
	"demo/origin":           {[]string{"modernc.org/sqlite", "github.com/jackc/pgx"}, "an origin knows nothing of caches"},
	"cmd/forebay":           {[]string{"", "otel", "shared", "httpcache", "admin", "demo", "demo/origin", "gateway", "audit", "edge", "edge/cdn", "relay", "redis", "web", "docs", "internal/", "github.com/alecthomas/kong", "go.opentelemetry.io/", "github.com/modelcontextprotocol/go-sdk", "github.com/pires/go-proxyproto", "github.com/quic-go/quic-go", "github.com/caddyserver/certmagic", "github.com/mholt/acmez", "go.uber.org/zap", "golang.org/x/time"}, "the command wires everyone"},
	"internal/arch":         {nil, "it reads the others' imports from outside"},
	"internal/framing":      {nil, "a leaf: it reads bytes"},
	"internal/lane":         {[]string{"internal/framing", "github.com/maypok86/otter"}, "it compares bytes: what a request means, and what is stored, others know"},
	"security":              {[]string{"internal/", "golang.org/x/net"}, "attacks the binary from outside"},
	"internal/keys":         {[]string{"internal/shape"}, "a leaf: types and text"},
	"internal/canon":        {nil, "a leaf: text"},
	"internal/static":       {[]string{"internal/coding"}, "a leaf: files, and how they are said to be kept"},
	"internal/certstore":    {[]string{"shared", "github.com/caddyserver/certmagic"}, "a storage of certmagic's, on the shared tier"},
	"internal/coding":       {[]string{"github.com/andybalholm/brotli", "github.com/klauspost/compress"}, "a leaf: bytes, and the fields that speak of them"},
	"mcpcache":              {[]string{"", "shared", "internal/canon", "github.com/modelcontextprotocol/go-sdk"}, "the cache of MCP stands on the core alone, and on the protocol's official library"},
	"internal/codec":        {[]string{"shared", "internal/shape", "github.com/fxamacker/cbor", "github.com/klauspost/compress/zstd"}, "a leaf: bytes; the records of the log are what it signs"},
	"internal/hits":         {nil, "a leaf: it counts"},
	"internal/replica":      {[]string{"shared", "internal/codec"}, "a node's copy of the log knows the log, and nothing of entries and loads"},
	"internal/size":         {[]string{"google.golang.org/protobuf"}, "a leaf: it measures values"},
	"internal/shape":        {[]string{"github.com/fxamacker/cbor"}, "a leaf: types and values, and what a codec makes of them"},
	"internal/memlimit":     {nil, "a leaf"},
	"internal/plan":         {[]string{"github.com/maypok86/otter"}, "it reads logs, and runs the near tier's policy without a cache"},
	"internal/mechanism":    {nil, "it runs the tests of others"},
	"docs":                  {[]string{"internal/"}, "the manual's own tests"},
	"docs/recipes/go":       {nil, "an API that knows nothing of ours"},
	"deploy":                {nil, "the blueprints' own tests"},
	"deploy/release":        {nil, "it builds what others import"},
}

type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
	Module     struct{ Path string }
}

func TestArrowsPointInwards(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		r, ok := rules[name]
		if !ok {
			t.Errorf("package %q has no rule: say here what it may import, and why", name)
			continue
		}
		for _, imp := range p.Imports {
			if !allowed(imp, r.may) {
				t.Errorf("%q must not import %q: %s", name, imp, r.why)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range list(t) {
		if p.Doc == "" && p.Imports != nil {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func allowed(imp string, may []string) bool {
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	ours, isOurs := strings.CutPrefix(imp, module)
	ours = strings.TrimPrefix(ours, "/")
	for _, m := range may {
		switch {
		case isOurs && (ours == m || strings.HasSuffix(m, "/") && strings.HasPrefix(ours, m)):
			return true
		case !isOurs && m != "" && strings.HasPrefix(imp, m):
			return true
		}
	}
	return false
}

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,Module", module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// What a reader of English stumbles over: things are it and they, a relative clause has a noun, "is not a valid X".
var odd = regexp.MustCompile(`\b(he|his|him)\b|\banew\b|\b(that|which|it) is none\b|\bat hand\b|\bfor ever\b|// (Who|Whoever) [a-z]`)

func TestPlainEnglish(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "node_modules" || name == ".git" || name == "dist") {
			return filepath.SkipDir
		}
		switch ext := filepath.Ext(path); {
		case ext != ".go" && ext != ".md" || strings.HasSuffix(path, "arch_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			if word := odd.FindString(line); word != "" {
				t.Errorf("%s:%d: %q: %s", path, i+1, word, strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
