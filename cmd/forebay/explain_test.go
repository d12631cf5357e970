package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// explain says what the gateway makes of a request, in words and as JSON, and what to write instead of a mistake.
func TestExplainCommand(t *testing.T) {
	gateway, operators, _ := start(t, "serve", "--origin", startOrigin(t), "--cache", "GET /api/partners=15m")
	explain := func(want int, args ...string) string {
		t.Helper()
		var b bytes.Buffer
		if code := run(t.Context(), append([]string{"explain", "--node", operators}, args...), &b, &b); code != want {
			t.Errorf("%v: exit %d, want %d: %s", args, code, want, b.String())
		}
		return b.String()
	}
	url := gateway + "/api/partners?org_id=acme"
	if text := explain(0, "GET", url); !regexp.MustCompile(`(?s)now +miss: uri-miss.*rule +GET /api/partners.*query: org_id=acme.*stored +nothing`).MatchString(text) {
		t.Errorf("before:\n%s", text)
	}
	fetch(t, url)
	loaded(t, operators)
	if text := explain(0, "GET", url); !strings.Contains(text, "with Accept-Encoding: gzip it would be found") {
		t.Errorf("without the field that Go's client sends:\n%s", text)
	}
	text := explain(0, "get", url, "-H", "Accept-Encoding: gzip")
	if !regexp.MustCompile(`(?s)now +hit\n.*stored +200, \d+ bytes, in the near tier, .* old\n +fresh until .*tags uri:`).MatchString(text) {
		t.Errorf("after:\n%s", text)
	}
	if text := explain(0, "GET", url, "-H", "Accept: text/html"); !strings.Contains(text, "Accept: text/html") || !strings.Contains(text, "uri-miss") {
		t.Errorf("another form:\n%s", text)
	}
	if text := explain(0, "GET", url, "--json", "-H", "Accept-Encoding: gzip"); !strings.Contains(text, `"would":"hit"`) {
		t.Errorf("as JSON: %s", text)
	}
	if text := explain(0, "GET", url, "-H", "host: other.test"); !strings.Contains(text, "GET other.test/api/partners") {
		t.Errorf("another host:\n%s", text)
	}
	if text := explain(exitFailed, "GET", url, "-H", "X Y: 1"); !strings.Contains(text, "no request can have such a field") {
		t.Errorf("no field: %s", text)
	}
	if text := explain(exitFailed, "GET", gateway+"/%zz"); !strings.Contains(text, "invalid URL escape") {
		t.Errorf("no URL: %s", text)
	}
	explain(exitUsage, "GET", url, "-H", "nothing")
	if text := explain(0, "GET", gateway+"/api/partners?org_id=dune", "--ask"); !regexp.MustCompile(`(?s)asked +200, \d+ bytes in \d+ ms: forebay; fwd=uri-miss; stored\nnow +hit\n`).MatchString(text) {
		t.Errorf("asked:\n%s", text)
	}
	if text := explain(exitFailed, "DELETE", url, "--ask"); !strings.Contains(text, "may change something at the origin") {
		t.Errorf("asked to delete: %s", text)
	}
	if text := explain(exitFailed, "GET", "/api/partners"); !strings.Contains(text, "write it whole") {
		t.Errorf("half a URL: %s", text)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: operators + "/mcp", DisableStandaloneSSE: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	r, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "explain", Arguments: map[string]any{"url": url, "headers": map[string]string{"Accept-Encoding": "gzip"}, "value": true}})
	if err != nil || r.IsError || !strings.Contains(r.Content[0].(*mcp.TextContent).Text, `"would":"hit"`) {
		t.Errorf("as a tool: %v %+v", err, r)
	}
	_, demo, _ := startDemo(t)
	var b bytes.Buffer
	if code := run(t.Context(), []string{"explain", "--node", demo, "GET", url}, &b, &b); code != exitFailed || !strings.Contains(b.String(), "ask a gateway") {
		t.Errorf("the platform: %d %s", code, b.String())
	}
}
