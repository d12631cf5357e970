package gateway

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/forebay-cache/forebay"
	"github.com/goccy/go-yaml/ast"
)

// A reading of a file remembers where things stand that can be judged only when all of it is read.
type reading struct {
	*decoder
	config    Config
	origin    ast.Node
	classes   []ast.Node
	routes    []ast.Node // of the rules
	parentsAt ast.Node
	used      map[string]ast.Node // classes that routes name
	named     map[string]ast.Node // origins that routes name
}

// ParseClasses reads the text of a file that holds classes and nothing else: "classes:", as the gateway's file has them. A program that
// uses the library keeps them in a file so. The error is of every mistake, each with its line and column.
func ParseClasses(text []byte) ([]forebay.Class, error) {
	d := &reading{decoder: &decoder{}}
	var classes []forebay.Class
	d.document(withoutMark(text), fields{"classes": func(n ast.Node) {
		d.each(n, func(name string, n ast.Node) {
			classes = append(classes, d.class(name, n))
			if err := classes[len(classes)-1].Check(); err != nil {
				d.wrong(n, "%v", err)
			}
		})
	}})
	return classes, d.err()
}

// ParseConfig reads the text of a file.
func ParseConfig(text []byte) (Config, error) {
	d := &reading{decoder: &decoder{}, used: map[string]ast.Node{}, named: map[string]ast.Node{}}
	c := &d.config
	d.document(withoutMark(text), fields{
		"origin": func(n ast.Node) {
			d.origin = n
			d.text(&c.Origin)(n)
		},
		"origins": func(n ast.Node) {
			d.each(n, func(name string, n ast.Node) { c.Upstreams = append(c.Upstreams, d.upstream(name, n)) })
		},
		"profile":        func(n ast.Node) { d.oneOf(n, (*string)(&c.Profile), "safe", "rfc") },
		"max_body":       func(n ast.Node) { c.MaxBody = int(d.size(n)) },
		"ignore_headers": d.texts(&c.Ignore),
		"keep_control":   d.boolean(&c.KeepControl),
		"compression":    func(n ast.Node) { d.compression(n, c) },
		"parents":        func(n ast.Node) { d.parentsAt = n; d.parents(n, c) },
		"children":       d.boolean(&c.Children),
		"cdn":            func(n ast.Node) { d.cdn(n, c) },
		"request_id":     d.boolean(&c.RequestIDs),
		"limits":         func(n ast.Node) { d.limits(n, &c.Limits) },
		"listen":         func(n ast.Node) { d.listen(n, c) },
		"integrity":      func(n ast.Node) { d.integrity(n, c) },
		"classes": func(n ast.Node) {
			d.each(n, func(name string, n ast.Node) {
				d.classes = append(d.classes, n)
				c.Classes = append(c.Classes, d.class(name, n))
			})
		},
		"routes": func(n ast.Node) { d.list(n, d.takeRoute) },
	})
	if len(c.Parents) > 0 && (c.Origin != "" || slices.ContainsFunc(c.Upstreams, func(u Upstream) bool { return u.Name == defaultName })) {
		d.wrong(d.parentsAt, "parents stand instead of origin and origins.default: leave one of them out")
	}
	d.checkClasses()
	d.checkOrigins(c, d.origin, d.named)
	d.validate(c, d.classes, d.routes, d.origin)
	return *c, d.err()
}

// takeRoute reads a route: a rule or one of MCP, and the way to its origin.
func (d *reading) takeRoute(n ast.Node) {
	c := &d.config
	rule, mcp, way := d.route(n)
	if way.Origin != "" {
		d.named[way.Origin] = n
	}
	if mcp != nil {
		one := d.takeMCP(n, rule, *mcp)
		way.Match = "POST " + one.Path
		c.MCP = append(c.MCP, one)
	} else {
		way.Match = rule.Match
		d.routes = append(d.routes, n)
		c.Rules = append(c.Rules, rule)
	}
	if !way.empty() && !slices.ContainsFunc(c.Ways, func(w Way) bool { return w.Match == way.Match }) {
		c.Ways = append(c.Ways, way)
	}
}

// checkClasses finds routes whose class is not there, and gives rules what is their class's.
func (d *reading) checkClasses() {
	defined := map[string]forebay.Class{}
	for _, class := range d.config.Classes {
		defined[class.Name] = class
	}
	for i, rule := range d.config.Rules {
		d.config.Rules[i].NotFound = max(defined[cmp.Or(rule.Class, otherClass)].NotFound, 0)
	}
	for name, at := range d.used {
		if _, ok := defined[name]; !ok {
			d.wrong(at, "there is no class %q: add it under classes", name)
		}
	}
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
		"acme":           func(n ast.Node) { d.acme(n, c) },
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
		"jitter":         func(n ast.Node) { c.Jitter = d.number(n) },
		"sliding":        d.duration(&c.Sliding),
		"max_bytes":      func(n ast.Node) { c.MaxBytes = d.size(n) },
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

func (d *decoder) prefix(n ast.Node) netip.Prefix {
	var s string
	d.text(&s)(n)
	p, err := ParsePrefix(s)
	if err != nil {
		d.wrong(n, "%v", err)
	}
	return p
}
