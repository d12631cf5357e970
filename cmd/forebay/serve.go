package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/docs"
	"github.com/forebay-cache/forebay/edge"
	"github.com/forebay-cache/forebay/edge/cdn"
	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/redis"
	"github.com/forebay-cache/forebay/relay"
	"github.com/forebay-cache/forebay/shared"
	"github.com/forebay-cache/forebay/web"
)

type serveCommand struct {
	listenFlags
	Origin    string   `placeholder:"URL" help:"The API to stand in front of: http://HOST:PORT, https://HOST, or h2c://HOST:PORT."`
	Config    string   `placeholder:"FILE" help:"YAML file with origin, profile, classes and routes. Flags win over it."`
	Profile   string   `placeholder:"safe|rfc" help:"How far to trust origin and clients. Default safe."`
	Cache     []string `sep:"none" placeholder:"'PATTERN=TTL'" help:"Cache a route for so long where the origin does not say: 'GET /api/partners=15m'. Repeatable."`
	Redis     string   `placeholder:"URL" env:"REDIS_URL,FOREBAY_REDIS" help:"Shared tier, on Redis or Valkey. Default: near tier only."`
	Journal   string   `placeholder:"FILE" help:"Keeps the invalidations that Redis does not have yet, so that they survive a crash; each process needs its own. Default: memory."`
	Secret    string   `env:"FOREBAY_SECRET" hidden:""`
	Trusted   []string `name:"trusted-proxies" placeholder:"CIDR" help:"Proxies in front that may say who the client is (Forwarded, X-Forwarded-*): 10.0.0.0/8. Repeatable."`
	TLS       string   `name:"tls" placeholder:"self-signed" enum:",self-signed" default:"" help:"Speak TLS with a certificate that is made at the start and that nobody trusts: for development."`
	HTTP3     string   `name:"http3" default:"" enum:",on,off" placeholder:"on|off" help:"Serve HTTP/3 on the same port of UDP. Default on with TLS."`
	TLSCert   string   `name:"tls-cert" placeholder:"FILE" help:"Speak TLS on the public listener, with this certificate (PEM). It is read again when it changes."`
	TLSKey    string   `name:"tls-key" placeholder:"FILE" help:"The certificate's key (PEM)."`
	ACME      []string `name:"acme" placeholder:"DOMAIN" help:"Obtain a certificate for this name from Let's Encrypt, and renew it; port 443 of the name must lead to the public listener. Repeatable."`
	Lane      string   `default:"on" enum:"on,off" placeholder:"on|off" help:"Answer what was asked before, in the same words, below net/http. Off too with an access log or traces."`
	NearBytes byteSize `placeholder:"SIZE" help:"Memory of the near tier. Default: a quarter of what the process may use, at most 512MiB."`
}

// Run serves the gateway until it is told to stop.
func (c *serveCommand) Run(t terminal) error {
	logger := c.logger(t.err)
	config, err := c.config()
	if err != nil {
		return usageError{err}
	}
	c.warn(logger, config)
	limitMemory()
	tier, parents, err := c.tiers(t.ctx, config, logger)
	if err != nil {
		return err
	}
	if tier != nil {
		defer tier.Close()
	}
	o, err := c.options(config, tier, logger)
	if err != nil {
		return usageError{err}
	}
	if parents != nil {
		defer parents.Close()
		o.Shared = parents
	}
	return c.serve(t, logger, config, o, tier)
}

