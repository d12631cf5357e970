package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/goccy/go-yaml/ast"
)

// A Config is what the gateway's file says.
type Config struct {
	Origin       string
	Limits       Limits
	Profile      httpcache.Profile
	MaxBody      int
	Ignore       []string // fields of requests: see httpcache.Options.IgnoreHeaders
	Listen       Listen
	RequestIDs   bool           // each request has an X-Request-Id, in the answer and at the origin
	Trusted      []netip.Prefix // of the proxies in front that may say who the client is
	Upstreams    []Upstream     // further origins, by their names
	Ways         []Way          // how the requests of routes go to their origin, where that is not the usual one
	KeysEnv      string         // the variable that holds the keys of the shared tier, separated by commas; the first writes
	Encrypt      bool           // the values in the shared tier
	KeepControl  bool           // see httpcache.Options.KeepControl
	Compression  httpcache.Compression
	Uncompressed bool     // nothing is compressed but by the origin
	Warnings     []string // of what is not a mistake, but very likely not meant
	Classes      []forebay.Class
	Rules        []httpcache.Rule
	MCP          []MCPRule // of MCP servers behind the gateway
}

func (c Config) compression() *httpcache.Compression {
	if c.Uncompressed {
		return nil
	}
	return &c.Compression
}

// Listen is how clients reach the gateway.
type Listen struct {
	Addr          string // default: the flag's
	Cert, Key     string // files in PEM: then TLS is spoken, with HTTP/2 and HTTP/1.1
	HTTP3         *bool  // nil: where TLS is spoken
	ProxyProtocol bool   // trusted proxies say who the client is before the first byte (HAProxy's PROXY protocol, 1 and 2)
}

// ReadConfig reads a file. Its error names every mistake, each with its line and column.
func ReadConfig(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	c, err := ParseConfig(text)
	if err != nil {
		return Config{}, inFile(path, err)
	}
	return c, nil
}

// inFile puts the file's name before each mistake.
func inFile(path string, err error) error {
	var all []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		all = append(all, fmt.Errorf("%s:%s", path, line))
	}
	return errors.Join(all...)
}

// ParseConfig reads the text of a file.
func ParseConfig(text []byte) (Config, error) {
	d := &decoder{}
	var c Config
	var classes, routes []ast.Node
	var origin ast.Node
	used := map[string]ast.Node{} // classes that routes name
	defined := map[string]bool{}
	named := map[string]ast.Node{} // origins that routes name
	d.document(withoutMark(text), fields{
		"origin": func(n ast.Node) {
			origin = n
			d.text(&c.Origin)(n)
		},
		"origins": func(n ast.Node) {
			d.each(n, func(name string, n ast.Node) { c.Upstreams = append(c.Upstreams, d.upstream(name, n)) })
		},
		"profile":        func(n ast.Node) { d.oneOf(n, (*string)(&c.Profile), "safe", "rfc") },
		"max_body":       func(n ast.Node) { c.MaxBody = int(d.size(n)) },
		"ignore_headers": d.texts(&c.Ignore),
		"keep_control":   d.boolean(&c.KeepControl),
		"compression":    func(n ast.Node) { d.compression(n, &c) },
		"request_id":     d.boolean(&c.RequestIDs),
		"limits":         func(n ast.Node) { d.limits(n, &c.Limits) },
		"listen":         func(n ast.Node) { d.listen(n, &c) },
		"integrity":      func(n ast.Node) { d.integrity(n, &c) },
		"classes": func(n ast.Node) {
			d.each(n, func(name string, n ast.Node) {
				defined[name] = true
				classes = append(classes, n)
				c.Classes = append(c.Classes, d.class(name, n))
			})
		},
		"routes": func(n ast.Node) {
			d.list(n, func(n ast.Node) {
				rule, mcp, way := d.route(n, used)
				if way.Origin != "" {
					named[way.Origin] = n
				}
				if mcp != nil {
					one := d.takeMCP(n, rule, *mcp)
					way.Match = "POST " + one.Path
					c.MCP = append(c.MCP, one)
				} else {
					way.Match = rule.Match
					routes = append(routes, n)
					c.Rules = append(c.Rules, rule)
				}
				if !way.empty() && !slices.ContainsFunc(c.Ways, func(w Way) bool { return w.Match == way.Match }) {
					c.Ways = append(c.Ways, way)
				}
			})
		},
	})
	for i, rule := range c.Rules {
		for _, class := range c.Classes {
			if class.Name == cmp.Or(rule.Class, otherClass) {
				c.Rules[i].NotFound = max(class.NotFound, 0)
			}
		}
	}
	for name, at := range used {
		if !defined[name] {
			d.wrong(at, "there is no class %q: add it under classes", name)
		}
	}
	d.checkOrigins(&c, origin, named)
	d.validate(&c, classes, routes, origin)
	return c, d.err()
}

