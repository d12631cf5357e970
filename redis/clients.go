package redis

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"github.com/redis/rueidis"
)

// clients are how the tier speaks to its servers: by one connection to that which carries the log, and,
// in a cluster, by another client to those that hold the values. Else they are one and the same.
type clients struct{ log, values rueidis.Client }

func (c *clients) close() {
	c.log.Close()
	if c.values != c.log {
		c.values.Close()
	}
}

// openValues opens the client of a cluster's values.
func (t *Tier) openValues() (rueidis.Client, error) {
	o := t.endpoint.server
	o.InitAddress = t.endpoint.seeds
	o.ForceSingleClient = false
	o.DialCtxFn = t.dialValues
	return rueidis.NewClient(o)
}

// dialValues lets everybody dial but requests: the client keeps its view of the cluster itself.
func (t *Tier) dialValues(ctx context.Context, addr string, d *net.Dialer, cfg *tls.Config) (net.Conn, error) {
	if who, marked := ctx.Value(dialKey{}).(dialFor); marked && who == dialNever {
		return nil, errNoDial
	}
	if cfg != nil {
		return t.sockets.keep((&tls.Dialer{NetDialer: d, Config: serverName(cfg, addr)}).DialContext(ctx, "tcp", addr))
	}
	return t.sockets.keep(d.DialContext(ctx, "tcp", addr))
}

// wake dials, in requests' stead, the servers that the client has lost or just heard of.
func (c *clients) wake(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, seedTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, server := range c.values.Nodes() {
		all.Go(func() { server.Do(ctx, server.B().Ping().Build()) }) // one that is away stays away
	}
	all.Wait()
}
