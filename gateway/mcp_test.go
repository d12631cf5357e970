package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/gateway"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type echoIn struct {
	Text string `json:"text"`
}

// An mcpWorld is an MCP server that knows nothing of caches, behind a gateway.
type mcpWorld struct {
	t     *testing.T
	url   string
	calls atomic.Int64
	g     *gateway.Gateway
}

const mcpFile = `
origin: http://127.0.0.1:1
classes:
  tools: {ttl: 1m, load_timeout: 2s}
routes:
  - mcp: {method: tools/call, name: get_*}
    class: tools
  - mcp: {method: tools/call, name: public_*}
    class: tools
    shared: true
  - mcp: {method: tools/call, name: change_*, invalidates: [get_echo]}
    class: tools
  - mcp: {method: tools/list}
    class: tools
    shared: true
`

func openMCP(t *testing.T, json bool) *mcpWorld {
	t.Helper()
	config, err := gateway.ParseConfig([]byte(mcpFile))
	if err != nil {
		t.Fatal(err)
	}
	config.Origin = ""
	w := &mcpWorld{t: t}
	server := mcp.NewServer(&mcp.Implementation{Name: "origin", Version: "1"}, nil)
	for _, name := range []string{"get_echo", "public_echo", "set_echo", "get_error", "get_slow", "get_input", "change_echo"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(ctx context.Context, req *mcp.CallToolRequest, in echoIn) (*mcp.CallToolResult, any, error) {
			n := w.calls.Add(1)
			switch {
			case name == "get_error":
				return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: "no"}}}, nil, nil
			case name == "get_slow" && in.Text == "hang":
				<-ctx.Done()
			case name == "get_slow":
				time.Sleep(200 * time.Millisecond)
			case name == "get_input":
				return &mcp.CallToolResult{RequestState: fmt.Sprint(n), InputRequests: mcp.InputRequestMap{}}, nil, nil
			}
			return nil, map[string]any{"text": in.Text, "call": n, "big": 9007199254740993, "who": req.Extra.Header.Get("Authorization")}, nil
		})
	}
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: json, PropagateRequestCancellation: true, DisableLocalhostProtection: true})
	w.g, w.url = front(t, config, h)
	return w
}

const mcpMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}%s}`

type mcpAnswer struct {
	status int
	header http.Header
	body   string
	ID     json.RawMessage
	Result struct {
		Structured struct {
			Call int
			Who  string
		} `json:"structuredContent"`
		TTLMs int64  `json:"ttlMs"`
		Scope string `json:"cacheScope"`
	}
	Error struct{ Code int }
}

// ask sends a request as it is written: by a client whose id, token of progress and traces are its own.
func (w *mcpWorld) ask(method, name, arguments string, id any, fields ...string) (a mcpAnswer) {
	w.t.Helper()
	params := fmt.Sprintf(mcpMeta, fmt.Sprintf(`,"progressToken":%v,"traceparent":%q`, id, fmt.Sprint(id)))
	if name != "" {
		params = fmt.Sprintf(`"name":%q,"arguments":%s,%s`, name, arguments, params)
	}
	text := fmt.Sprintf(`{ "jsonrpc":"2.0", "id":%v, "method":%q, "params":{%s}}`, id, method, params)
	r, err := http.NewRequestWithContext(w.t.Context(), "POST", w.url+"/mcp", strings.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	for k, v := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": method} {
		r.Header.Set(k, v)
	}
	if name != "" {
		r.Header.Set("Mcp-Name", name)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Error(err)
		return a
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	a.status, a.header, a.body = res.StatusCode, res.Header, string(b)
	for line := range strings.Lines(a.body) {
		line = strings.TrimPrefix(line, "data: ")
		if strings.HasPrefix(line, "{") {
			json.Unmarshal([]byte(line), &a)
		}
	}
	return a
}

// An MCP server in any language gets its caching from the gateway: by its tools' names, each client with its own id.
func TestMCPServerBehindTheGateway(t *testing.T) {
	for _, form := range []bool{true, false} {
		t.Run(map[bool]string{true: "json", false: "stream"}[form], func(t *testing.T) {
			w := openMCP(t, form)
			first := w.ask("tools/call", "get_echo", `{"text":"a"}`, 7)
			again := w.ask("tools/call", "get_echo", `{ "text" : "a" }`, `"eight"`)
			if string(first.ID) != "7" || string(again.ID) != `"eight"` || first.Result.Structured.Call != 1 || again.Result.Structured.Call != 1 {
				t.Errorf("%s\nthen %s", first.body, again.body)
			}
			if how := again.header.Get("Cache-Status"); !strings.Contains(how, "hit") || !strings.Contains(first.header.Get("Cache-Status"), "uri-miss") {
				t.Errorf("%q", how)
			}
			if !strings.Contains(again.body, "9007199254740993") || !strings.Contains(again.body, `"outcome":"hit"`) {
				t.Errorf("%s", again.body)
			}
			if stream := strings.HasPrefix(again.header.Get("Content-Type"), "text/event-stream"); stream == form {
				t.Errorf("as %s", again.header.Get("Content-Type"))
			}
			w.ask("tools/call", "get_echo", `{"text":"b"}`, 1)
			for i := range 2 {
				w.ask("tools/call", "set_echo", `{"text":"a"}`, i)
			}
			if n := w.calls.Load(); n != 4 {
				t.Errorf("%d calls, want 4: what no rule names is not cached, and takes nothing with it", n)
			}
			if again := w.ask("tools/call", "get_echo", `{"text":"a"}`, 9); again.Result.Structured.Call != 1 {
				t.Errorf("after other calls: %s", again.body)
			}
			one, two := w.ask("tools/call", "get_echo", `{"text":"a"}`, 1, "Authorization", "Bearer one"), w.ask("tools/call", "get_echo", `{"text":"a"}`, 1, "Authorization", "Bearer two")
			if one.Result.Structured.Who != "Bearer one" || two.Result.Structured.Who != "Bearer two" {
				t.Errorf("%s\n%s", one.body, two.body)
			}
			w.ask("tools/call", "public_echo", `{"text":"a"}`, 1, "Authorization", "Bearer one")
			if two := w.ask("tools/call", "public_echo", `{"text":"a"}`, 1, "Authorization", "Bearer two"); two.Result.Structured.Who != "Bearer one" {
				t.Errorf("shared: %s", two.body)
			}
		})
	}
}

func TestMCPErrorsBehindTheGateway(t *testing.T) {
	w := openMCP(t, false)
	for _, name := range []string{"get_error", "get_input", "get_unknown"} {
		for range 2 {
			if a := w.ask("tools/call", name, `{"text":"a"}`, 3); string(a.ID) != "3" {
				t.Errorf("%s: %s", name, a.body)
			}
		}
	}
	if a := w.ask("tools/call", "get_echo", `{"text":1}`, 3); !strings.Contains(a.body, "isError") {
		t.Errorf("a wrong type: %s", a.body)
	}
	for name, fields := range map[string][]string{"method": {"Mcp-Method", "tools/list"}, "name": {"Mcp-Name", "set_echo"}} {
		if a := w.ask("tools/call", "get_echo", `{"text":"a"}`, 3, fields...); a.status != 400 || a.Error.Code != -32020 || string(a.ID) != "3" {
			t.Errorf("another %s in the header: %d %s", name, a.status, a.body)
		}
	}
	if a := w.ask("tools/call", "get_echo", `{"text":"a","text":"b"}`, 3); strings.Contains(a.header.Get("Cache-Status"), "stored") {
		t.Errorf("ambiguous: %v", a.header)
	}
	if n := w.g.Cache().Stats().Near.Entries; n != 0 {
		t.Errorf("%d entries", n)
	}
	w.ask("tools/call", "get_echo", `{"text":"a"}`, 3)
	for _, id := range []string{"null", "1.5", `{"a":1}`, "[1]", "true"} { // their server refuses them, and so nothing that is stored answers
		if a := w.ask("tools/call", "get_echo", `{"text":"a"}`, id); strings.Contains(a.header.Get("Cache-Status"), "hit") {
			t.Errorf("the id %s has a hit", id)
		}
	}
	begun := time.Now()
	if a := w.ask("tools/call", "get_slow", `{"text":"hang"}`, 3); !strings.Contains(a.body, "isError") || time.Since(begun) > 10*time.Second {
		t.Errorf("a tool that hangs: %s after %s", a.body, time.Since(begun))
	}
}

// A server that keeps its stream open after the result, requests without parameters, and fields that a rule names.
func TestMCPOddServers(t *testing.T) {
	var seen atomic.Value
	config, err := gateway.ParseConfig([]byte("origin: http://127.0.0.1:1\nclasses: {tools: {ttl: 1m, load_timeout: 5s}}\nroutes:\n  - mcp: {name: '*', arguments: [a]}\n    class: tools\n    headers: [x-tenant]\n"))
	if err != nil {
		t.Fatal(err)
	}
	config.Origin = ""
	_, url := front(t, config, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Clone())
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, ": hello\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"forebay\",\ndata: \"result\":{\"content\":[],\"tenant\":%q}}\n\n", r.Header.Get("X-Tenant"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	ask := func(body, tenant string) string {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", url+"/mcp", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		r.Header.Set("X-Tenant", tenant)
		r.Header.Set("X-Other", "one client's")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.Header.Get("Cache-Status") + " " + string(b)
	}
	begun := time.Now()
	for _, body := range []string{`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":null}`, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`} {
		if got := ask(body, "a"); !strings.Contains(got, `"tenant":"a"`) || !strings.Contains(got, `"id":1`) {
			t.Errorf("%s: %s", body, got)
		}
	}
	if got := ask(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}`, "a"); !strings.Contains(got, "hit") || time.Since(begun) > 4*time.Second {
		t.Errorf("after %s: %s", time.Since(begun), got)
	}
	if got := ask(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}`, "b"); !strings.Contains(got, `"tenant":"b"`) {
		t.Errorf("another tenant: %s", got)
	}
	if h := seen.Load().(http.Header); h.Get("X-Other") != "" || h.Get("X-Tenant") != "b" {
		t.Errorf("sent on: %v", h)
	}
}