// serve opens the gateway on its tiers, and what stands around it, until it is told to stop.
func (c *serveCommand) serve(t terminal, logger *slog.Logger, config gateway.Config, o gateway.Options, tier *redis.Tier) error {
	secure, err := c.certificate(config.Listen, tier, logger)
	if err != nil {
		return usageError{err}
	}
	defer secure.close()
	g, err := gateway.Open(t.ctx, o)
	if err != nil {
		return usageError{err}
	}
	defer g.Close()
	traces, err := openTraces(t.ctx, logger)
	if err != nil {
		return err
	}
	defer traces.close()
	own, err := c.listen(config.Listen.Addr)
	if err != nil {
		return err
	}
	clients := newClients(g.MaxConnections())
	s := servers{logger: logger, accessLog: c.accessLogging(), out: t.out, own: own}
	if on := config.Listen.HTTP3; secure != nil && (on == nil || *on) {
		s.serveHTTP3(g, secure.config())
	}
	ao := c.adminOptions(g, own, tier)
	ao.Shared, ao.Certificate = o.Shared, secure.problem()
	ao.Limits = func() []forebay.Limit { return append(append(g.Limits(), clients.limit()), s.quic.limits()...) }
	if c.lanePossible(traces) {
		ao.Lane = s.laneStats
	}
	ao.Logger, ao.Parts, ao.TraceID = logger, admin.Parts{Front: "gateway", Origin: hostOf(config.Origin)}, traces.id()
	a := admin.New(g.Cache(), ao)
	s.stopping = a.Close
	if c.Journal != "" {
		s.keeps = "--journal " + c.Journal
	}
	fast := c.laneOptions(g, clients, a, traces, secure != nil)
	if err := s.addGateway(proxied(own.public, config.Listen, g), g, clients, secure.config(), fast, c.withHealth(a.Handler(), traces.handler(a.Measure(g)))); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "gateway   %s://%s -> %s\n", secure.scheme(), own.public.Addr(), cmp.Or(config.Origin, "its origins"))
	if own.operators != nil {
		s.add(own.operators, withProfiles(a, withMCP(a.MCP(admin.MCPOptions{Loopback: isLoopback(own.operators)}), web.Handler("/", a.Handler()))))
		fmt.Fprintf(t.out, "admin     http://%s\n", own.operators.Addr())
	}
	if err := secure.manage(t.ctx, own.public.Addr(), config.Listen.ACME.Domains); err != nil {
		return err
	}
	return serveAndReload(t.ctx, &s, newReloader(c, g, secure, clients, a, logger))
}

// serveAndReload serves, and reloads the configuration meanwhile.
func serveAndReload(ctx context.Context, s *servers, r *reloader) error {
	watching, stop := context.WithCancel(ctx)
	var reloading sync.WaitGroup
	reloading.Go(func() { r.run(watching) })
	err := s.serve(ctx)
	stop()
	reloading.Wait()
	return err
}

// tiers opens the shared tier, or the log of the parents.
func (c *serveCommand) tiers(ctx context.Context, config gateway.Config, logger *slog.Logger) (*redis.Tier, *relay.Client, error) {
	if len(config.Parents) == 0 {
		tier, err := openTier(ctx, c.Redis, logger)
		return tier, nil, err
	}
	if c.Redis != "" {
		return nil, nil, usageError{errors.New("parents and --redis exclude each other: a child has the log of its parents; give it --redis alone where it can reach theirs")}
	}
	keys, err := keysOf(config.KeysEnv)
	if err != nil {
		return nil, nil, usageError{err}
	}
	if keys == nil && c.Secret != "" {
		keys = [][]byte{[]byte(c.Secret)}
	}
	parents, err := relay.Open(relay.Options{Parents: config.Parents, Token: c.token(), Keys: keys, Coarse: true, Logger: logger})
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--config: parents: %w", err)}
	}
	return nil, parents, nil
}

// token is what gateways of one deployment show each other; empty without a secret.
func (c *serveCommand) token() string {
	if c.Secret == "" {
		return ""
	}
	return relay.Token([]byte(c.Secret))
}

