package admin

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A tool of the operators has the input and the output of the operation that it is.

type nothing struct{}

func readOnly(title string) *mcp.ToolAnnotations {
	no := false
	return &mcp.ToolAnnotations{Title: title, ReadOnlyHint: true, IdempotentHint: true, DestructiveHint: &no, OpenWorldHint: &no}
}

// tell adds a tool that takes nothing and changes nothing.
func tell[T any](s *mcp.Server, name, title, description string, read func(context.Context) T) {
	mcp.AddTool(s, &mcp.Tool{Name: name, Description: description, Annotations: readOnly(title)},
		func(ctx context.Context, _ *mcp.CallToolRequest, _ nothing) (*mcp.CallToolResult, T, error) {
			return nil, read(ctx), nil
		})
}

type (
	statsTold struct {
		Stats Stats `json:"stats"`
	}
	missesTold struct {
		Missing []KeyCount `json:"missing" jsonschema:"keys for which requests waited for the origin lately, the most frequent first, with the reason"`
		Recent  []Request  `json:"recent" jsonschema:"the latest requests that waited for the origin, with their way through the parts"`
	}
	incidentsTold struct {
		Incidents []Incident `json:"incidents"`
	}
	// A targetIn names at most one thing.
	targetIn struct {
		Key     string `json:"key,omitempty" jsonschema:"exactly this key"`
		Tag     string `json:"tag,omitempty" jsonschema:"a tag, such as org:acme"`
		Class   string `json:"class,omitempty" jsonschema:"a class, such as partner_data"`
		Pattern string `json:"pattern,omitempty" jsonschema:"a key with * for any characters"`
		URL     string `json:"url,omitempty" jsonschema:"a whole URL: what a gateway has stored of it"`
	}
	findIn struct {
		targetIn
		Holds string `json:"holds,omitempty" jsonschema:"a part of the key"`
		Sort  string `json:"sort,omitempty" jsonschema:"key, size, age, left, load or asked; default key"`
		Limit int    `json:"limit,omitempty" jsonschema:"how many to list; default 20, at most 200"`
	}
	explainIn struct {
		Method  string            `json:"method,omitempty" jsonschema:"default GET"`
		URL     string            `json:"url" jsonschema:"whole, with the host that clients use"`
		Headers map[string]string `json:"headers,omitempty" jsonschema:"fields of the request, such as Accept"`
		Body    string            `json:"body,omitempty"`
		Value   bool              `json:"value,omitempty" jsonschema:"show what is stored, its first 64 KiB"`
	}
)

// addReadingTools adds what an operator may see.
func (a *Admin) addReadingTools(s *mcp.Server) {
	tell(s, "cache_stats", "Cache statistics", "What the cache has done since it was opened: hit rates, misses by reason, loads, memory, the shared tier, by class.",
		func(context.Context) statsTold { return statsTold{a.Stats()} })
	tell(s, "health", "Health", "The verdict on the node now: ok, degraded or unhealthy, each cause with since when, what it touches and what to do.",
		func(ctx context.Context) Health { return a.Health(ctx) })
	tell(s, "incidents", "Incidents", "What is and was wrong, the latest first: since when, until when (null: it lasts), what it touched.",
		func(context.Context) incidentsTold { return incidentsTold{a.Incidents()} })
	tell(s, "recent_misses", "Recent misses", "Which keys miss and why, and the latest requests that waited for the origin.", a.recentMisses)
	mcp.AddTool(s, &mcp.Tool{Name: "find_entries", Annotations: readOnly("Find entries"),
		Description: "List what is stored in the near tier of this node, all or what one target covers. Name at most one of key, tag, class, pattern and url."}, a.findEntries)
	if a.o.Explain != nil {
		mcp.AddTool(s, &mcp.Tool{Name: "explain", Annotations: readOnly("Explain a request"),
			Description: "Say what the cache makes of an HTTP request now, without asking the origin: rule, key, what is stored on each node, what the answer would be and why."}, a.explainTool)
	}
}

