package admin

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"
)

// MCPTool is what happened to the calls of one tool.
type MCPTool struct {
	Name   string  `json:"name"`
	Calls  uint64  `json:"calls"`
	Hits   uint64  `json:"hits" doc:"Answered without a call of the origin, as the result says"`
	Failed uint64  `json:"failed" doc:"Errors of the protocol, and results that say they are errors"`
	P50MS  float64 `json:"p50_ms"`
	P99MS  float64 `json:"p99_ms"`
}

// MCPStats is the MCP server in [Stats].
type MCPStats struct {
	Calls  uint64    `json:"calls"`
	Hits   uint64    `json:"hits"`
	Failed uint64    `json:"failed"`
	Tools  []MCPTool `json:"tools" doc:"Those that were called, the most frequent first"`
}

const (
	maxTools   = 100 // that are counted one by one: clients can make names up
	otherTools = "(all others)"
)

// mcpCalls counts the calls of tools.
type mcpCalls struct {
	mu   sync.Mutex // guards the fields below
	by   map[string]*MCPTool
	took map[string]*timing
	n    uint64 // calls since they were last taken

	served atomic.Bool // there is an MCP server
}

// take returns the calls since the last time.
func (m *mcpCalls) take() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { m.n = 0 }()
	return m.n
}

// watchMCP counts the calls of tools and bounds what a handler does to the process: a panic is an error of the tool.
func (a *Admin) watchMCP(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (out mcp.Result, err error) {
		begun, tool := time.Now(), ""
		if call, ok := req.(*mcp.CallToolRequest); ok && method == "tools/call" {
			tool = call.Params.Name
		}
		defer func() {
			if p := recover(); p != nil {
				a.o.Logger.Error("mcp: a handler panicked", "method", method, "tool", tool, "panic", p, "stack", string(debug.Stack()))
				out, err = nil, fmt.Errorf("%s failed", method)
				if tool != "" {
					out, err = &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: "the tool failed"}}}, nil
				}
			}
			if tool != "" {
				a.mcp.count(tool, time.Since(begun), out, err)
			}
		}()
		return next(ctx, method, req)
	}
}

func (m *mcpCalls) count(tool string, took time.Duration, r mcp.Result, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.by == nil {
		m.by, m.took = map[string]*MCPTool{}, map[string]*timing{}
	}
	if m.by[tool] == nil && len(m.by) >= maxTools {
		tool = otherTools
	}
	if m.by[tool] == nil {
		m.by[tool], m.took[tool] = &MCPTool{Name: tool}, &timing{}
	}
	t := m.by[tool]
	t.Calls++
	m.n++
	m.took[tool].add(took)
	result, _ := r.(*mcp.CallToolResult)
	if err != nil || result == nil || result.IsError {
		t.Failed++
		return
	}
	for _, said := range result.Meta {
		if cached, ok := said.(interface{ Hit() bool }); ok && cached.Hit() {
			t.Hits++
		}
	}
}

// stats are nil before the first call.
func (m *mcpCalls) stats() *MCPStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.by) == 0 {
		return nil
	}
	out := &MCPStats{}
	for name, t := range m.by {
		one := *t
		one.P50MS, one.P99MS = inMS(m.took[name].took.quantile(0.5)), inMS(m.took[name].took.quantile(0.99))
		out.Calls, out.Hits, out.Failed = out.Calls+one.Calls, out.Hits+one.Hits, out.Failed+one.Failed
		out.Tools = append(out.Tools, one)
	}
	slices.SortFunc(out.Tools, func(a, b MCPTool) int { return cmp.Or(-cmp.Compare(a.Calls, b.Calls), cmp.Compare(a.Name, b.Name)) })
	return out
}

var (
	mcpCallsDesc = desc("mcp_calls_total", "Calls of tools of the MCP server, by what became of them.", "tool", "outcome")
	mcpTimeDesc  = desc("mcp_call_duration_seconds", "Time of calls of tools.", "tool")
)

func (m *mcpCalls) collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, t := range m.by {
		for outcome, n := range map[string]uint64{"hit": t.Hits, "failed": t.Failed, "other": t.Calls - t.Hits - t.Failed} {
			out <- prometheus.MustNewConstMetric(mcpCallsDesc, prometheus.CounterValue, float64(n), name, outcome)
		}
		took := m.took[name]
		out <- prometheus.MustNewConstHistogram(mcpTimeDesc, took.took.n, took.sum.Seconds(), took.took.cumulative(), name)
	}
}