func (d *decoder) limits(n ast.Node, to *Limits) {
	number := func(to *int) func(ast.Node) {
		return func(n ast.Node) {
			if *to = d.integer(n); *to <= 0 {
				d.wrong(n, "a limit is a number above 0, not %s", n)
			}
		}
	}
	d.mapping(n, fields{"connections": number(&to.Connections), "requests": number(&to.Requests), "streams": number(&to.Streams), "changes": number(&to.Changes), "misses": number(&to.Misses)})
}

func (d *decoder) listen(n ast.Node, c *Config) {
	d.mapping(n, fields{
		"addr": d.text(&c.Listen.Addr),
		"tls": func(n ast.Node) {
			d.mapping(n, fields{"cert": d.text(&c.Listen.Cert), "key": d.text(&c.Listen.Key)})
			if c.Listen.Cert == "" || c.Listen.Key == "" {
				d.wrong(n, "tls needs both: cert and key, each a file in PEM")
			}
		},
		"http3":          func(n ast.Node) { c.Listen.HTTP3 = new(bool); d.boolean(c.Listen.HTTP3)(n) },
		"proxy_protocol": d.boolean(&c.Listen.ProxyProtocol),
		"trusted_proxies": func(n ast.Node) {
			d.list(n, func(n ast.Node) { c.Trusted = append(c.Trusted, d.prefix(n)) })
		},
	})
	if c.Listen.ProxyProtocol && len(c.Trusted) == 0 {
		d.wrong(n, "proxy_protocol needs trusted_proxies: who may say where a connection comes from")
	}
}

func (d *decoder) compression(n ast.Node, c *Config) {
	if s, ok := n.(*ast.StringNode); ok && s.Value == "off" {
		c.Uncompressed = true
		return
	}
	d.mapping(n, fields{
		"codings":     d.texts(&c.Compression.Codings),
		"min_bytes":   func(n ast.Node) { c.Compression.MinBytes = int(d.size(n)) },
		"credentials": d.boolean(&c.Compression.Credentials),
	})
	if err := c.Compression.Check(); err != nil {
		d.wrong(n, "%v", err)
	}
}

func (d *decoder) integrity(n ast.Node, c *Config) {
	d.mapping(n, fields{"keys_env": d.text(&c.KeysEnv), "encrypt": d.boolean(&c.Encrypt)})
	if c.Encrypt && c.KeysEnv == "" {
		d.wrong(n, "encrypt needs keys: name the variable that holds them with keys_env")
	}
}

func (d *decoder) class(name string, n ast.Node) forebay.Class {
	c := forebay.Class{Name: name}
	d.mapping(n, fields{
		"ttl":            d.duration(&c.TTL),
		"stale":          d.duration(&c.Stale),
		"stale_if_error": d.duration(&c.StaleIfError),
		"not_found":      d.duration(&c.NotFound),
		"wait":           d.duration(&c.Wait),
		"load_timeout":   d.duration(&c.LoadTimeout),
		"max_loads":      func(n ast.Node) { c.MaxLoads = d.integer(n) },
		"refresh_ahead":  func(n ast.Node) { c.RefreshAhead = d.number(n) },
		"strict":         d.boolean(&c.Strict),
		"private":        d.boolean(&c.Private),
		"cost":           func(n ast.Node) { c.Cost = d.number(n) },
		"schema":         func(n ast.Node) { c.Schema = d.integer(n) },
	})
	return c
}

