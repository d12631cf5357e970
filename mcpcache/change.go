package mcpcache

import (
	"bytes"
	"context"
	"net/http"

	"github.com/forebay-cache/forebay"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A tool that changes something, and a rule says whose results that makes wrong: they are removed before the answer goes
// out, so that who has it and asks again gets what is new. Whether the call failed is not asked: it may have changed
// something all the same.

func (c *Cache) invalidate(ctx context.Context, tools []string) {
	for _, name := range tools {
		c.cache.Invalidate(context.WithoutCancel(ctx), forebay.Tag(c.ToolTag(name))) // its own log says where that is not possible
	}
}

// change serves a call of such a tool.
func (c *Cache) change(ctx context.Context, rule *Rule, method string, req mcp.Request, next mcp.MethodHandler) (mcp.Result, error) {
	defer c.invalidate(ctx, rule.Invalidates)
	return next(ctx, method, req)
}

// changeOver serves it over HTTP.
func (c *Cache) changeOver(w http.ResponseWriter, r *http.Request, rule *Rule, next http.Handler) {
	h := &holdBack{ResponseWriter: w, before: func() { c.invalidate(r.Context(), rule.Invalidates) }}
	defer h.end()
	next.ServeHTTP(h, r)
}

// maxHeldBack is how much of an answer waits for its end. What is longer is not held up: its results are removed when it
// has begun, and once more at its end.
const maxHeldBack = 1 << 20

// holdBack keeps an answer until what it makes wrong is removed.
type holdBack struct {
	http.ResponseWriter
	before func()
	status int
	body   bytes.Buffer
	sent   bool
}

// WriteHeader implements [http.ResponseWriter].
func (h *holdBack) WriteHeader(status int) {
	switch {
	case h.sent || status < 200:
		h.ResponseWriter.WriteHeader(status)
	case h.status == 0:
		h.status = status
	}
}

// Write implements [http.ResponseWriter].
func (h *holdBack) Write(p []byte) (int, error) {
	if h.status == 0 {
		h.WriteHeader(http.StatusOK)
	}
	if !h.sent && h.body.Len()+len(p) > maxHeldBack {
		h.release()
	}
	if h.sent {
		return h.ResponseWriter.Write(p)
	}
	return h.body.Write(p)
}

// FlushError is what [http.ResponseController] looks for.
func (h *holdBack) FlushError() error {
	if !h.sent {
		return nil
	}
	return http.NewResponseController(h.ResponseWriter).Flush()
}

// Flush implements [http.Flusher].
func (h *holdBack) Flush() { h.FlushError() }

// Unwrap lets [http.ResponseController] reach the writer below: for deadlines.
func (h *holdBack) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *holdBack) release() {
	h.before()
	if h.sent = true; h.status != 0 {
		h.ResponseWriter.WriteHeader(h.status)
	}
	h.ResponseWriter.Write(h.body.Bytes())
	h.body = bytes.Buffer{}
}

// end also runs where the next handler panics: then what it began to say has no end either.
func (h *holdBack) end() {
	if h.sent {
		h.before()
		return
	}
	h.release()
}
