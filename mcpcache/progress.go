package mcpcache

import (
	"context"
	"fmt"
	"maps"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// progressQueue is how many notifications wait for a slow client; beyond it they are left out, which the protocol allows.
const progressQueue = 16

// join lets a call hear of the progress of the load under its key, until leave is called.
func (c *Cache) join(one *call) (leave func()) {
	done := make(chan struct{})
	if token := progressToken(one.req); token == nil {
		close(done)
	} else {
		one.progress = make(chan *mcp.ProgressNotificationParams, progressQueue)
		go one.pass(token, done)
	}
	c.mu.Lock()
	if c.flights[one.key] == nil {
		c.flights[one.key] = map[*call]struct{}{}
	}
	c.flights[one.key][one] = struct{}{}
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		if delete(c.flights[one.key], one); len(c.flights[one.key]) == 0 {
			delete(c.flights, one.key)
		}
		if one.progress != nil {
			close(one.progress)
		}
		c.mu.Unlock()
		<-done // nothing is sent for a request that has been answered
	}
}

// pass sends a call the progress of its load, by its own token and on its own stream.
func (o *call) pass(token any, done chan<- struct{}) {
	defer close(done)
	session, _ := o.req.GetSession().(*mcp.ServerSession)
	for p := range o.progress {
		if session == nil || o.ctx.Err() != nil {
			continue
		}
		mine := *p
		mine.ProgressToken = token
		session.NotifyProgress(o.ctx, &mine) // who cannot be reached misses it
	}
}

func progressToken(req mcp.Request) any {
	if r, ok := req.(*mcp.CallToolRequest); ok {
		return r.Params.GetProgressToken()
	}
	return nil // nothing else runs for long
}

// loadToken is what a tool reports its progress by while it runs for all.
func (o *call) loadToken() string { return fmt.Sprint("forebay-load-", o.number) }

// forAll is the request of a load: a tool reports its progress by a token of the load, also where the one caller that
// leads it asked for none, because others may.
func (o *call) forAll() mcp.Request {
	r, ok := o.req.(*mcp.CallToolRequest)
	if !ok {
		return o.req
	}
	params := *r.Params
	params.Meta = maps.Clone(params.Meta)
	params.SetProgressToken(o.loadToken())
	return &mcp.CallToolRequest{Session: r.Session, Params: &params, Extra: r.Extra}
}

// askingMethods are those by which a server asks its client for something in the middle of a call: the result depends on
// who was asked.
var askingMethods = map[string]bool{"elicitation/create": true, "sampling/createMessage": true, "roots/list": true}

// Send is the middleware of a server through which it tells its clients: progress of a load goes to all that wait for it,
// and what was asked of one client is for that client alone. It also hears that a list or a resource has changed.
func (c *Cache) Send(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		one, loading := ctx.Value(callKey{}).(*call)
		switch {
		case loading && askingMethods[method]:
			one.asked.Store(true)
		case loading && method == "notifications/progress":
			if p, ok := req.GetParams().(*mcp.ProgressNotificationParams); ok && p.ProgressToken == any(one.loadToken()) {
				c.tell(one.key, p)
				return nil, nil
			}
		default:
			c.heard(ctx, method, req)
		}
		return next(ctx, method, req)
	}
}

// tell passes progress on to all that wait for the load of a key.
func (c *Cache) tell(key string, p *mcp.ProgressNotificationParams) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for one := range c.flights[key] {
		if one.progress == nil {
			continue
		}
		select {
		case one.progress <- p:
		default:
		}
	}
}
