package gateway

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// nameEvery is how often the name of a server is looked up.
var nameEvery = 10 * time.Second

// resolver looks names up; tests have one of their own.
var resolver = net.DefaultResolver

// named reports whether a server is reached by a name that may lead elsewhere later.
func (s *server) named() bool {
	host := s.at.Hostname()
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && host != "localhost" && s.at.Opaque == ""
}

// watchName looks a server's name up until ctx ends. When its addresses change, new requests get new connections: one that
// is used all the time would stay where the name led when it was made. Those under way end where they are. A look-up that
// fails changes nothing.
func (u *upstream) watchName(ctx context.Context, s *server) {
	known := lookUp(ctx, s.at.Hostname())
	tick := time.NewTicker(nameEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := lookUp(ctx, s.at.Hostname())
		if now == nil || slices.Equal(known, now) {
			continue
		}
		if known != nil {
			u.logger.Info("gateway: the name of a server leads elsewhere now", "origin", u.name(), "server", s.text, "addresses", strings.Join(now, " "))
			old := s.transport.Swap(s.dial())
			old.CloseIdleConnections() // those that come back later end after originIdle
		}
		known = now
	}
}

// lookUp returns the addresses of a name in one order; nil: they are not known.
func lookUp(ctx context.Context, host string) []string {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	out, err := resolver.LookupHost(ctx, host)
	if err != nil {
		return nil
	}
	slices.Sort(out)
	return out
}
