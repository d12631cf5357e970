package main

import (
	"net/http"

	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/docs"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type mcpCommand struct {
	platformFlags
	logFlags
	Activity string `placeholder:"FILE" help:"Keeps what happened across restarts: 1,000 items. Default: memory."`
}

// Run serves one client over standard input and output, until it leaves.
func (c *mcpCommand) Run(t terminal) error {
	logger := c.logger(t.err)
	p, tier, err := c.open(t.ctx, logger)
	if err != nil {
		return err
	}
	if tier != nil {
		defer tier.Close()
	}
	defer p.Close()
	o := admin.Options{ActivityFile: c.Activity, Requirements: docs.Requirements}
	if tier != nil {
		o.Shared = tier
	}
	if err := p.ServeMCP(t.ctx, &mcp.StdioTransport{}, p.Admin(o)); err != nil && t.ctx.Err() == nil {
		return err
	}
	return nil
}

// withMCP serves the MCP server at /mcp, before anything else.
func withMCP(server, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/mcp" {
			server.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
