package demo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/demo"
	"github.com/forebay-cache/forebay/mcpcache"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// serveMCP is a platform with its API and its MCP server on one listener.
func serveMCP(t *testing.T, o admin.MCPOptions, ao admin.Options) (string, *admin.Admin) {
	t.Helper()
	p, err := demo.Open(t.Context(), demo.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	a := p.Admin(ao)
	mux := http.NewServeMux()
	mux.Handle("/mcp", p.MCP(a, o))
	mux.Handle("/", p.Operators(a))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, a
}

type withToken string

func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	if w != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+string(w))
	}
	return http.DefaultTransport.RoundTrip(r)
}

func connectMCP(t *testing.T, url, token string) (*mcp.ClientSession, error) {
	t.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	s, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: url + "/mcp", HTTPClient: &http.Client{Transport: withToken(token)}, DisableStandaloneSSE: true}, nil)
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

func callTool(t *testing.T, s *mcp.ClientSession, name string, in, out any) (*mcp.CallToolResult, mcpcache.Meta) {
	t.Helper()
	r, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: in})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var meta mcpcache.Meta
	into := func(from, to any) {
		text, err := json.Marshal(from)
		if err == nil && from != nil && to != nil {
			err = json.Unmarshal(text, to)
		}
		if err != nil {
			t.Fatalf("%s: %v in %s", name, err, text)
		}
	}
	into(r.StructuredContent, out)
	into(r.Meta[mcpcache.MetaKey], &meta)
	return r, meta
}

// A query is found, run and read by tools alone; what HTTP has stored is a hit for a tool and the other way round; a
// change is seen by both at once.
func TestToolsAndAPIAreOne(t *testing.T) {
	url, a := serveMCP(t, admin.MCPOptions{Loopback: true}, admin.Options{Loopback: true})
	s, err := connectMCP(t, url, "")
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (string, string) {
		res, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return string(body), res.Header.Get("Cache-Status")
	}
	if _, how := get("/api/partners?org_id=acme"); !strings.Contains(how, "uri-miss") {
		t.Fatal(how)
	}
	var partners struct {
		Count    int
		Partners []struct{ ID, Name, Status string }
	}
	if _, m := callTool(t, s, "list_partners", map[string]any{"org_id": "acme"}, &partners); m.Outcome != "hit" || partners.Count == 0 {
		t.Errorf("after HTTP: %+v, %d partners", m, partners.Count)
	}
	if _, m := callTool(t, s, "get_template", map[string]any{"template_id": "t-1"}, nil); m.Outcome != "miss" || m.TTLMs < 1_700_000 {
		t.Errorf("a template: %+v", m)
	}
	if _, how := get("/api/templates/t-1"); !strings.Contains(how, "hit") {
		t.Errorf("after a tool: %s", how)
	}
	one := partners.Partners[0]
	req, _ := http.NewRequest("PUT", url+"/api/partners/"+one.ID, strings.NewReader(`{"status":"paused"}`))
	if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	if _, m := callTool(t, s, "list_partners", map[string]any{"org_id": "acme"}, &partners); m.Outcome != "miss" || partners.Partners[0].Status != "paused" {
		t.Errorf("after a change: %+v, %+v", m, partners.Partners[0])
	}
	var query struct {
		QueryID string `json:"query_id"`
	}
	callTool(t, s, "submit_query", map[string]any{"template_id": "t-1", "parameters": map[string]any{"start_date": "2026-01-01", "end_date": "2026-02-01"}}, &query)
	if r, _ := callTool(t, s, "get_results", map[string]any{"query_id": query.QueryID}, nil); !r.IsError || !strings.Contains(textOf(r), "queued") && !strings.Contains(textOf(r), "running") {
		t.Errorf("results of a query that runs: %s", textOf(r))
	}
	var status struct {
		Query struct{ Status string } `json:"query"`
	}
	if callTool(t, s, "check_status", map[string]any{"query_id": query.QueryID}, &status); status.Query.Status == "" {
		t.Error("a query has no status")
	}
	for range 2 {
		var reply struct{ Reply string }
		if callTool(t, s, "chat", map[string]any{"org_id": "acme", "message": "Which partners are in retail?"}, &reply); !strings.Contains(reply.Reply, "retail") {
			t.Errorf("%q", reply.Reply)
		}
	}
	stats := a.Stats().MCP
	if stats == nil || stats.Calls < 8 || stats.Hits < 2 || stats.Failed != 1 {
		t.Errorf("%+v", stats)
	}
}