func TestMCPListsAndCollapsing(t *testing.T) {
	w := openMCP(t, false)
	list := w.ask("tools/list", "", "", 1)
	if list.Result.TTLMs < 50_000 || list.Result.Scope != "public" {
		t.Errorf("%.300s", list.body)
	}
	time.Sleep(20 * time.Millisecond)
	if again := w.ask("tools/list", "", "", 2); again.Result.TTLMs > list.Result.TTLMs-15 || string(again.ID) != "2" {
		t.Errorf("%d ms left, then %d", list.Result.TTLMs, again.Result.TTLMs)
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if a := w.ask("tools/call", "get_slow", `{"text":"a"}`, i); a.Result.Structured.Call != 1 || string(a.ID) != fmt.Sprint(i) {
				t.Errorf("%s", a.body)
			}
		})
	}
	wg.Wait()
}

// A call of a tool that changes something takes the results away that it makes wrong: however it is written.
func TestMCPChanges(t *testing.T) {
	w := openMCP(t, false)
	cached := func() bool {
		return strings.Contains(w.ask("tools/call", "get_echo", `{"text":"a"}`, 1).header.Get("Cache-Status"), "hit")
	}
	for name, change := range map[string]func(){
		"a call":             func() { w.ask("tools/call", "change_echo", `{"text":"a"}`, 2) },
		"with members twice": func() { w.ask("tools/call", "change_echo", `{"text":"a","text":"b"}`, 2) },
		"a batch": func() {
			http.Post(w.url+"/mcp", "application/json", strings.NewReader(`[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"change_echo","arguments":{"text":"a"}}}]`))
		},
		"a large one": func() { w.ask("tools/call", "change_echo", `{"text":"`+strings.Repeat("x", 1<<20)+`"}`, 2) },
	} {
		cached()
		if !cached() {
			t.Fatalf("%s: not cached before", name)
		}
		w.ask("tools/call", "set_echo", `{"text":"a"}`, 2)
		if !cached() {
			t.Errorf("%s: gone by a tool that no rule names", name)
		}
		change()
		if cached() {
			t.Errorf("%s: the old result is there", name)
		}
	}
}

