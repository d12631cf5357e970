package gateway

import (
	"maps"
	"strconv"
	"time"

	"github.com/forebay-cache/forebay/httpcache"
	"github.com/goccy/go-yaml/ast"
)

// route reads one of the file's.
func (d *reading) route(n ast.Node) (r httpcache.Rule, mcp *MCPRule, way Way) {
	all := fields{
		"match": func(n ast.Node) {
			d.text(&r.Match)(n)
			if err := checkPattern(r.Match); err != nil {
				d.wrong(n, "%v", err)
			}
		},
		"mcp": func(n ast.Node) {
			mcp = &MCPRule{}
			d.mcpRule(n, mcp)
		},
	}
	for _, some := range []fields{d.storing(&r), d.keying(&r), d.leading(&way)} {
		maps.Copy(all, some)
	}
	d.mapping(n, all)
	if r.Match == "" && mcp == nil {
		d.wrong(n, "the route has no match, such as GET /api/partners")
	}
	return r, mcp, way
}

// storing are the fields that say what is stored, and for how long, and what passes.
func (d *reading) storing(r *httpcache.Rule) fields {
	return fields{
		"class":         d.className(&r.Class),
		"ttl":           d.duration(&r.TTL),
		"override":      d.boolean(&r.Override),
		"ttl_by_status": func(n ast.Node) { d.ttlByStatus(n, r) },
		"bypass":        d.boolean(&r.Bypass),
		"preflights":    d.boolean(&r.Preflights),
		"compress":      func(n ast.Node) { r.Compress = new(bool); d.boolean(r.Compress)(n) },
		"events":        func(n ast.Node) { d.oneOf(n, (*string)(&r.Events), "openai", "done", "close") },
		"pace":          d.duration(&r.Pace),
		"upgrade":       func(n ast.Node) { r.Upgrade = []string{}; d.texts(&r.Upgrade)(n) },
	}
}

func (d *reading) className(to *string) func(ast.Node) {
	return func(n ast.Node) {
		d.text(to)(n)
		d.used[*to] = n
	}
}

func (d *reading) ttlByStatus(n ast.Node, r *httpcache.Rule) {
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
}

// keying are the fields that say what of a request counts.
func (d *reading) keying(r *httpcache.Rule) fields {
	return fields{
		"shared":  d.boolean(&r.Shared),
		"headers": d.texts(&r.Headers),
		"cookies": func(n ast.Node) {
			r.Cookies = []string{}
			d.texts(&r.Cookies)(n)
		},
		"query": func(n ast.Node) {
			r.Query = &httpcache.QueryRule{}
			d.mapping(n, fields{"keep": d.texts(&r.Query.Keep), "drop": d.texts(&r.Query.Drop), "sort": d.boolean(&r.Query.Sort)})
		},
		"body_key": func(n ast.Node) {
			r.BodyKey = &httpcache.BodyKey{}
			d.mapping(n, fields{
				"ignore":    d.texts(&r.BodyKey.Ignore),
				"max_bytes": func(n ast.Node) { r.BodyKey.MaxBytes = int(d.size(n)) },
				"graphql":   d.boolean(&r.BodyKey.GraphQL),
			})
		},
	}
}

// leading are the fields of the way to the origin.
func (d *reading) leading(way *Way) fields {
	return fields{
		"keep_host": d.boolean(&way.KeepHost),
		"origin":    d.text(&way.Origin),
		"files":     d.text(&way.Files),
		"timeout":   d.duration(&way.Timeout),
		"auth":      func(n ast.Node) { d.auth(n, way) },
		"set_headers": func(n ast.Node) {
			d.mapping(n, fields{"request": d.setFields(&way.Request), "response": d.setFields(&way.Response)})
		},
	}
}

func (d *reading) auth(n ast.Node, way *Way) {
	a := &Auth{}
	d.mapping(n, fields{
		"url": d.text(&a.URL), "class": d.className(&a.Class), "headers": d.texts(&a.Headers),
		"by": func(n ast.Node) { d.oneOf(n, &a.By, byURL, byRoute) },
	})
	a.Headers = canonicalNames(a.Headers)
	if err := a.check(); err != nil {
		d.wrong(n, "%v", err)
	}
	way.Auth = a
}
