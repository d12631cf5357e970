package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// MCPOptions configure [Admin.MCP].
type MCPOptions struct {
	// Name of the server, as clients show it. Default "forebay".
	Name string
	// Instructions tell a model what the server is for.
	Instructions string
	// Token is what a client sends as "Authorization: Bearer …" that may use the tools of Add and no operators' tools.
	// The admin's own tokens may do that too, and what their role allows. Default: none.
	Token string
	// Loopback says that the listener is bound to a loopback address: then a direct request needs no token.
	Loopback bool
	// Add adds tools beside those of the operators. May be nil.
	Add func(*mcp.Server)
}

// A role is what a client of the MCP server may do.
type role int

const (
	roleNone    role = iota // use the tools that are not the operators'
	roleRead                // see keys
	roleOperate             // change something
)

// MCP returns an MCP server over streamable HTTP, without sessions: the operators' tools for whom the admin's tokens let
// operate, and those of Add for all that may reach it. A page of another origin reaches nothing.
func (a *Admin) MCP(o MCPOptions) http.Handler {
	servers := map[role]*mcp.Server{}
	for _, r := range []role{roleNone, roleRead, roleOperate} {
		servers[r] = a.newMCP(o, r)
	}
	h := mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server { return servers[roleOf(r.Context())] },
		&mcp.StreamableHTTPOptions{Stateless: true, PropagateRequestCancellation: true, MaxRequestBodyBytes: maxMCPBody, Logger: a.o.Logger})
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		excludeFromMetrics(w)
		who, what, no := a.mayMCP(r, o)
		if no != nil {
			if no.status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="forebay"`)
			}
			http.Error(w, no.detail, no.status)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Accel-Buffering", "no")
		by := caller{who.name, who.operate, r.RemoteAddr, r.TLS != nil}
		ctx := context.WithValue(context.WithValue(r.Context(), roleKey{}, what), callerKey{}, by)
		h.ServeHTTP(w, r.WithContext(ctx))
	}))
}

// maxMCPBody bounds a request.
const maxMCPBody = 1 << 20

type roleKey struct{}

func roleOf(ctx context.Context) role {
	r, _ := ctx.Value(roleKey{}).(role)
	return r
}

// mayMCP says who a client is, and what it may do.
func (a *Admin) mayMCP(r *http.Request, o MCPOptions) (identity, role, *refusal) {
	direct := o.Loopback && !forwarded(r) && loopbackHost(r.Host)
	given, has := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if has {
		if who, ok := a.identify(given); ok {
			if who.operate {
				return who, roleOperate, nil
			}
			return who, roleRead, nil
		}
		one, other := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(o.Token))
		if o.Token != "" && subtle.ConstantTimeCompare(one[:], other[:]) == 1 {
			return identity{name: "mcp"}, roleNone, nil
		}
		return identity{}, roleNone, &refusal{http.StatusUnauthorized, "this is neither the token of the MCP server (FOREBAY_MCP_TOKEN) nor one of the operators (FOREBAY_ADMIN_TOKEN)"}
	}
	switch {
	case direct && len(a.tokens) == 0:
		return identity{operate: true}, roleOperate, nil
	case direct:
		return identity{}, roleNone, nil
	case o.Token == "" && len(a.tokens) == 0:
		return identity{}, roleNone, &refusal{http.StatusForbidden, "set FOREBAY_MCP_TOKEN and send it as 'Authorization: Bearer …'; without a token only direct requests to a loopback address are served"}
	}
	return identity{}, roleNone, &refusal{http.StatusUnauthorized, "send the token as 'Authorization: Bearer …'"}
}

// ServeMCP serves one client over a transport, such as standard input and output, that may operate: until it leaves, or
// ctx ends.
func (a *Admin) ServeMCP(ctx context.Context, t mcp.Transport, o MCPOptions) error {
	ctx = context.WithValue(ctx, callerKey{}, caller{name: "mcp", operate: true, address: "this machine"})
	return a.newMCP(o, roleOperate).Run(ctx, t)
}

// newMCP makes a server for a role.
func (a *Admin) newMCP(o MCPOptions, r role) *mcp.Server {
	name := o.Name
	if name == "" {
		name = "forebay"
	}
	s := mcp.NewServer(&mcp.Implementation{Name: name, Title: "Forebay", Version: a.o.Version}, &mcp.ServerOptions{
		Instructions: o.Instructions, Logger: a.o.Logger, SchemaCache: schemas,
		// What is listed differs by role, and what is read changes by the second.
		SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) { c.TTLMs, c.CacheScope = 0, "private" },
	})
	s.AddReceivingMiddleware(a.watchMCP)
	a.mcp.served.Store(true)
	if o.Add != nil {
		o.Add(s)
	}
	if r >= roleRead {
		a.addReadingTools(s)
		a.addReceiptTool(s)
		a.addResources(s)
		addPrompts(s)
	}
	if r >= roleOperate {
		a.addOperatingTools(s)
	}
	return s
}

// schemas are made of types once, for all servers.
var schemas = mcp.NewSchemaCache()
