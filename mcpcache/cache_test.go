package mcpcache_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/mcpcache"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A world is a server behind the cache, over HTTP, with a token for each user.
type world struct {
	t      *testing.T
	cache  *forebay.Cache
	mcp    *mcpcache.Cache
	server *mcp.Server
	url    string
	calls  atomic.Int64
}

type input struct {
	ID string `json:"id"`
	N  int    `json:"n,omitempty"`
}

func open(t *testing.T, rules ...mcpcache.Rule) *world {
	t.Helper()
	c, err := forebay.Open(t.Context(), forebay.Options{Classes: []forebay.Class{{Name: "tools", TTL: time.Minute, Jitter: -1, LoadTimeout: 2 * time.Second}}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := mcpcache.New(c, mcpcache.Options{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, cache: c, mcp: m, server: mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)}
	m.Install(w.server)
	users := func(_ context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
		return &auth.TokenInfo{UserID: token, Expiration: time.Now().Add(time.Hour)}, nil
	}
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return w.server }, &mcp.StreamableHTTPOptions{Stateless: true})
	web := httptest.NewServer(auth.RequireBearerToken(users, nil)(h))
	w.url = web.URL
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
		c.Close()
	})
	return w
}

// tool adds a tool that answers with its caller's input and the number of its call.
func (w *world) tool(name string, do func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error)) {
	mcp.AddTool(w.server, &mcp.Tool{Name: name}, func(ctx context.Context, req *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
		n := w.calls.Add(1)
		if do != nil {
			return do(ctx, req, in)
		}
		return nil, map[string]any{"call": n, "id": in.ID, "user": req.Extra.TokenInfo.UserID}, nil
	})
}

type bearer struct{ token string }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}

// as connects a client with the token of a user.
func (w *world) as(user string, o *mcp.ClientOptions) *mcp.ClientSession {
	w.t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, o)
	s, err := client.Connect(w.t.Context(), &mcp.StreamableClientTransport{Endpoint: w.url, HTTPClient: &http.Client{Transport: bearer{user}}, DisableStandaloneSSE: true}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { s.Close() })
	return s
}