// certificate is that of the public listener; nil: there is no TLS.
func (c *serveCommand) certificate(l gateway.Listen, tier *redis.Tier, logger *slog.Logger) (*certificate, error) {
	if len(l.ACME.Domains) == 0 {
		return certificateOf(l, c.TLS == "self-signed")
	}
	var storage shared.Tier
	if tier != nil {
		storage = tier
	}
	from, err := newAuthority(l, storage, c.Secret, logger)
	if err != nil {
		return nil, err
	}
	return &certificate{from: from}, nil
}

func (c *serveCommand) warn(logger *slog.Logger, config gateway.Config) {
	for _, warning := range config.Warnings {
		logger.Warn("gateway: " + c.Config + ":" + warning)
	}
}

// options are the gateway's.
func (c *serveCommand) options(config gateway.Config, tier *redis.Tier, logger *slog.Logger) (gateway.Options, error) {
	o := gateway.Options{Config: config, NearBytes: int64(c.NearBytes), Journal: c.Journal, Secret: []byte(c.Secret), Token: c.token(), Logger: logger}
	if tier != nil {
		o.Shared = tier
	}
	var err error
	if o.Keys, err = keysOf(config.KeysEnv); err != nil {
		return o, err
	}
	if config.Children && (c.Secret == "" || c.Redis == "") {
		return o, errors.New("--config: children: true needs FOREBAY_SECRET, by which they are known, and --redis, whose log they have")
	}
	if o.Purger, err = purgerOf(config.CDN); err != nil {
		return o, err
	}
	if len(o.Secret) == 0 {
		o.Secret = []byte(rand.Text())
		if o.Keys == nil {
			o.Keys = [][]byte{} // no other node would have this one
		}
		if c.Redis != "" {
			logger.Warn("FOREBAY_SECRET is not set: what callers with credentials get is not shared between nodes")
		}
	}
	return o, nil
}

// adminOptions are what operators see of the gateway.
func (c *serveCommand) adminOptions(g *gateway.Gateway, own listeners, tier *redis.Tier) admin.Options {
	o := c.operators(own.operators, tier)
	o.Version, o.Ask, o.Requirements, o.Edge = thisBuild().short(), g, docs.Requirements, g.Edge()
	o.Explain, o.Rule, o.URLTag = explainer(g), g.Rule, g.URITag
	o.Advice = func() []admin.Advice {
		var out []admin.Advice
		for _, one := range g.Advice() {
			out = append(out, admin.Advice{
				Route: one.Route, Answers: one.Answers, Flag: one.Flag, Credentials: one.Credentials, Compared: one.Compared, Differing: one.Differing,
				ByCaller: one.ByCaller, Cookies: one.Cookies, Vary: one.Vary, Safe: string(one.Safe), Why: one.Why,
			})
		}
		return out
	}
	return o
}

// keysOf reads the keys of the shared tier from a variable; none if it has no name.
func keysOf(variable string) ([][]byte, error) {
	if variable == "" {
		return nil, nil
	}
	var out [][]byte
	for key := range strings.SplitSeq(os.Getenv(variable), ",") {
		if key = strings.TrimSpace(key); key != "" {
			out = append(out, []byte(key))
		}
	}
	if out == nil {
		return nil, fmt.Errorf("--config: integrity: keys_env: %s is not set: give it one key, or several separated by commas, the one that writes first", variable)
	}
	return out, nil
}

// purgerOf is the CDN above; nil: there is none, or nobody purges it.
func purgerOf(c *gateway.CDN) (edge.Purger, error) {
	if c == nil || c.Vendor == "none" {
		return nil, nil
	}
	p, err := cdn.Open(cdn.Options{Vendor: c.Vendor, Zone: c.Zone, Token: cdn.TokenOf(c.Vendor, c.TokenEnv), API: c.API, PerMinute: c.PerMinute})
	if err != nil {
		return nil, fmt.Errorf("--config: cdn: %w (token_env: %s)", err, c.TokenEnv)
	}
	return p, nil
}

// hostOf leaves out what of an origin's URL may be secret.
func hostOf(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return "origin"
	}
	return u.Host
}