func textOf(r *mcp.CallToolResult) string {
	if len(r.Content) == 0 {
		return ""
	}
	t, _ := r.Content[0].(*mcp.TextContent)
	return t.Text
}

// A cold tool that is asked two hundred times at once asks the origin once.
func TestAColdToolIsAskedOnce(t *testing.T) {
	url, a := serveMCP(t, admin.MCPOptions{Loopback: true}, admin.Options{Loopback: true})
	s, err := connectMCP(t, url, "")
	if err != nil {
		t.Fatal(err)
	}
	before := a.Stats().Origin.Calls
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if r, err := s.CallTool(context.Background(), &mcp.CallToolParams{Name: "list_templates", Arguments: map[string]any{"cleanroom_id": "cr-2"}}); err != nil || r.IsError {
				t.Errorf("%v %v", r, err)
			}
		})
	}
	wg.Wait()
	if n := a.Stats().Origin.Calls - before; n != 1 {
		t.Errorf("%d calls of the origin", n)
	}
}

// The tools that a client sees follow from its token, its role, and where its requests come from.
func TestMCPRoles(t *testing.T) {
	const tokens = "alice/operate:S1,grafana/read:S2"
	all := []string{"cache_stats", "chat", "check_status", "find_entries", "get_results", "get_template", "health", "incidents", "invalidate", "list_partners", "list_templates", "receipt", "recent_misses", "submit_query"}
	plain := []string{"chat", "check_status", "get_results", "get_template", "list_partners", "list_templates", "submit_query"}
	for _, test := range []struct {
		name           string
		admin, mcp     string
		loopback       bool
		token          string
		tools          []string
		refusedBecause string
	}{
		{"here, without tokens", "", "", true, "", all, ""},
		{"elsewhere, without tokens", "", "", false, "", nil, "Forbidden"},
		{"here, tokens are set, none given", tokens, "", true, "", plain, ""},
		{"elsewhere, none given", tokens, "M", false, "", nil, "Unauthorized"},
		{"elsewhere, the MCP token", tokens, "M", false, "M", plain, ""},
		{"a wrong one", tokens, "M", true, "X", nil, "Unauthorized"},
		{"who reads", tokens, "M", false, "S2", without(all, "invalidate"), ""},
		{"who operates", tokens, "M", false, "S1", all, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			url, _ := serveMCP(t, admin.MCPOptions{Loopback: test.loopback, Token: test.mcp}, admin.Options{Token: test.admin, Loopback: test.loopback})
			s, err := connectMCP(t, url, test.token)
			if test.refusedBecause != "" {
				if err == nil || !strings.Contains(err.Error(), test.refusedBecause) {
					t.Errorf("%v, want %q", err, test.refusedBecause)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for tool, err := range s.Tools(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, tool.Name)
			}
			if fmt.Sprint(names) != fmt.Sprint(test.tools) {
				t.Errorf("%v, want %v", names, test.tools)
			}
		})
	}
}

func without(names []string, one string) (out []string) {
	for _, n := range names {
		if n != one {
			out = append(out, n)
		}
	}
	return out
}

