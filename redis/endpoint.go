package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// An endpoint is where the server is: at an address, or wherever sentinels say that the master is.
type endpoint struct {
	server    rueidis.ClientOption
	sentinels []string // host:port each; none: the server's address is fixed
	master    string   // its name, as the sentinels know it
	asSentinel
}

// asSentinel is how to present oneself to the sentinels.
type asSentinel struct{ user, password string }

const defaultSentinelPort = "26379"

// parseURL reads redis://[user:password@]host:port[/db], rediss:// with TLS, and
// redis+sentinel://[user:password@]host[:port][,host…]/master[/db] or rediss+sentinel://, where
// ?sentinel_user= and ?sentinel_password= present the client to the sentinels.
func parseURL(text string) (endpoint, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	plain, isSentinel := strings.CutSuffix(scheme, "+sentinel")
	if !isSentinel {
		o, err := rueidis.ParseURL(text)
		return endpoint{server: o}, err
	}
	u, err := url.Parse(plain + "://" + rest)
	if err != nil {
		return endpoint{}, err
	}
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	if u.Host == "" || path[0] == "" || len(path) > 2 {
		return endpoint{}, errors.New("sentinels are written redis+sentinel://host:26379,host:26379/name-of-the-master")
	}
	e := endpoint{master: path[0], asSentinel: asSentinel{u.Query().Get("sentinel_user"), u.Query().Get("sentinel_password")}}
	for host := range strings.SplitSeq(u.Host, ",") {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), defaultSentinelPort)
		}
		e.sentinels = append(e.sentinels, host)
	}
	server := url.URL{Scheme: plain, User: u.User, Host: e.sentinels[0]}
	if len(path) == 2 {
		server.Path = "/" + path[1]
	}
	e.server, err = rueidis.ParseURL(server.String())
	return e, err
}

// sentinelTimeout bounds what one sentinel may cost the prober.
const sentinelTimeout = 500 * time.Millisecond

// locate returns the address of the master: the first sentinel's that knows it.
func (e endpoint) locate(ctx context.Context) (string, error) {
	var refused []error
	for _, addr := range e.sentinels {
		found, err := e.ask(ctx, addr)
		if err == nil {
			return found, nil
		}
		refused = append(refused, fmt.Errorf("sentinel %s: %w", addr, err))
	}
	return "", errors.Join(refused...)
}

func (e endpoint) ask(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, sentinelTimeout)
	defer cancel()
	o := rueidis.ClientOption{
		InitAddress: []string{addr}, Username: e.user, Password: e.password, TLSConfig: serverName(e.server.TLSConfig, addr),
		ForceSingleClient: true, DisableCache: true, DisableRetry: true, PipelineMultiplex: -1,
		Dialer: net.Dialer{Timeout: sentinelTimeout},
	}
	client, err := rueidis.NewClient(o)
	if err != nil {
		return "", err
	}
	defer client.Close()
	parts, err := client.Do(ctx, client.B().Arbitrary("SENTINEL", "GET-MASTER-ADDR-BY-NAME", e.master).Build()).AsStrSlice()
	if rueidis.IsRedisNil(err) || err == nil && len(parts) != 2 {
		return "", fmt.Errorf("it knows no master named %q", e.master)
	}
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(parts[0], parts[1]), nil
}

// serverName is a TLS configuration for a server at an address.
func serverName(c *tls.Config, addr string) *tls.Config {
	if c == nil {
		return nil
	}
	c = c.Clone()
	if host, _, err := net.SplitHostPort(addr); err == nil {
		c.ServerName = host
	}
	return c
}