func call(t *testing.T, s *mcp.ClientSession, name string, arguments any) *mcp.CallToolResult {
	t.Helper()
	r, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

func text(r *mcp.CallToolResult) string {
	out := ""
	for _, c := range r.Content {
		if t, ok := c.(*mcp.TextContent); ok {
			out += t.Text
		}
	}
	return out
}

// said is what the cache says of a result.
func said(t *testing.T, r mcp.Result) (m mcpcache.Meta) {
	t.Helper()
	text, err := json.Marshal(r.GetMeta()[mcpcache.MetaKey])
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCallsAreCached(t *testing.T) {
	w := open(t, mcpcache.Rule{Name: "get_*", Class: "tools"})
	w.tool("get_one", nil)
	w.tool("change", nil)
	anna, ben := w.as("anna", nil), w.as("ben", nil)
	first := call(t, anna, "get_one", map[string]any{"id": "a", "n": 1})
	again := call(t, anna, "get_one", json.RawMessage(`{ "n": 1, "id": "a" }`))
	if text(first) != text(again) || w.calls.Load() != 1 {
		t.Errorf("%s, then %s after %d calls", text(first), text(again), w.calls.Load())
	}
	one, two := said(t, first), said(t, again)
	if one.Outcome != "miss" || one.TTLMs < 59_000 || two.Outcome != "hit" || two.Tier != "near" || two.TTLMs < 58_000 || one.Validator != two.Validator || one.Validator == "" {
		t.Errorf("%+v, then %+v", one, two)
	}
	if r := call(t, anna, "get_one", map[string]any{"id": "b", "n": 1}); said(t, r).Outcome != "miss" {
		t.Error("other arguments have the same entry")
	}
	if r := call(t, ben, "get_one", map[string]any{"id": "a", "n": 1}); !strings.Contains(text(r), `"user":"ben"`) {
		t.Errorf("another caller got %s", text(r))
	}
	for range 2 {
		if r := call(t, anna, "change", map[string]any{"id": "a"}); r.GetMeta()[mcpcache.MetaKey] != nil {
			t.Error("a tool without a rule is cached")
		}
	}
	if n := w.calls.Load(); n != 5 {
		t.Errorf("%d calls", n)
	}
	if _, err := w.mcp.ToolChanged(t.Context(), "get_one"); err != nil {
		t.Fatal(err)
	}
	if r := call(t, anna, "get_one", map[string]any{"id": "a", "n": 1}); said(t, r).Outcome != "miss" || text(r) == text(first) {
		t.Errorf("after the tool's data have changed: %s", text(r))
	}
	for _, s := range w.mcp.Stats() {
		if s.Name == "get_one" && (s.Hits != 1 || s.Misses != 4) {
			t.Errorf("%+v", s)
		}
	}
}

func TestSharedAndArguments(t *testing.T) {
	w := open(t, mcpcache.Rule{Name: "get_one", Class: "tools", Shared: true, Arguments: []string{"id"}, Tags: func(_ string, arguments json.RawMessage) []string {
		var in input
		json.Unmarshal(arguments, &in)
		return []string{"id:" + in.ID}
	}})
	w.tool("get_one", nil)
	anna, ben := w.as("anna", nil), w.as("ben", nil)
	call(t, anna, "get_one", map[string]any{"id": "a", "n": 1})
	if r := call(t, ben, "get_one", map[string]any{"id": "a", "n": 2}); said(t, r).Outcome != "hit" {
		t.Errorf("%+v", said(t, r))
	}
	if _, err := w.cache.Invalidate(t.Context(), forebay.Tag("id:a")); err != nil {
		t.Fatal(err)
	}
	if r := call(t, ben, "get_one", map[string]any{"id": "a", "n": 2}); said(t, r).Outcome != "miss" {
		t.Errorf("after its tag was invalidated: %+v", said(t, r))
	}
}

// What the tool made comes back as it was: large numbers, its own _meta, other content.
func TestResultsAreWhole(t *testing.T) {
	w := open(t, mcpcache.Rule{Name: "get", Class: "tools"})
	w.tool("get", func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{
			Meta:              mcp.Meta{"big": json.Number("9007199254740993")},
			Content:           []mcp.Content{&mcp.ImageContent{Data: []byte{1, 2}, MIMEType: "image/png"}, &mcp.ResourceLink{URI: "x://y", Name: "y"}},
			StructuredContent: json.RawMessage(`{"id":9007199254740993}`),
		}, nil, nil
	})
	anna := w.as("anna", nil)
	for range 2 {
		r := call(t, anna, "get", map[string]any{"id": "a"})
		if image, ok := r.Content[0].(*mcp.ImageContent); !ok || len(image.Data) != 2 || len(r.Content) != 2 {
			t.Errorf("%+v", r.Content)
		}
	}
	// The client's own decoding loses digits: look at the bytes.
	body := w.post("anna", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"get","arguments":{"id":"a"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, "tools/call", "get")
	if strings.Count(body, "9007199254740993") != 2 || !strings.Contains(body, `"id":7`) || !strings.Contains(body, `"resultType":"complete"`) {
		t.Errorf("%s", body)
	}
}

// post sends a request of the revision 2026-07-28 as it is written.
func (w *world) post(user, body, method, name string) string {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), "POST", w.url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for k, v := range map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28",
		"Mcp-Method": method, "Mcp-Name": name, "Authorization": "Bearer " + user} {
		r.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var b strings.Builder
	if _, err := fmt.Fprint(&b, readAll(res)); err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

func readAll(res *http.Response) string {
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := res.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return b.String()
		}
	}
}

