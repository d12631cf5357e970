package mcpcache

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"weak"

	"github.com/forebay-cache/forebay/internal/canon"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	callTool      = "tools/call"
	getPrompt     = "prompts/get"
	readResource  = "resources/read"
	listTools     = "tools/list"
	listPrompts   = "prompts/list"
	listResources = "resources/list"
	listTemplates = "resources/templates/list"
)

// A question is what a result depends on, and so all of it is in the key. Its caller and client are hashes.
type question struct {
	Method    string
	Name      string
	Arguments string
	Caller    string
	Client    string
}

// ask finds the rule of a request, and its key; why says what keeps the cache out of it.
func (c *Cache) ask(method string, req mcp.Request, caller string) (q question, rule *Rule, why string) {
	if _, known := forms[method]; !known {
		return q, nil, ""
	}
	name, arguments, resumes := namedIn(req)
	if rule = c.ruleOf(method, name); rule == nil {
		return q, nil, ""
	}
	q = question{Method: method, Name: name}
	if resumes {
		return q, rule, "it carries input that the server asked for"
	}
	if len(arguments) == 0 {
		arguments = json.RawMessage("{}")
	}
	form, err := canon.JSON(arguments, nil)
	if err == nil && rule.Arguments != nil {
		form, err = only(form, rule.Arguments)
	}
	if err != nil {
		return q, rule, "its arguments are read differently by different parsers"
	}
	q.Arguments = string(form)
	if rule.Arguments != nil { // not what a rule without would store
		q.Arguments = "of these " + q.Arguments
	}
	q.Caller = everybody
	if !rule.Shared {
		q.Caller = caller
	}
	q.Client = clientOf(req, rule)
	return q, rule, ""
}

// everybody is the caller of what a rule says is the same for all: another one than nobody in particular, whom a rule may
// keep apart.
const everybody = "all"

// only leaves the members of an object that are named.
func only(object []byte, names []string) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(object, &all); err != nil {
		return nil, err
	}
	for name := range all {
		if !slices.Contains(names, name) {
			delete(all, name)
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return canon.JSON(text, nil)
}

// namedIn is what a request names, and with which arguments; resumes says that it goes on with an earlier one.
func namedIn(req mcp.Request) (name string, arguments json.RawMessage, resumes bool) {
	text := func(v any) json.RawMessage {
		b, _ := json.Marshal(v) // what comes from JSON always marshals
		return b
	}
	switch p := req.GetParams().(type) {
	case *mcp.CallToolParamsRaw:
		if p != nil {
			return p.Name, p.Arguments, p.InputResponses != nil || p.RequestState != ""
		}
	case *mcp.CallToolParams:
		if p != nil {
			return p.Name, text(p.Arguments), p.InputResponses != nil || p.RequestState != ""
		}
	case *mcp.GetPromptParams:
		if p != nil {
			return p.Name, text(p.Arguments), p.InputResponses != nil || p.RequestState != ""
		}
	case *mcp.ReadResourceParams:
		if p != nil {
			return p.URI, nil, p.InputResponses != nil || p.RequestState != ""
		}
	case *mcp.ListToolsParams:
		return "", text(orEmpty(p).Cursor), false
	case *mcp.ListPromptsParams:
		return "", text(orEmpty(p).Cursor), false
	case *mcp.ListResourcesParams:
		return "", text(orEmpty(p).Cursor), false
	case *mcp.ListResourceTemplatesParams:
		return "", text(orEmpty(p).Cursor), false
	}
	return "", nil, true
}

// orEmpty stands in for parameters that a list does not need.
func orEmpty[T any](p *T) *T {
	if p == nil {
		return new(T)
	}
	return p
}

// credentialFields are what a client says of itself in HTTP.
var credentialFields = []string{"Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-Auth-Token", "X-Access-Token"}

// callerOf names the caller of a request to a server, by a hash: the user of its token with its scopes, else its
// credentials, and the session where the transport has one, because a server may remember something of it. Over HTTP a
// caller without any of them is anybody; on another transport it is its session.
func (c *Cache) callerOf(req mcp.Request) string {
	var parts []string
	extra := req.GetExtra()
	s, ok := req.GetSession().(*mcp.ServerSession)
	overHTTP := extra != nil && (extra.Header != nil || extra.TokenInfo != nil)
	switch {
	case ok && s.ID() != "":
		parts = append(parts, "session", s.ID())
	case ok && !overHTTP:
		parts = append(parts, "session", strconv.FormatUint(c.sessions.number(s), 10), c.process)
	}
	switch {
	case extra == nil:
	case extra.TokenInfo != nil && extra.TokenInfo.UserID != "":
		parts = append(parts, "user", extra.TokenInfo.UserID, strings.Join(slices.Sorted(slices.Values(extra.TokenInfo.Scopes)), " "))
	default:
		parts = append(parts, c.credentials(extra.Header)...)
	}
	return hashed(parts)
}

func (c *Cache) credentials(h http.Header) (parts []string) {
	for _, name := range c.options.Credentials {
		for _, line := range h[name] {
			parts = append(parts, name, line)
		}
	}
	return parts
}

// sessions number those that have no name. An address alone would name a later one too.
type sessions struct {
	mu   sync.Mutex // guards the fields below
	last uint64
	by   map[weak.Pointer[mcp.ServerSession]]uint64
}

func (s *sessions) number(of *mcp.ServerSession) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := weak.Make(of)
	if n := s.by[p]; n > 0 {
		return n
	}
	if s.by == nil {
		s.by = map[weak.Pointer[mcp.ServerSession]]uint64{}
	}
	s.last++
	s.by[p] = s.last
	runtime.AddCleanup(of, func(p weak.Pointer[mcp.ServerSession]) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.by, p)
	}, p)
	return s.last
}

// clientOf is the revision of the protocol, in which results have another form, and hashes of what the client can do and of
// the fields that the rule names.
func clientOf(req mcp.Request, rule *Rule) string {
	fields := ""
	if extra := req.GetExtra(); extra != nil {
		for _, name := range rule.Headers {
			fields += " " + hashed(extra.Header[name])
		}
	}
	s, ok := req.GetSession().(*mcp.ServerSession)
	if !ok {
		return fields
	}
	p := s.InitializeParams()
	if p == nil {
		return fields
	}
	if rule.AnyClient || p.Capabilities == nil {
		return p.ProtocolVersion + fields
	}
	text, err := json.Marshal(p.Capabilities)
	if err != nil {
		text = []byte(err.Error()) // then all of them are one kind, which no rule of the protocol needs
	}
	return p.ProtocolVersion + " " + hashed([]string{string(text)}) + fields
}

// hashed is a name for parts; none has none.
func hashed(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	text, _ := json.Marshal(parts) // strings always marshal
	sum := sha256.Sum256(append([]byte("forebay mcp "), text...))
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}
