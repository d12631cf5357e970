package demo

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/demo/origin"
	"github.com/forebay-cache/forebay/mcpcache"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The tools ask the same cached functions as the HTTP API: what one has stored is a hit for the other, and a change of a
// partner is seen by both at once. How a result came about stands in its _meta.

// MCP returns an MCP server with the platform's tools, and the operators' for whom the admin lets operate.
func (p *Platform) MCP(a *admin.Admin, o admin.MCPOptions) http.Handler {
	return a.MCP(p.mcpOptions(o))
}

// ServeMCP serves one client over a transport.
func (p *Platform) ServeMCP(ctx context.Context, t mcp.Transport, a *admin.Admin) error {
	return a.ServeMCP(ctx, t, p.mcpOptions(admin.MCPOptions{}))
}

func (p *Platform) mcpOptions(o admin.MCPOptions) admin.MCPOptions {
	o.Add = p.addTools
	o.Instructions = "Data clean rooms: list partners of an organisation (acme, borealis, cobalt, dune, ember) and templates of a clean room (cr-1 to cr-40), run a template as a query, follow it, and read what it found. " +
		"Answers may be some minutes old, and say so in _meta; a partner's change is seen at once."
	return o
}

type (
	partnersIn struct {
		OrgID string `json:"org_id" jsonschema:"the organisation, such as acme"`
		Q     string `json:"q,omitempty" jsonschema:"only partners whose name holds this"`
	}
	templatesIn struct {
		CleanroomID string `json:"cleanroom_id" jsonschema:"the clean room, such as cr-1"`
	}
	templateIn struct {
		TemplateID string `json:"template_id" jsonschema:"the template, such as t-1"`
	}
	submitIn struct {
		TemplateID string         `json:"template_id" jsonschema:"the template to run, such as t-1"`
		Parameters map[string]any `json:"parameters,omitempty" jsonschema:"what the template asks for: get_template lists names, types, and which are required"`
	}
	statusIn struct {
		QueryID string `json:"query_id,omitempty" jsonschema:"a query, as submit_query named it; default: the state of the partner API itself"`
	}
	statusOut struct {
		Query   *origin.QueryStatus `json:"query,omitempty"`
		Partner *statusAnswer       `json:"partner_api,omitempty"`
	}
	resultsIn struct {
		QueryID string `json:"query_id" jsonschema:"a query that is completed, as submit_query named it"`
	}
	chatIn struct {
		OrgID   string    `json:"org_id" jsonschema:"the organisation that asks, such as acme"`
		Message string    `json:"message" jsonschema:"the question, in plain words: about partners by industry, templates by category, or the status of a query"`
		History []Message `json:"history,omitempty" jsonschema:"earlier turns, the oldest first"`
	}
	chatOut struct {
		Reply   string          `json:"reply"`
		Sources []origin.Source `json:"sources"`
	}
)

// reads are the hints of a tool that changes nothing; all that it knows is in the platform's database.
func reads(title string) *mcp.ToolAnnotations {
	no := false
	return &mcp.ToolAnnotations{Title: title, ReadOnlyHint: true, IdempotentHint: true, DestructiveHint: &no, OpenWorldHint: &no}
}

// schemaOf is the schema of an output with a value of any kind in it: what a parameter has as its default.
func schemaOf[T any]() *jsonschema.Schema {
	s, err := jsonschema.For[T](&jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[any](): {Types: []string{"null", "string", "integer"}},
	}})
	if err != nil {
		panic(err) // of a type of this package: the first test finds it
	}
	return s
}

