package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// An endpoint is where the server is that carries the log: at an address, wherever sentinels say that the
// master is, or where a cluster has the log's slot. In a cluster the values are on all its servers.
type endpoint struct {
	server  rueidis.ClientOption
	seeds   []string // sentinels, or servers of the cluster: host:port each; none: the address is fixed
	cluster bool
	master  string // its name, as the sentinels know it
	logKey  string
	as      struct{ user, password string } // to present oneself to the seeds
}

// endpointOf reads what the options name: a URL, or a client of the user's.
func (t *Tier) endpointOf() (endpoint, error) {
	c := t.o.Client
	switch {
	case c == nil:
		e, err := parseURL(t.o.URL)
		if err != nil {
			err = fmt.Errorf("the URL is not of the form redis://[user:password@]host:port[/db]: %w", err)
		}
		return e, err
	case t.o.URL != "":
		return endpoint{}, errors.New("Options has URL and Client: leave one of them out")
	case len(c.InitAddress) == 0:
		return endpoint{}, errors.New("Options.Client: InitAddress names no server")
	}
	e := endpoint{server: *c}
	switch {
	case c.Sentinel.MasterSet != "":
		e.master, e.seeds = c.Sentinel.MasterSet, c.InitAddress
		e.as.user, e.as.password = c.Sentinel.Username, c.Sentinel.Password
	case len(c.InitAddress) > 1:
		e.cluster, e.seeds = true, c.InitAddress
		e.as.user, e.as.password = c.Username, c.Password
	}
	e.server.InitAddress, e.server.Sentinel = c.InitAddress[:1], rueidis.SentinelOption{}
	return e, nil
}

const (
	sentinelPort = "26379"
	clusterPort  = "6379"
)

// parseURL reads redis://[user:password@]host:port[/db], rediss:// with TLS,
// redis://host:port,host:port?cluster=true, and
// redis+sentinel://[user:password@]host[:port][,host…]/master[/db] or rediss+sentinel://, where
// ?sentinel_user= and ?sentinel_password= present the client to the sentinels. host:port alone is redis://host:port.
func parseURL(text string) (endpoint, error) {
	if host, port, err := net.SplitHostPort(text); err == nil && host != "" && port != "" {
		text = "redis://" + text
	}
	scheme, rest, _ := strings.Cut(text, "://")
	plain, sentinel := strings.CutSuffix(scheme, "+sentinel")
	u, err := url.Parse(plain + "://" + rest)
	if err != nil {
		return endpoint{}, err
	}
	e := endpoint{cluster: u.Query().Get("cluster") == "true"}
	if !sentinel && !e.cluster {
		e.server, err = rueidis.ParseURL(text)
		return e, err
	}
	port := clusterPort
	server := url.URL{Scheme: plain, User: u.User}
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	switch {
	case u.Host == "":
		return endpoint{}, errors.New("there is no host in it")
	case sentinel && (path[0] == "" || len(path) > 2):
		return endpoint{}, errors.New("sentinels are written redis+sentinel://host:26379,host:26379/name-of-the-master")
	case sentinel:
		port, e.master = sentinelPort, path[0]
		e.as.user, e.as.password = u.Query().Get("sentinel_user"), u.Query().Get("sentinel_password")
		if len(path) == 2 {
			server.Path = "/" + path[1]
		}
	case path[0] != "":
		return endpoint{}, errors.New("a cluster has no databases to choose from")
	default:
		e.as.user = u.User.Username()
		e.as.password, _ = u.User.Password()
	}
	for host := range strings.SplitSeq(u.Host, ",") {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		e.seeds = append(e.seeds, host)
	}
	server.Host = e.seeds[0]
	e.server, err = rueidis.ParseURL(server.String())
	return e, err
}

// seedTimeout bounds what one seed may cost the prober.
const seedTimeout = 500 * time.Millisecond

// locate returns the address of the server that carries the log: the first seed's that knows it.
func (e endpoint) locate(ctx context.Context) (string, error) {
	var refused []error
	for _, addr := range e.seeds {
		found, err := e.ask(ctx, addr)
		if err == nil {
			return found, nil
		}
		refused = append(refused, fmt.Errorf("%s: %w", addr, err))
	}
	return "", errors.Join(refused...)
}

func (e endpoint) ask(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, seedTimeout)
	defer cancel()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{addr}, Username: e.as.user, Password: e.as.password, TLSConfig: serverName(e.server.TLSConfig, addr),
		ForceSingleClient: true, DisableCache: true, DisableRetry: true, PipelineMultiplex: -1,
		Dialer: net.Dialer{Timeout: seedTimeout},
	})
	if err != nil {
		return "", err
	}
	defer client.Close()
	if e.cluster {
		return e.ownerOfLog(ctx, client, addr)
	}
	parts, err := client.Do(ctx, client.B().Arbitrary("SENTINEL", "GET-MASTER-ADDR-BY-NAME", e.master).Build()).AsStrSlice()
	if rueidis.IsRedisNil(err) || err == nil && len(parts) != 2 {
		return "", fmt.Errorf("it knows no master named %q", e.master)
	}
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(parts[0], parts[1]), nil
}

// ownerOfLog asks a server of a cluster which master has the log's slot.
func (e endpoint) ownerOfLog(ctx context.Context, c rueidis.Client, addr string) (string, error) {
	slot, err := c.Do(ctx, c.B().ClusterKeyslot().Key(e.logKey).Build()).AsInt64()
	if err != nil {
		return "", err
	}
	spans, err := c.Do(ctx, c.B().ClusterSlots().Build()).ToArray()
	if err != nil {
		return "", err
	}
	for _, span := range spans {
		parts, err := span.ToArray()
		if err != nil || len(parts) < 3 {
			continue
		}
		from, err1 := parts[0].AsInt64()
		to, err2 := parts[1].AsInt64()
		master, err3 := parts[2].ToArray()
		if errors.Join(err1, err2, err3) != nil || slot < from || slot > to || len(master) < 2 {
			continue
		}
		host, err := master[0].ToString()
		if err != nil || host == "" {
			host, _, _ = net.SplitHostPort(addr) // the server that was asked does not know its own name
		}
		port, err := master[1].AsInt64()
		return net.JoinHostPort(host, strconv.FormatInt(port, 10)), err
	}
	return "", fmt.Errorf("no server has the slot %d of the log: the cluster is down", slot)
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
