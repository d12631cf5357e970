package main

import (
	"net"
	"net/netip"
	"time"

	"github.com/forebay-cache/forebay/gateway"
	"github.com/pires/go-proxyproto"
)

// proxyHeaderTimeout is how long a proxy has to say who the client is.
const proxyHeaderTimeout = 5 * time.Second

// proxied returns a listener whose connections come from where the trusted proxies say (PROXY protocol, versions 1 and 2).
// What any other peer says of it is no more than the bytes of its request.
func proxied(l net.Listener, c gateway.Listen, g *gateway.Gateway) net.Listener {
	if !c.ProxyProtocol {
		return l
	}
	return &proxyproto.Listener{
		Listener: l, ReadHeaderTimeout: proxyHeaderTimeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			peer, err := netip.ParseAddrPort(o.Upstream.String())
			if err != nil || !g.Trusts(peer.Addr()) {
				return proxyproto.SKIP, nil
			}
			return proxyproto.USE, nil
		},
	}
}
