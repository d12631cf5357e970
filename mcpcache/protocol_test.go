package mcpcache_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/mcpcache"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// What asks the client for input is for that client alone, and so is what comes of it.
func TestInputIsNobodyElses(t *testing.T) {
	w := open(t, mcpcache.Rule{Name: "*", Class: "tools", Shared: true, AnyClient: true})
	w.tool("ask", func(_ context.Context, req *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		if req.Params.RequestState != "" {
			return nil, map[string]any{"done": req.Params.RequestState}, nil
		}
		return &mcp.CallToolResult{RequestState: fmt.Sprint("state ", w.calls.Load()), InputRequests: mcp.InputRequestMap{
			"name": &mcp.ElicitParams{Message: "who are you?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}}},
		}}, nil, nil
	})
	sessions := make([]*mcp.ClientSession, 4)
	for i := range sessions {
		sessions[i] = w.as(fmt.Sprint("u", i), &mcp.ClientOptions{ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "x"}}, nil
		}})
	}
	states := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, s := range sessions {
		wg.Go(func() {
			r := call(t, s, "ask", map[string]any{"id": "a"})
			mu.Lock()
			defer mu.Unlock()
			states[text(r)]++
		})
	}
	wg.Wait()
	if len(states) != len(sessions) {
		t.Errorf("answers %v: somebody has another's", states)
	}
	if n := w.cache.Stats().Near.Entries; n != 0 {
		t.Errorf("%d entries", n)
	}
}

// A client of the old revision is asked in the middle of the call: what comes of that is not stored either.
func TestElicitingToolsAreNotStored(t *testing.T) {
	w := open(t, mcpcache.Rule{Name: "*", Class: "tools"})
	w.tool("ask", func(ctx context.Context, req *mcp.CallToolRequest, _ input) (*mcp.CallToolResult, any, error) {
		got, err := req.Session.Elicit(ctx, &mcp.ElicitParams{Message: "who?", RequestedSchema: map[string]any{"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string"}}}})
		if err != nil {
			return nil, nil, err
		}
		return nil, got.Content, nil
	})
	here, there := mcp.NewInMemoryTransports()
	if _, err := w.server.Connect(t.Context(), here, nil); err != nil {
		t.Fatal(err)
	}
	asked := 0
	client := mcp.NewClient(&mcp.Implementation{Name: "old", Version: "1"}, &mcp.ClientOptions{ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
		asked++
		return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": fmt.Sprint(asked)}}, nil
	}})
	s, err := client.Connect(t.Context(), there, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 2 {
		if r := call(t, s, "ask", map[string]any{"id": "a"}); !strings.Contains(text(r), fmt.Sprint(i+1)) {
			t.Errorf("%s", text(r))
		}
	}
	if n := w.cache.Stats().Near.Entries; n != 0 || asked != 2 {
		t.Errorf("%d entries, asked %d times", n, asked)
	}
}

// Lists and resources say how long they are really fresh, and to whom; what has changed is not served any more.
func TestListsAndResources(t *testing.T) {
	w := open(t, mcpcache.Rule{Method: "tools/list", Class: "tools", Shared: true}, mcpcache.Rule{Method: "resources/read", Name: "doc://*", Class: "tools"})
	w.tool("one", nil)
	reads := 0
	w.server.AddResource(&mcp.Resource{URI: "doc://a", Name: "a"}, func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		reads++
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: fmt.Sprint("read ", reads)}}}, nil
	})
	anna := w.as("anna", nil)
	read := func() (*mcp.ReadResourceResult, string) {
		r, err := anna.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "doc://a"})
		if err != nil {
			t.Fatal(err)
		}
		return r, r.Contents[0].Text
	}
	r, got := read()
	if got != "read 1" || r.TTLMs < 57_000 || r.TTLMs > 60_000 || r.CacheScope != "private" {
		t.Errorf("%q %d %s", got, r.TTLMs, r.CacheScope)
	}
	time.Sleep(20 * time.Millisecond)
	other := w.as("anna", nil) // another session: the client has a cache of its own
	again, err := other.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "doc://a"})
	if err != nil || again.Contents[0].Text != "read 1" || again.TTLMs > r.TTLMs-15 {
		t.Errorf("later: %d ms left of %q (%v)", again.TTLMs, again.Contents[0].Text, err)
	}
	list, err := anna.ListTools(t.Context(), nil)
	if err != nil || list.CacheScope != "public" || list.TTLMs < 57_000 || len(list.Tools) != 1 {
		t.Fatalf("%+v %v", list, err)
	}
	if _, err := w.mcp.ResourceUpdated(t.Context(), "doc://a"); err != nil {
		t.Fatal(err)
	}
	if r, err := w.as("anna", nil).ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "doc://a"}); err != nil || r.Contents[0].Text != "read 2" {
		t.Errorf("after it was updated: %v %v", r, err)
	}
}