// An error, however it is told, is nobody's entry; a panic and a tool that hangs are errors of the tool.
func TestErrorsAreNotStored(t *testing.T) {
	w := open(t, mcpcache.Rule{Name: "*", Class: "tools"})
	w.tool("fails", func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
		return nil, nil, errors.New("not today")
	})
	w.tool("says", func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: "no"}}}, nil, nil
	})
	w.tool("panics", func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) { panic("ouch") })
	w.tool("hangs", func(ctx context.Context, _ *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	})
	w.tool("refuses", func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
		return nil, nil, &jsonrpc.Error{Code: -32602, Message: "no such thing"}
	})
	anna := w.as("anna", nil)
	for name, want := range map[string]string{"fails": "not today", "says": "no", "panics": "the tool failed", "hangs": "in time"} {
		for i := range 2 {
			before := w.calls.Load()
			r := call(t, anna, name, map[string]any{"id": "a"})
			if !r.IsError || !strings.Contains(text(r), want) && !strings.Contains(text(r), "deadline") {
				t.Errorf("%s: %+v %s", name, r.IsError, text(r))
			}
			if w.calls.Load() != before+1 {
				t.Errorf("%s, call %d: stored", name, i)
			}
		}
	}
	for range 2 {
		_, err := anna.CallTool(t.Context(), &mcp.CallToolParams{Name: "refuses", Arguments: map[string]any{"id": "a"}})
		var protocol *jsonrpc.Error
		if !errors.As(err, &protocol) || protocol.Code != -32602 {
			t.Errorf("%v", err)
		}
		_, err = anna.CallTool(t.Context(), &mcp.CallToolParams{Name: "unknown"})
		if !errors.As(err, &protocol) || protocol.Code != -32602 {
			t.Errorf("an unknown tool: %v", err)
		}
		if r := call(t, anna, "says", map[string]any{"id": 1}); !r.IsError {
			t.Errorf("a wrong type: %s", text(r))
		}
	}
	if n := w.cache.Stats().Near.Entries; n != 0 {
		t.Errorf("%d entries", n)
	}
}

// Arguments that parsers read differently have no key: they go past the cache.
func TestAmbiguousArguments(t *testing.T) {
	w := open(t, mcpcache.Rule{Name: "get", Class: "tools"})
	w.tool("get", nil)
	anna := w.as("anna", nil)
	for range 2 {
		anna.CallTool(t.Context(), &mcp.CallToolParams{Name: "get", Arguments: json.RawMessage(`{"id":"a","id":"b"}`)})
	}
	if n := w.cache.Stats().Near.Entries; n != 0 {
		t.Errorf("%d entries", n)
	}
}

// Two hundred that ask for the same are one call; each hears of its progress by its own token, and one that goes takes
// nobody with it.
func TestOneCallForAll(t *testing.T) {
	w := open(t, mcpcache.Rule{Name: "get", Class: "tools", Shared: true})
	begun, finish := make(chan struct{}), make(chan struct{})
	w.tool("get", func(ctx context.Context, req *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
		close(begun)
		<-finish
		for i := range 3 {
			req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: req.Params.GetProgressToken(), Progress: float64(i + 1), Total: 3})
		}
		time.Sleep(100 * time.Millisecond)
		return nil, map[string]any{"ok": true}, nil
	})
	const many = 50
	var heard [4]atomic.Int64
	var sessions []*mcp.ClientSession
	for i := range 4 {
		sessions = append(sessions, w.as(fmt.Sprint("user", i), &mcp.ClientOptions{ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			if r.Params.ProgressToken == fmt.Sprint("token", i) {
				heard[i].Add(1)
			}
		}}))
	}
	leader, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	ask := func(ctx context.Context, i int, token any, fails bool) {
		p := &mcp.CallToolParams{Name: "get", Arguments: map[string]any{"id": "a"}}
		if token != nil {
			p.SetProgressToken(token)
		}
		r, err := sessions[i].CallTool(ctx, p)
		if fails != (err != nil) || err == nil && text(r) != `{"ok":true}` {
			t.Errorf("%v %v", r, err)
		}
	}
	wg.Go(func() { ask(leader, 0, nil, true) })
	<-begun
	for n := range many {
		for i := range 4 {
			var token any
			if n == 0 && i > 0 {
				token = fmt.Sprint("token", i)
			}
			wg.Go(func() { ask(t.Context(), i, token, false) })
		}
	}
	for w.cache.Stats().Classes[0].Waiting < 4*many {
		time.Sleep(5 * time.Millisecond)
	}
	leave()
	close(finish)
	wg.Wait()
	if n := w.calls.Load(); n != 1 {
		t.Errorf("%d calls", n)
	}
	for i := range 3 {
		if n := heard[i+1].Load(); n != 3 {
			t.Errorf("user %d heard %d times of the progress", i+1, n)
		}
	}
}
