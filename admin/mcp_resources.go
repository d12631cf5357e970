package admin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/forebay-cache/forebay"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A Configuration is what a node was started with, without what is secret.
type Configuration struct {
	Version string            `json:"version"`
	Node    string            `json:"node"`
	Mode    forebay.TierMode  `json:"mode"`
	NearMax uint64            `json:"near_max_bytes"`
	Shared  string            `json:"shared,omitempty"`
	Drills  bool              `json:"drills"`
	Tokens  []tokenInfo       `json:"tokens"`
	Limits  []forebay.Limit   `json:"limits"`
	Checks  []string          `json:"checks"`
	Classes []forebay.Class   `json:"-"`
	Parts   map[string]string `json:"parts"`
}

type tokenInfo struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// Configuration returns what the node was started with.
func (a *Admin) Configuration() Configuration {
	s := a.cache.Stats()
	out := Configuration{
		Version: a.o.Version, Node: s.Nodes[0].Name, Mode: s.Mode, NearMax: s.Near.MaxBytes, Drills: a.o.Drills != nil, Tokens: []tokenInfo{}, Limits: []forebay.Limit{}, Checks: []string{},
		Parts: map[string]string{"front": a.o.Parts.Front, "origin": a.o.Parts.Origin, "database": a.o.Parts.Database},
	}
	if s.Shared != nil {
		out.Shared = s.Shared.Version
	}
	if a.o.Limits != nil {
		out.Limits = a.o.Limits()
	}
	for name := range a.o.Checks {
		out.Checks = append(out.Checks, name)
	}
	for _, t := range a.tokens {
		one := tokenInfo{t.name, "read"}
		if t.operate {
			one.Role = "operate"
		}
		out.Tokens = append(out.Tokens, one)
	}
	for _, c := range s.Classes {
		out.Classes = append(out.Classes, c.Class)
	}
	return out
}

// addResources adds what a model can read without calling anything.
func (a *Admin) addResources(s *mcp.Server) {
	add := func(name, title, description, kind string, read func() (string, error)) {
		uri := "forebay://" + name
		s.AddResource(&mcp.Resource{URI: uri, Name: name, Title: title, Description: description, MIMEType: kind},
			func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
				text, err := read()
				if err != nil {
					return nil, fmt.Errorf("%s: %w", uri, err)
				}
				return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: uri, MIMEType: kind, Text: text}}}, nil
			})
	}
	asText := func(of func() any) func() (string, error) {
		return func() (string, error) {
			text, err := json.MarshalIndent(of(), "", "  ")
			return string(text), err
		}
	}
	const kind = "application/json"
	add("statistics", "Statistics", "What the cache has done since it was opened.", kind, asText(func() any { return a.Stats() }))
	add("configuration", "Configuration", "What the node was started with, without secrets.", kind, asText(func() any { return a.Configuration() }))
	add("classes", "Classes", "The kinds of data and how long each lives; times in nanoseconds.", kind, asText(func() any { return a.Configuration().Classes }))
	if a.o.Requirements != "" {
		add("requirements", "Requirements", "What was asked for, where it is, and how it was measured.", "text/markdown", func() (string, error) { return a.o.Requirements, nil })
	}
}

// addPrompts adds the two questions that operators ask most.
func addPrompts(s *mcp.Server) {
	say := func(text string) *mcp.GetPromptResult {
		return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: text}}}}
	}
	s.AddPrompt(&mcp.Prompt{Name: "low_hit_rate", Title: "Why is my hit rate low?", Description: "Find out why a class, or the whole cache, hits seldom.",
		Arguments: []*mcp.PromptArgument{{Name: "class", Description: "Only this class; default: all"}}},
		func(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			of := "the cache"
			if class := r.Params.Arguments["class"]; class != "" {
				of = "class " + class
			}
			return say("Why is the hit rate of " + of + " low? Read cache_stats and compare misses by reason; look at recent_misses for keys that differ where they should not (a request id, a time, an unsorted query) and at not_stored. " +
				"Say which reason accounts for most misses, the evidence in numbers, and the one change that would help most. Where nothing was looked up yet, say so."), nil
		})
	s.AddPrompt(&mcp.Prompt{Name: "safe_to_cache", Title: "Is it safe to cache this route?", Description: "Judge a route before a rule is added.",
		Arguments: []*mcp.PromptArgument{{Name: "route", Description: "Such as GET /api/partners", Required: true}}},
		func(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return say("Is it safe to cache " + r.Params.Arguments["route"] + "? In cache_stats, advice says of routes without a rule whether repeated requests were answered alike, whether cookies or credentials came with them, and what they vary on. " +
				"Judge it: yes, careful or no, with the evidence; name the rule to add and how its entries are invalidated when the data change. Never advise to cache health checks, metrics, or what changes something."), nil
		})
}