// A server with a session tells that its list has changed: the list that was stored is gone before the client hears it.
func TestListChanged(t *testing.T) {
	w := open(t, mcpcache.Rule{Method: "tools/list", Class: "tools"})
	w.tool("one", nil)
	here, there := mcp.NewInMemoryTransports()
	if _, err := w.server.Connect(t.Context(), here, nil); err != nil {
		t.Fatal(err)
	}
	told := make(chan int, 10)
	var s *mcp.ClientSession
	client := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, &mcp.ClientOptions{ToolListChangedHandler: func(_ context.Context, r *mcp.ToolListChangedRequest) {
		go func() {
			list, err := r.Session.ListTools(t.Context(), nil)
			if err != nil {
				told <- -1
				return
			}
			told <- len(list.Tools)
		}()
	}})
	s, err := client.Connect(t.Context(), there, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if list, err := s.ListTools(t.Context(), nil); err != nil || len(list.Tools) != 1 {
		t.Fatalf("%+v %v", list, err)
	}
	w.tool("two", nil)
	select {
	case n := <-told:
		if n != 2 {
			t.Errorf("%d tools after the list has changed", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("the client was not told")
	}
}

// A thousand callers of twenty private tools: nobody sees another's.
func TestCallersAreApart(t *testing.T) {
	w := open(t, mcpcache.Rule{Name: "mine_*", Class: "tools"})
	const tools, callers = 20, 1000
	for i := range tools {
		w.tool(fmt.Sprint("mine_", i), nil)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range callers {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			user := fmt.Sprint("user-", i)
			for n := range 3 {
				tool := fmt.Sprint("mine_", (i+n/2)%tools)
				body := w.post(user, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":{"id":"a"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, "tools/call", tool)
				if !strings.Contains(body, `\"user\":\"`+user+`\"`) {
					t.Errorf("%s: %s", user, body)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := w.calls.Load(); n != 2*callers {
		t.Errorf("%d calls", n)
	}
}

// On a transport without HTTP each session is a caller of its own.
func TestSessionsWithoutHTTP(t *testing.T) {
	w := open(t, mcpcache.Rule{Name: "get", Class: "tools"})
	w.tool("get", func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
		return nil, map[string]any{"call": w.calls.Load()}, nil
	})
	answers := map[string]bool{}
	for range 3 {
		here, there := mcp.NewInMemoryTransports()
		if _, err := w.server.Connect(t.Context(), here, nil); err != nil {
			t.Fatal(err)
		}
		s, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(), there, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for range 2 {
			answers[text(call(t, s, "get", map[string]any{"id": "a"}))] = true
		}
	}
	if len(answers) != 3 || w.calls.Load() != 3 {
		t.Errorf("%d answers of %d calls for three sessions", len(answers), w.calls.Load())
	}
}

func TestMistakesInRules(t *testing.T) {
	w := open(t)
	for want, rule := range map[string]mcpcache.Rule{
		"cannot be cached": {Method: "completion/complete", Name: "x"}, "name the tools": {}, "has none": {Method: "tools/list", Arguments: []string{"a"}}, `class "nothing"`: {Name: "x", Class: "nothing"},
	} {
		if _, err := mcpcache.New(w.cache, mcpcache.Options{Rules: []mcpcache.Rule{rule}, Server: "other"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", rule, err, want)
		}
	}
}