func (a *Admin) recentMisses(ctx context.Context) missesTold {
	out := missesTold{Missing: []KeyCount{}, Recent: []Request{}}
	if keys, err := a.readKeys(ctx, nil); err == nil {
		out.Missing = keys.Body.Missing
	}
	for _, r := range a.Requests() {
		if r.Outcome == outMiss.String() && len(out.Recent) < shownTop {
			out.Recent = append(out.Recent, r)
		}
	}
	return out
}

func (a *Admin) findEntries(ctx context.Context, _ *mcp.CallToolRequest, in findIn) (*mcp.CallToolResult, Entries, error) {
	limit := 20
	if in.Limit > 0 {
		limit = min(in.Limit, 200)
	}
	got, err := a.readEntries(ctx, &entriesRequest{Key: in.Key, Tag: in.Tag, Class: in.Class, Pattern: in.Pattern, URL: in.URL, Holds: in.Holds, Sort: in.Sort, Limit: limit})
	if err != nil {
		return nil, Entries{}, detail(err)
	}
	return nil, got.Body, nil
}

func (a *Admin) explainTool(ctx context.Context, _ *mcp.CallToolRequest, in explainIn) (*mcp.CallToolResult, Explanation, error) {
	got, err := a.explain(ctx, &question{Question{Method: in.Method, URL: in.URL, Headers: in.Headers, Body: in.Body, Value: in.Value}})
	if err != nil {
		return nil, Explanation{}, detail(err)
	}
	if got.Body.Parts == nil {
		got.Body.Parts = []KeyPart{}
	}
	return nil, got.Body, nil
}

type (
	invalidateIn struct {
		targetIn
		All     bool `json:"all,omitempty" jsonschema:"everything"`
		Soft    bool `json:"soft,omitempty" jsonschema:"expire instead of remove: it may be served stale where its class allows"`
		Confirm bool `json:"confirm,omitempty" jsonschema:"false (default): only say what it would reach; true: do it"`
	}
	invalidateOut struct {
		Done    bool     `json:"done" jsonschema:"false: nothing was done; call again with confirm to do it"`
		Target  string   `json:"target"`
		Entries int      `json:"entries" jsonschema:"that it covers in the near tier of this node"`
		Bytes   uint64   `json:"bytes"`
		Receipt *Receipt `json:"receipt,omitempty"`
	}
)

// addOperatingTools adds what changes something.
func (a *Admin) addOperatingTools(s *mcp.Server) {
	yes, no := true, false
	mcp.AddTool(s, &mcp.Tool{
		Name:        "invalidate",
		Description: "Remove or expire what a key, a tag, a class, a pattern, a URL or everything covers, on all nodes. First call it without confirm: it says what it would reach. The next requests for it load from the origin.",
		Annotations: &mcp.ToolAnnotations{Title: "Invalidate", DestructiveHint: &yes, IdempotentHint: true, OpenWorldHint: &no},
	}, a.invalidateTool)
}

func (a *Admin) invalidateTool(ctx context.Context, req *mcp.CallToolRequest, in invalidateIn) (*mcp.CallToolResult, invalidateOut, error) {
	ask := Invalidation{Key: optional(in.Key), Tag: optional(in.Tag), Class: optional(in.Class), Pattern: optional(in.Pattern), URL: optional(in.URL), All: &in.All, Mode: "remove"}
	if in.Soft {
		ask.Mode = "expire"
	}
	target, err := a.targetOf(ask)
	if err != nil {
		return nil, invalidateOut{}, detail(err)
	}
	out := invalidateOut{Target: target.String()}
	out.Entries, out.Bytes = a.covered(target)
	if !in.Confirm {
		return nil, out, nil
	}
	got, err := a.invalidate(ctx, &answer[Invalidation]{ask})
	if err != nil {
		return nil, invalidateOut{}, detail(err)
	}
	out.Done, out.Receipt = true, &got.Body
	return nil, out, nil
}

// detail is the sentence of a problem, without its status.
func detail(err error) error {
	var problem *huma.ErrorModel
	if errors.As(err, &problem) {
		return errors.New(problem.Detail)
	}
	return err
}
