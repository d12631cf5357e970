package mcpcache_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/mcpcache"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A program that asks another server caches its answers: as long as the server says of lists and resources, by principal,
// and until it hears that they have changed.
func TestClient(t *testing.T) {
	ttl, reads, calls := 60_000, 0, 0
	server := mcp.NewServer(&mcp.Implementation{Name: "other", Version: "1"}, &mcp.ServerOptions{
		SetCacheable:     func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) { c.TTLMs = ttl },
		SubscribeHandler: func(context.Context, *mcp.SubscribeRequest) error { return nil }, UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	mcp.AddTool(server, &mcp.Tool{Name: "get"}, func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
		calls++
		return nil, map[string]any{"call": calls}, nil
	})
	read := func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		reads++
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: fmt.Sprint(reads)}}}, nil
	}
	server.AddResource(&mcp.Resource{URI: "doc://a", Name: "a"}, read)
	server.AddResource(&mcp.Resource{URI: "doc://b", Name: "b"}, read)
	cache, err := forebay.Open(t.Context(), forebay.Options{Classes: []forebay.Class{{Name: "other", TTL: time.Hour}}})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	c, err := mcpcache.New(cache, mcpcache.Options{Server: "other", Rules: []mcpcache.Rule{{Name: "get", Class: "other"}, {Method: "resources/read", Class: "other"}}})
	if err != nil {
		t.Fatal(err)
	}
	connect := func(principal string) *mcp.ClientSession {
		here, there := mcp.NewInMemoryTransports()
		if _, err := server.Connect(t.Context(), here, nil); err != nil {
			t.Fatal(err)
		}
		client := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil)
		client.AddSendingMiddleware(c.Ask(principal))
		client.AddReceivingMiddleware(c.Hear)
		s, err := client.Connect(t.Context(), there, &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	for _, principal := range []string{"anna", "anna", "ben"} {
		call(t, connect(principal), "get", map[string]any{"id": "a"})
	}
	if calls != 2 {
		t.Errorf("%d calls for two principals", calls)
	}
	text := func(uri string) string {
		r, err := connect("anna").ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
		if err != nil {
			t.Fatal(err)
		}
		if r.TTLMs > ttl {
			t.Errorf("%d ms are left of %d", r.TTLMs, ttl)
		}
		return r.Contents[0].Text
	}
	for range 2 {
		if got := text("doc://a"); got != "1" {
			t.Errorf("a resource is not kept: %s", got)
		}
	}
	s := connect("anna")
	if err := s.Subscribe(t.Context(), &mcp.SubscribeParams{URI: "doc://a"}); err != nil {
		t.Fatal(err)
	}
	if err := server.ResourceUpdated(t.Context(), &mcp.ResourceUpdatedNotificationParams{URI: "doc://a"}); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(5 * time.Second); text("doc://a") == "1"; {
		if time.Now().After(until) {
			t.Fatal("what has changed is still there")
		}
		time.Sleep(10 * time.Millisecond)
	}
	ttl = 0
	if first := text("doc://b"); text("doc://b") == first {
		t.Error("what is to be fresh for 0 ms is kept")
	}
}