// What an answer says of its life is what the gateway explains.
func TestMCPIsExplained(t *testing.T) {
	w := openMCP(t, true)
	question := func(name string) *http.Request {
		r := httptest.NewRequest("POST", w.url+"/mcp", strings.NewReader(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{"text":"a"},`+mcpMeta+`}}`, name, "")))
		r.RequestURI = "/mcp"
		r.Header.Set("Content-Type", "application/json")
		for k, v := range map[string]string{"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": name} {
			r.Header.Set(k, v)
		}
		return r
	}
	if e := w.g.Explain(question("get_echo")); e.Would != "miss" || e.Rule != "mcp tools/call get_*" || e.Class != "tools" || e.Stored != nil || e.Key == "" {
		t.Errorf("before: %+v", e)
	}
	a := w.ask("tools/call", "get_echo", `{"text":"a"}`, 1)
	var said struct {
		Result struct {
			Meta map[string]struct{ TTLMs int64 } `json:"_meta"`
		}
	}
	if err := json.Unmarshal([]byte(a.body), &said); err != nil {
		t.Fatal(err)
	}
	e := w.g.Explain(question("get_echo"))
	if e.Would != "hit" || e.Stored == nil {
		t.Fatalf("after: %+v", e)
	}
	if said, left := said.Result.Meta["io.github.forebay-cache/cache"].TTLMs, e.Stored.Left.Milliseconds(); said-left < 0 || said-left > 5000 {
		t.Errorf("the answer says %d ms, the explanation %d", said, left)
	}
	if e := w.g.Explain(question("set_echo")); e.Rule != "" {
		t.Errorf("without a rule: %+v", e)
	}
}

func TestMCPMistakes(t *testing.T) {
	for _, test := range []struct{ route, want string }{
		{"mcp: {method: completion/complete, name: x}", "cannot be cached"},
		{"mcp: {method: tools/call}", "name the tools"},
		{"mcp: {name: get_*}\n    match: GET /mcp", "write match: POST /mcp"},
		{"mcp: {name: get_*}\n    match: POST /{x}", "matches one path"},
		{"mcp: {name: get_*, tool: x}", "tool"},
		{"mcp: {name: get_*}\n    class: nowhere", "nowhere"},
	} {
		if _, err := gateway.ParseConfig([]byte("origin: http://127.0.0.1:1\nroutes:\n  - " + test.route + "\n")); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.route, err)
		}
	}
}

// A server that begins its answer and says no more is late, not broken.
func TestMCPServerThatIsLate(t *testing.T) {
	config, err := gateway.ParseConfig([]byte(mcpFile))
	if err != nil {
		t.Fatal(err)
	}
	config.Origin = ""
	w := &mcpWorld{t: t}
	w.g, w.url = front(t, config, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		io.WriteString(rw, `{"jsonrpc":`)
		http.NewResponseController(rw).Flush()
		<-r.Context().Done()
	}))
	if a := w.ask("tools/call", "get_slow", `{}`, 3); !strings.Contains(a.body, "isError") || !strings.Contains(a.body, "did not answer in time") {
		t.Errorf("%s", a.body)
	}
}
