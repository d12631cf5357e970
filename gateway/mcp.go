package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/mcpcache"
	"github.com/goccy/go-yaml/ast"
)

// An MCPRule says what is cached of an MCP server behind the gateway.
type MCPRule struct {
	mcpcache.Rule
	Path string // of its endpoint
}

// defaultMCPPath is where MCP servers usually are.
const defaultMCPPath = "/mcp"

// mcpRule reads the part of a route that makes it one of an MCP server.
func (d *decoder) mcpRule(n ast.Node, to *MCPRule) {
	d.mapping(n, fields{
		"method":      d.text(&to.Method),
		"name":        d.text(&to.Name),
		"arguments":   d.texts(&to.Arguments),
		"any_client":  d.boolean(&to.AnyClient),
		"invalidates": d.texts(&to.Invalidates),
	})
	if err := to.Check(); err != nil {
		d.wrong(n, "%v", err)
	}
}

// takeMCP makes a rule of a route for MCP: its match, if any, is POST and a path.
func (d *decoder) takeMCP(n ast.Node, rule httpcache.Rule, mcp MCPRule) MCPRule {
	mcp.Path, mcp.Class, mcp.Shared, mcp.Headers = defaultMCPPath, rule.Class, rule.Shared, rule.Headers
	if mcp.Class == "" {
		mcp.Class = otherClass
	}
	if rule.Match != "" {
		path, ok := strings.CutPrefix(rule.Match, "POST ")
		if mcp.Path = strings.TrimSpace(path); !ok || !strings.HasPrefix(mcp.Path, "/") || strings.ContainsAny(mcp.Path, "{}") {
			d.wrong(n, "a route with mcp matches one path: write match: POST /mcp, or leave it out")
		}
	}
	return mcp
}

// mcpFront is the way in for MCP servers: what no rule of them names goes on to the HTTP cache.
type mcpFront struct {
	cache    *mcpcache.Cache
	handlers map[string]http.Handler // by path
	next     http.Handler
}

// newMCPFront puts the cache of MCP before next; nil opens one, and one that is there goes on with these rules.
func newMCPFront(c *forebay.Cache, cache *mcpcache.Cache, rules []MCPRule, to *origins, next http.Handler) (*mcpFront, error) {
	var all []mcpcache.Rule
	var paths []string
	for _, r := range rules {
		all = append(all, r.Rule)
		if !slices.Contains(paths, r.Path) {
			paths = append(paths, r.Path)
		}
	}
	var err error
	if cache == nil {
		cache, err = mcpcache.New(c, mcpcache.Options{Rules: all})
	} else {
		err = cache.SetRules(all)
	}
	if err != nil {
		return nil, err
	}
	f := &mcpFront{cache: cache, handlers: map[string]http.Handler{}, next: next}
	h := cache.Handler(mcpcache.HandlerOptions{Origin: to.forMany(), Next: next, CacheStatus: httpcache.Status})
	for _, path := range paths {
		f.handlers[path] = h
	}
	return f, nil
}

func (f *mcpFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := f.handlers[r.URL.Path]; h != nil {
		h.ServeHTTP(w, r)
		return
	}
	f.next.ServeHTTP(w, r)
}

// explain says what the cache of MCP makes of a request, as the HTTP cache would.
func (f *mcpFront) explain(r *http.Request, c *forebay.Cache) (httpcache.Explanation, bool) {
	x, ok := f.cache.Explain(r)
	if !ok {
		return httpcache.Explanation{}, false
	}
	e := httpcache.Explanation{Request: r.Method + " " + r.Host + r.URL.RequestURI(), Rule: "mcp " + x.Rule.Method + " " + x.Rule.Name, Class: x.Class, Bypass: x.Why, Key: x.Key}
	if x.Why != "" {
		e.Would, e.Why = "bypass", x.Why
		return e, true
	}
	held, stored := c.Entry(x.Key)
	switch {
	case !stored:
		e.Would, e.Why = "miss", "not in the near tier of this node"
		return e, true
	case held.TTL <= 0:
		e.Would, e.Why = "stale", "its time is up"
	default:
		e.Would = "hit"
	}
	e.Stored = &httpcache.Kept{Status: http.StatusOK, Tier: forebay.TierNear.String(), Bytes: int64(held.Bytes), Age: held.Age, Left: held.TTL, Tags: held.Tags}
	return e, true
}
