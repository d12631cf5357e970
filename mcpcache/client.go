package mcpcache

import (
	"context"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Ask is the middleware of a client that asks a server in any language: add it with AddSendingMiddleware, and [Cache.Hear]
// with AddReceivingMiddleware. The principal names on whose behalf the client asks; clients with one principal share what is
// stored, and rules that say Shared go beyond it. A list or a resource is kept for as long as its server says (ttlMs), at
// most as long as its class; what is to be fresh for 0 ms is not kept.
func (c *Cache) Ask(principal string) mcp.Middleware {
	who := hashed([]string{"principal", principal})
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			return c.serve(ctx, method, req, next, who)
		}
	}
}

// Hear is the middleware of a client that hears what has changed at its server.
func (c *Cache) Hear(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		c.heard(ctx, method, req)
		return next(ctx, method, req)
	}
}

// ofClient reports whether a request is one that a client sends.
func ofClient(req mcp.Request) bool {
	_, ok := req.GetSession().(*mcp.ClientSession)
	return ok
}