func (d *decoder) route(n ast.Node, used map[string]ast.Node) (r httpcache.Rule, mcp *MCPRule, way Way) {
	d.mapping(n, fields{
		"match": func(n ast.Node) {
			d.text(&r.Match)(n)
			if err := checkPattern(r.Match); err != nil {
				d.wrong(n, "%v", err)
			}
		},
		"class": func(n ast.Node) {
			d.text(&r.Class)(n)
			used[r.Class] = n
		},
		"ttl":      d.duration(&r.TTL),
		"override": d.boolean(&r.Override),
		"ttl_by_status": func(n ast.Node) {
			r.TTLByStatus = map[int]time.Duration{}
			d.each(n, func(status string, n ast.Node) {
				code, err := strconv.Atoi(status)
				if err != nil {
					d.wrong(n, "%q is not a status: write 404: 1m", status)
				}
				var ttl time.Duration
				d.duration(&ttl)(n)
				r.TTLByStatus[code] = ttl
			})
		},
		"cookies": func(n ast.Node) {
			r.Cookies = []string{}
			d.texts(&r.Cookies)(n)
		},
		"query": func(n ast.Node) {
			r.Query = &httpcache.QueryRule{}
			d.mapping(n, fields{"keep": d.texts(&r.Query.Keep), "drop": d.texts(&r.Query.Drop), "sort": d.boolean(&r.Query.Sort)})
		},
		"bypass":     d.boolean(&r.Bypass),
		"preflights": d.boolean(&r.Preflights),
		"compress":   func(n ast.Node) { r.Compress = new(bool); d.boolean(r.Compress)(n) },
		"shared":     d.boolean(&r.Shared),
		"headers":    d.texts(&r.Headers),
		"events":     func(n ast.Node) { d.oneOf(n, (*string)(&r.Events), "openai", "done", "close") },
		"pace":       d.duration(&r.Pace),
		"upgrade":    func(n ast.Node) { r.Upgrade = []string{}; d.texts(&r.Upgrade)(n) },
		"keep_host":  d.boolean(&way.KeepHost),
		"origin":     d.text(&way.Origin),
		"files":      d.text(&way.Files),
		"timeout":    d.duration(&way.Timeout),
		"auth": func(n ast.Node) {
			way.Auth = &Auth{}
			d.mapping(n, fields{"url": d.text(&way.Auth.URL), "class": func(n ast.Node) {
				d.text(&way.Auth.Class)(n)
				used[way.Auth.Class] = n
			}, "by": func(n ast.Node) { d.oneOf(n, &way.Auth.By, byURL, byRoute) }, "headers": d.texts(&way.Auth.Headers)})
			way.Auth.Headers = canonicalNames(way.Auth.Headers)
			if err := way.Auth.check(); err != nil {
				d.wrong(n, "%v", err)
			}
		},
		"set_headers": func(n ast.Node) {
			d.mapping(n, fields{"request": d.setFields(&way.Request), "response": d.setFields(&way.Response)})
		},
		"mcp": func(n ast.Node) {
			mcp = &MCPRule{}
			d.mcpRule(n, mcp)
		},
		"body_key": func(n ast.Node) {
			r.BodyKey = &httpcache.BodyKey{}
			d.mapping(n, fields{
				"ignore":    d.texts(&r.BodyKey.Ignore),
				"max_bytes": func(n ast.Node) { r.BodyKey.MaxBytes = int(d.size(n)) },
				"graphql":   d.boolean(&r.BodyKey.GraphQL),
			})
		},
	})
	if r.Match == "" && mcp == nil {
		d.wrong(n, "the route has no match, such as GET /api/partners")
	}
	return r, mcp, way
}

// ParsePrefix reads an address, or a range of them (CIDR).
func ParsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is not a range of addresses: write 10.0.0.0/8 or 192.0.2.1", s)
	}
	return p.Masked(), nil
}

func (d *decoder) prefix(n ast.Node) netip.Prefix {
	var s string
	d.text(&s)(n)
	p, err := ParsePrefix(s)
	if err != nil {
		d.wrong(n, "%v", err)
	}
	return p
}

// ParseRule reads a rule as a flag has it: 'GET /api/partners=15m'.
func ParseRule(text string) (httpcache.Rule, error) {
	i := strings.LastIndexByte(text, '=')
	if i < 0 {
		return httpcache.Rule{}, fmt.Errorf("%q is not a rule: write 'GET /api/partners=15m'", text)
	}
	match := strings.TrimSpace(text[:i])
	ttl, err := parseDuration(strings.TrimSpace(text[i+1:]))
	if err != nil || ttl <= 0 {
		return httpcache.Rule{}, fmt.Errorf("%q: %q is not a time to keep: write 90s, 15m or 2h", text, text[i+1:])
	}
	if err := checkPattern(match); err != nil || match == "" {
		return httpcache.Rule{}, fmt.Errorf("%q: %q is not a pattern: write 'GET /api/partners=15m'", text, match)
	}
	return httpcache.Rule{Match: match, TTL: ttl}, nil
}

// parseDuration reads a duration, and "off".
func parseDuration(s string) (time.Duration, error) {
	if s == "off" {
		return -1, nil
	}
	return time.ParseDuration(s)
}

// SetRule adds a rule, or takes the place of that with the same pattern's TTL: flags win over the file.
func (c *Config) SetRule(rule httpcache.Rule) {
	for i := range c.Rules {
		if c.Rules[i].Match == rule.Match {
			c.Rules[i].TTL, c.Rules[i].Bypass = rule.TTL, false
			return
		}
	}
	c.Rules = append(c.Rules, rule)
}
