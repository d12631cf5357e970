package gateway

import (
	"github.com/goccy/go-yaml/ast"
)

// upstream reads an origin.
func (d *decoder) upstream(name string, n ast.Node) Upstream {
	u := Upstream{Name: name}
	d.mapping(n, fields{
		"servers": d.texts(&u.Servers),
		"balance": func(n ast.Node) { d.oneOf(n, &u.Balance, balanceRoundRobin, balanceLeastPending, balanceHash) },
		"health": func(n ast.Node) {
			d.mapping(n, fields{"path": d.text(&u.Health.Path), "every": d.duration(&u.Health.Every)})
		},
		"retries": func(n ast.Node) {
			if u.Retries = d.integer(n); u.Retries == 0 {
				u.Retries = -1
			}
		},
		"timeout":  d.duration(&u.Timeout),
		"requests": func(n ast.Node) { u.Requests = d.integer(n) },
		"tls": func(n ast.Node) {
			d.mapping(n, fields{"ca": d.text(&u.TLS.CA), "cert": d.text(&u.TLS.Cert), "key": d.text(&u.TLS.Key), "server_name": d.text(&u.TLS.ServerName)})
		},
	})
	if err := u.check(); err != nil {
		d.wrongs(n, err)
	}
	return u
}

// setFields reads fields that are set, or removed by null.
func (d *decoder) setFields(to *Fields) func(ast.Node) {
	return func(n ast.Node) {
		*to = Fields{}
		d.each(n, func(name string, n ast.Node) {
			var value *string
			if _, removed := n.(*ast.NullNode); !removed {
				value = new(string)
				d.text(value)(n)
			}
			if err := to.read(name, value); err != nil {
				d.wrong(n, "%v", err)
			}
		})
	}
}

// checkOrigins finds routes whose origin is not there, and files from which it does not follow which is the usual one.
func (d *decoder) checkOrigins(c *Config, origin ast.Node, named map[string]ast.Node) {
	known := map[string]bool{}
	for _, u := range c.upstreams() {
		if known[u.Name] {
			d.wrong(origin, "origin and origins.default are the same: leave one of them out")
		}
		known[u.Name] = true
	}
	for name, n := range named {
		if !known[name] {
			d.wrong(n, "there is no origin %q: add it under origins", name)
		}
	}
	if len(c.Upstreams) > 1 && c.Origin == "" && !known[defaultName] {
		c.Warnings = append(c.Warnings, "1:1: no origin is called default: "+c.Upstreams[0].Name+" gets what no route names")
	}
}