// A page of another origin, and a name that was bound to this machine, reach nothing.
func TestMCPOfOtherOrigins(t *testing.T) {
	url, _ := serveMCP(t, admin.MCPOptions{Loopback: true}, admin.Options{Loopback: true})
	for name, change := range map[string]func(*http.Request){
		"origin": func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"site":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"host":   func(r *http.Request) { r.Host = "evil.example" },
		"proxy":  func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") },
	} {
		r, _ := http.NewRequest("POST", url+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`))
		for k, v := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"} {
			r.Header.Set(k, v)
		}
		change(r)
		if res, err := http.DefaultClient.Do(r); err != nil || res.StatusCode != 403 {
			t.Errorf("%s: %v %v", name, res.StatusCode, err)
		}
	}
}

// An operator's tools say first what an invalidation would reach; resources hold no secrets.
func TestOperatorsTools(t *testing.T) {
	url, a := serveMCP(t, admin.MCPOptions{}, admin.Options{Token: "alice/operate:S3CRET", Requirements: "# Requirements"})
	s, err := connectMCP(t, url, "S3CRET")
	if err != nil {
		t.Fatal(err)
	}
	callTool(t, s, "list_partners", map[string]any{"org_id": "dune"}, nil)
	var out struct {
		Done    bool
		Entries int
	}
	if callTool(t, s, "invalidate", map[string]any{"tag": "org:dune"}, &out); out.Done || out.Entries != 1 {
		t.Errorf("before: %+v", out)
	}
	if _, m := callTool(t, s, "list_partners", map[string]any{"org_id": "dune"}, nil); m.Outcome != "hit" {
		t.Error("it was done without confirmation")
	}
	if callTool(t, s, "invalidate", map[string]any{"tag": "org:dune", "confirm": true}, &out); !out.Done {
		t.Errorf("then: %+v", out)
	}
	by := ""
	for _, i := range a.Activity() {
		if i.Kind == "audit" {
			by = i.By
		}
	}
	if !strings.HasPrefix(by, "alice, ") {
		t.Errorf("done by %q", by)
	}
	if r, _ := callTool(t, s, "invalidate", map[string]any{"tag": "a", "class": "b"}, nil); !r.IsError || !strings.Contains(textOf(r), "exactly one") {
		t.Errorf("two targets: %s", textOf(r))
	}
	for name, want := range map[string]string{"health": `"status":"ok"`, "cache_stats": `"hit_rate"`, "recent_misses": `org_id=dune`, "incidents": `"incidents":[]`, "find_entries": `"count"`} {
		if r, _ := callTool(t, s, name, map[string]any{}, nil); r.IsError || !strings.Contains(textOf(r), want) && name != "recent_misses" {
			t.Errorf("%s: %.300s", name, textOf(r))
		}
	}
	list, err := s.ListResources(t.Context(), nil)
	if err != nil || len(list.Resources) != 4 {
		t.Fatalf("%+v %v", list, err)
	}
	for _, one := range list.Resources {
		r, err := s.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: one.URI})
		if err != nil || len(r.Contents[0].Text) < 5 || strings.Contains(r.Contents[0].Text, "S3CRET") || r.CacheScope != "private" {
			t.Errorf("%s: %v", one.URI, err)
		}
	}
	for name, arguments := range map[string]map[string]string{"low_hit_rate": {"class": "chat"}, "safe_to_cache": {"route": "GET /x"}} {
		p, err := s.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: name, Arguments: arguments})
		if err != nil || len(p.Messages) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is not a request of the protocol gets its error, and stores nothing.
func TestMCPBadInput(t *testing.T) {
	url, a := serveMCP(t, admin.MCPOptions{Loopback: true}, admin.Options{Loopback: true})
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	for _, test := range []struct {
		name, method, tool, body, version string
		status                            int
		says                              string
	}{
		{"unknown tool", "tools/call", "nothing", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nothing",` + meta + `}}`, "2026-07-28", 400, "-32602"},
		{"unknown method", "tools/dance", "", `{"jsonrpc":"2.0","id":1,"method":"tools/dance","params":{` + meta + `}}`, "2026-07-28", 404, "-32601"},
		{"unknown revision", "tools/list", "", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2099-01-01","io.modelcontextprotocol/clientCapabilities":{}}}}`, "2099-01-01", 400, "-32022"},
		{"another method in the header", "tools/list", "list_partners", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_partners",` + meta + `}}`, "2026-07-28", 400, "-32020"},
		{"a wrong type", "tools/call", "list_partners", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_partners","arguments":{"org_id":[1]},` + meta + `}}`, "2026-07-28", 200, "org_id"},
		{"one argument too many", "tools/call", "list_partners", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_partners","arguments":{"org_id":"acme","x":1},` + meta + `}}`, "2026-07-28", 200, "isError"},
		{"no JSON", "tools/call", "list_partners", `{"jsonrpc":`, "2026-07-28", 400, ""},
		{"too large", "tools/call", "list_partners", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_partners","arguments":{"org_id":"` + strings.Repeat("x", 2<<20) + `"},` + meta + `}}`, "2026-07-28", 413, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := http.NewRequestWithContext(t.Context(), "POST", url+"/mcp", strings.NewReader(test.body))
			for k, v := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": test.version, "Mcp-Method": test.method, "Mcp-Name": test.tool} {
				if v != "" {
					r.Header.Set(k, v)
				}
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != test.status || !strings.Contains(string(body), test.says) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
	if n := a.Stats().Near.Entries; n != 0 {
		t.Errorf("%d entries", n)
	}
}