func (p *Platform) addTools(s *mcp.Server) {
	no := false
	mcp.AddTool(s, &mcp.Tool{Name: "list_partners", Annotations: reads("List partners"), Description: "List the partners of an organisation, with their clean rooms, industries and states."},
		func(ctx context.Context, _ *mcp.CallToolRequest, in partnersIn) (*mcp.CallToolResult, partnersAnswer, error) {
			if in.OrgID == "" {
				return told(forebay.Result[partnersAnswer]{Err: wrongField("org_id", "is required")})
			}
			return told(p.partners.Do(ctx, partnersParams(in)))
		})
	mcp.AddTool(s, &mcp.Tool{Name: "list_templates", OutputSchema: schemaOf[templatesAnswer](), Annotations: reads("List templates"), Description: "List the templates of a clean room: queries that can be run there, with their parameters, data types and expected time."},
		func(ctx context.Context, _ *mcp.CallToolRequest, in templatesIn) (*mcp.CallToolResult, templatesAnswer, error) {
			return told(p.templates.Do(ctx, templatesParams(in)))
		})
	mcp.AddTool(s, &mcp.Tool{Name: "get_template", OutputSchema: schemaOf[origin.Template](), Annotations: reads("Get a template"), Description: "Get one template with everything that is needed to run it."},
		func(ctx context.Context, _ *mcp.CallToolRequest, in templateIn) (*mcp.CallToolResult, origin.Template, error) {
			return told(p.template.Do(ctx, in.TemplateID))
		})
	mcp.AddTool(s, &mcp.Tool{
		Name: "submit_query", Description: "Begin to run a template as a query. Each call begins a new query; check_status follows it, get_results reads what it found.",
		Annotations: &mcp.ToolAnnotations{Title: "Submit a query", DestructiveHint: &no, OpenWorldHint: &no},
	}, func(ctx context.Context, _ *mcp.CallToolRequest, in submitIn) (*mcp.CallToolResult, origin.QueryStatus, error) {
		if in.TemplateID == "" {
			return told(forebay.Result[origin.QueryStatus]{Err: wrongField("template_id", "is required")})
		}
		state, err := p.api.StartQuery(ctx, in.TemplateID, in.Parameters)
		if err != nil {
			return nil, state, plainly(err)
		}
		return nil, state, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "check_status", Annotations: reads("Check a status"), Description: "Say how far a query is (queued, running, completed, failed), or whether the partner API answers."}, p.checkStatus)
	mcp.AddTool(s, &mcp.Tool{Name: "get_results", Annotations: reads("Get results"), Description: "Get what a completed query found. While it runs this is an error: follow it with check_status."},
		func(ctx context.Context, _ *mcp.CallToolRequest, in resultsIn) (*mcp.CallToolResult, origin.Result, error) {
			return told(p.results.Do(ctx, in.QueryID))
		})
	mcp.AddTool(s, &mcp.Tool{Name: "chat", Annotations: reads("Ask the assistant"), Description: "Ask the platform's assistant a question in plain words, and get its reply with its sources."}, p.chatTool)
}

func (p *Platform) checkStatus(ctx context.Context, _ *mcp.CallToolRequest, in statusIn) (*mcp.CallToolResult, statusOut, error) {
	if in.QueryID == "" {
		r, state, err := told(p.status.Do(ctx, statusParams{}))
		return r, statusOut{Partner: &state}, err
	}
	r, state, err := told(p.query.Do(ctx, in.QueryID))
	return r, statusOut{Query: &state}, err
}

func (p *Platform) chatTool(ctx context.Context, _ *mcp.CallToolRequest, in chatIn) (*mcp.CallToolResult, chatOut, error) {
	q, err := chatRequest{OrgID: in.OrgID, Message: in.Message, History: in.History}.question()
	if err != nil {
		return nil, chatOut{}, plainly(err)
	}
	ask, err := q.request(ctx)
	if err != nil {
		return nil, chatOut{}, err
	}
	all, held := p.hear(ask, func(string) {})
	if held.status != http.StatusOK {
		var said problem
		if json.Unmarshal(held.body.Bytes(), &said) != nil || said.Detail == "" {
			said.Detail = http.StatusText(held.status)
		}
		return nil, chatOut{}, errors.New(said.Detail)
	}
	if !all.done {
		return nil, chatOut{}, errBrokeOff
	}
	out := chatOut{all.text.String(), all.sources}
	if out.Sources == nil {
		out.Sources = []origin.Source{}
	}
	return &mcp.CallToolResult{Meta: mcp.Meta{mcpcache.MetaKey: mcpcache.MetaOfStatus(held.header.Get("Cache-Status"))}}, out, nil
}

// told is a cached function's answer as a result, with how it came about.
func told[V any](r forebay.Result[V]) (*mcp.CallToolResult, V, error) {
	if r.Err != nil {
		return nil, r.Value, plainly(r.Err)
	}
	return &mcp.CallToolResult{Meta: mcp.Meta{mcpcache.MetaKey: mcpcache.MetaOf(r.Outcome)}}, r.Value, nil
}

// plainly says of an error what a client may know.
func plainly(err error) error { return errors.New(asProblem(err).Detail) }
