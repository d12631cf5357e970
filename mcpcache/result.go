package mcpcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/forebay-cache/forebay"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A result is what the tiers hold.
type result struct {
	JSON   []byte
	Tags   []string
	Failed bool   // it says that it is an error: those that waited have it, and nobody else
	Hint   int64  // how long its server says that it is fresh, in milliseconds; -1: nothing
	Stream bool   // it came as an event of a stream
	Owner  uint64 // the call that it is for alone; 0: it is for all with the same key
}

// forms make an empty result of each method that can be cached.
var forms = map[string]func() mcp.Result{
	callTool:      func() mcp.Result { return new(mcp.CallToolResult) },
	getPrompt:     func() mcp.Result { return new(mcp.GetPromptResult) },
	readResource:  func() mcp.Result { return new(mcp.ReadResourceResult) },
	listTools:     func() mcp.Result { return new(mcp.ListToolsResult) },
	listPrompts:   func() mcp.Result { return new(mcp.ListPromptsResult) },
	listResources: func() mcp.Result { return new(mcp.ListResourcesResult) },
	listTemplates: func() mcp.Result { return new(mcp.ListResourceTemplatesResult) },
}

// resultOf reads what a server answers. own: it asks for input, is a task, or is of a kind that is not known: then it is
// for its caller alone.
func resultOf(method string, got mcp.Result) (r result, own bool, err error) {
	text, err := json.Marshal(got)
	if err != nil {
		return result{}, false, fmt.Errorf("mcpcache: the result of %s: %w", method, err)
	}
	return resultOfJSON(text)
}

func resultOfJSON(text []byte) (r result, own bool, err error) {
	var head struct {
		ResultType    *string         `json:"resultType"`
		IsError       bool            `json:"isError"`
		InputRequests json.RawMessage `json:"inputRequests"`
		RequestState  string          `json:"requestState"`
		TTLMs         *int64          `json:"ttlMs"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return result{}, true, nil // no object
	}
	own = head.ResultType != nil && *head.ResultType != "complete" || head.InputRequests != nil || head.RequestState != ""
	hint := int64(-1)
	if head.TTLMs != nil {
		hint = max(*head.TTLMs, 0)
	}
	return result{JSON: text, Failed: head.IsError, Hint: hint}, own, nil
}

// answer is a result of its own for each caller: who gets it may change it.
func (r result) answer(method string, rule *Rule, o forebay.Outcome) (mcp.Result, error) {
	out := forms[method]()
	if err := json.Unmarshal(r.JSON, out); err != nil {
		return nil, fmt.Errorf("mcpcache: what is stored of %s: %w", method, err)
	}
	if err := keepNumbers(out, r.JSON); err != nil {
		return nil, fmt.Errorf("mcpcache: what is stored of %s: %w", method, err)
	}
	said := MetaOf(o)
	stamp(out, said.TTLMs, rule.Shared)
	sum := sha256.Sum256(r.JSON)
	said.Validator = base64.RawURLEncoding.EncodeToString(sum[:12])
	meta := out.GetMeta()
	if meta == nil {
		meta = map[string]any{}
	}
	meta[MetaKey] = said
	out.SetMeta(meta)
	return out, nil
}

// keepNumbers gives a decoded result its numbers back as they were written: as float64 they lose digits.
func keepNumbers(out mcp.Result, text []byte) error {
	var exact struct {
		Meta       map[string]any  `json:"_meta"`
		Structured json.RawMessage `json:"structuredContent"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&exact); err != nil {
		return err
	}
	if exact.Meta != nil {
		out.SetMeta(exact.Meta)
	}
	if r, ok := out.(*mcp.CallToolResult); ok && exact.Structured != nil {
		r.StructuredContent = exact.Structured
	}
	return nil
}

// stamp says how long a result that has a hint is fresh: as long as the cache would serve it, and no longer than its
// server said. A scope that is not known is private.
func stamp(r mcp.Result, left int64, shared bool) {
	set := func(c *mcp.Cacheable) {
		ms := int(left)
		if c.TTLMs > 0 {
			ms = min(ms, c.TTLMs)
		}
		c.TTLMs = ms
		if c.CacheScope != "public" || !shared {
			c.CacheScope = "private"
		}
	}
	switch r := r.(type) {
	case *mcp.ReadResourceResult:
		set(&r.Cacheable)
	case *mcp.ListToolsResult:
		set(&r.Cacheable)
	case *mcp.ListPromptsResult:
		set(&r.Cacheable)
	case *mcp.ListResourcesResult:
		set(&r.Cacheable)
	case *mcp.ListResourceTemplatesResult:
		set(&r.Cacheable)
	}
}
