package mcpcache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A Cache caches what one MCP server answers. It is safe for concurrent use, and has nothing to close.
type Cache struct {
	cache   *forebay.Cache
	options Options                // but for the rules
	rules   atomic.Pointer[ruling] // see SetRules
	calls   atomic.Uint64          // numbers them
	process string                 // tells its sessions from those of other processes

	sessions sessions

	mu      sync.Mutex                                 // guards the fields below
	wrapped map[string]*forebay.Func[question, result] // by class
	flights map[string]map[*call]struct{}
	stats   map[string]*Stats
}

// New returns a cache for one server. Its error names every mistake in the rules.
func New(cache *forebay.Cache, o Options) (*Cache, error) {
	o = o.withDefaults()
	c := &Cache{cache: cache, process: rand.Text(), options: o, wrapped: map[string]*forebay.Func[question, result]{}, flights: map[string]map[*call]struct{}{}, stats: map[string]*Stats{}}
	if err := c.SetRules(o.Rules); err != nil {
		return nil, err
	}
	return c, nil
}

// A ruling is what is cached now.
type ruling struct {
	all     []Rule
	classes map[string]*forebay.Func[question, result]
	ttls    map[string]time.Duration // of the classes
	changed []string                 // the tools whose results other tools make wrong
}

// SetRules replaces [Options.Rules]. What is stored stays, and calls that run end by the rules that they began with. An
// error changes nothing.
func (c *Cache) SetRules(rules []Rule) error {
	o := Options{Rules: rules}.withDefaults()
	if err := o.check(); err != nil {
		return err
	}
	now := &ruling{all: o.Rules, classes: map[string]*forebay.Func[question, result]{}, ttls: map[string]time.Duration{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range o.Rules {
		now.changed = append(now.changed, r.Invalidates...)
		f := c.wrapped[r.Class]
		if f == nil {
			var err error
			if f, err = forebay.Wrap(c.cache, r.Class+"/"+c.options.Server, c.load, forebay.KeepBy(c.keep)); err != nil {
				return fmt.Errorf("mcpcache: class %s: %w", r.Class, err)
			}
			c.wrapped[r.Class] = f
		}
		now.classes[r.Class] = f
	}
	for _, s := range c.cache.Stats().Classes {
		now.ttls[s.Class.Name] = s.Class.TTL
	}
	c.rules.Store(now)
	return nil
}

// classOf is the function of a class; one that no rule names any more is still known.
func (c *Cache) classOf(name string) *forebay.Func[question, result] {
	if f := c.rules.Load().classes[name]; f != nil {
		return f
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrapped[name]
}

// Install puts the cache in front of a server: call it after what checks permissions has been added, which then applies
// to what is cached too.
func (c *Cache) Install(s *mcp.Server) {
	s.AddReceivingMiddleware(c.Receive)
	s.AddSendingMiddleware(c.Send)
}

// Receive is the middleware of a server that answers from the cache; [Cache.Send] belongs to it.
func (c *Cache) Receive(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		return c.serve(ctx, method, req, next, c.callerOf(req))
	}
}

// A call is one request under way.
type call struct {
	number   uint64
	key      string
	ctx      context.Context // the request's own
	method   string
	req      mcp.Request
	next     mcp.MethodHandler
	rule     *Rule
	progress chan *mcp.ProgressNotificationParams // nil: it asked for none

	asked atomic.Bool // the client was asked for something meanwhile
	own   mcp.Result  // of its own load, where that is for nobody else
}

type callKey struct{}

func (c *Cache) serve(ctx context.Context, method string, req mcp.Request, next mcp.MethodHandler, who string) (mcp.Result, error) {
	q, rule, why := c.ask(method, req, who)
	switch {
	case rule == nil:
		return next(ctx, method, req)
	case rule.Invalidates != nil:
		return c.change(ctx, rule, method, req, next)
	}
	if why != "" {
		c.count(q, func(s *Stats) { s.Bypasses++ })
		return next(ctx, method, req)
	}
	f := c.classOf(rule.Class)
	one := &call{number: c.calls.Add(1), key: f.Key(q), ctx: ctx, method: method, req: req, next: next, rule: rule}
	defer c.join(one)()
	r := f.Do(context.WithValue(ctx, callKey{}, one), q)
	c.count(q, func(s *Stats) { s.add(r.Outcome, r.Err != nil || r.Value.Failed) })
	switch {
	case r.Err != nil:
		return c.failed(ctx, method, r.Err)
	case r.Value.Owner == one.number:
		return one.own, nil
	case r.Value.Owner != 0: // it asks another client for something
		return next(ctx, method, req)
	}
	return r.Value.answer(method, rule, r.Outcome)
}

// failed makes an answer of an error: what the protocol says goes on as it is, what the cache says is the tool's.
func (c *Cache) failed(ctx context.Context, method string, err error) (mcp.Result, error) {
	var protocol *jsonrpc.Error
	if errors.As(err, &protocol) {
		return nil, protocol
	}
	if ctx.Err() != nil || method != callTool {
		return nil, err
	}
	var busy *forebay.BusyError
	var panicked *forebay.PanicError
	text := ""
	switch {
	case errors.As(err, &busy):
		text = fmt.Sprintf("the tool is busy: try again in %s", busy.RetryAfter)
	case errors.As(err, &panicked):
		text = "the tool failed"
	case errors.Is(err, forebay.ErrLoadTimeout), errors.Is(err, context.DeadlineExceeded):
		text = "the tool did not answer in time"
	default:
		return nil, err
	}
	return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
}

// load asks the server.
func (c *Cache) load(ctx context.Context, _ question) (result, error) {
	if over, ok := ctx.Value(loadKey{}).(*load); ok {
		return over.fromHTTP(ctx)
	}
	one := ctx.Value(callKey{}).(*call)
	got, err := one.next(ctx, one.method, one.forAll())
	if err != nil {
		return result{}, err
	}
	r, own, err := resultOf(one.method, got)
	if err != nil {
		return result{}, err
	}
	if own || one.asked.Load() {
		one.own = got
		return result{Owner: one.number}, nil
	}
	if one.method == callTool || one.method == getPrompt {
		r.Hint = -1 // there it is no hint, but how long a task is kept
	} else if r.Hint == 0 && !ofClient(one.req) {
		r.Hint = -1 // a server that says nothing: its library writes 0
	}
	if one.rule.Tags != nil {
		name, arguments, _ := namedIn(one.req)
		r.Tags = one.rule.Tags(name, arguments)
	}
	return r, nil
}

// keep says for how long a result is stored.
func (c *Cache) keep(_ context.Context, q question, r result) forebay.Keep {
	if r.Owner != 0 || r.Failed || c.options.MaxResult > 0 && len(r.JSON) > c.options.MaxResult {
		return forebay.Keep{TTL: -1, Stale: -1, StaleIfError: -1}
	}
	if r.Hint == 0 {
		return forebay.Keep{TTL: -1, Stale: -1, StaleIfError: -1}
	}
	keep := forebay.Keep{Tags: append(c.tagsOf(q.Method, q.Name), r.Tags...)}
	if hint := time.Duration(r.Hint) * time.Millisecond; r.Hint > 0 && hint < c.ttl(q) {
		keep.TTL = hint
	}
	return keep
}

// ttl is the time to live that the class of a question gives.
func (c *Cache) ttl(q question) time.Duration {
	if rule := c.ruleOf(q.Method, q.Name); rule != nil {
		return c.rules.Load().ttls[rule.Class]
	}
	return 0
}
