package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/goccy/go-yaml/ast"
)

// A Config is what the gateway's file says.
type Config struct {
	Origin  string
	Profile httpcache.Profile
	MaxBody int
	Ignore  []string // fields of requests: see httpcache.Options.IgnoreHeaders
	Classes []forebay.Class
	Rules   []httpcache.Rule
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
	used := map[string]ast.Node{} // classes that routes name
	defined := map[string]bool{}
	d.document(text, fields{
		"origin":         d.text(&c.Origin),
		"profile":        func(n ast.Node) { d.oneOf(n, (*string)(&c.Profile), "safe", "rfc") },
		"max_body":       func(n ast.Node) { c.MaxBody = int(d.size(n)) },
		"ignore_headers": d.texts(&c.Ignore),
		"classes": func(n ast.Node) {
			d.each(n, func(name string, n ast.Node) {
				defined[name] = true
				c.Classes = append(c.Classes, d.class(name, n))
			})
		},
		"routes": func(n ast.Node) {
			d.list(n, func(n ast.Node) { c.Rules = append(c.Rules, d.route(n, used)) })
		},
	})
	for name, at := range used {
		if !defined[name] {
			d.wrong(at, "there is no class %q: add it under classes", name)
		}
	}
	if c.Origin != "" {
		if _, err := parseOrigin(c.Origin); err != nil {
			d.mistakes = append(d.mistakes, mistake{line: 1, column: 1, text: err.Error()})
		}
	}
	return c, d.err()
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
		"schema":         func(n ast.Node) { c.Schema = d.integer(n) },
	})
	return c
}

func (d *decoder) route(n ast.Node, used map[string]ast.Node) httpcache.Rule {
	var r httpcache.Rule
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
		"bypass":   d.boolean(&r.Bypass),
		"shared":   d.boolean(&r.Shared),
		"headers":  d.texts(&r.Headers),
		"events":   func(n ast.Node) { d.oneOf(n, (*string)(&r.Events), "openai", "done", "close") },
		"pace":     d.duration(&r.Pace),
		"body_key": func(n ast.Node) {
			r.BodyKey = &httpcache.BodyKey{}
			d.mapping(n, fields{
				"ignore":    d.texts(&r.BodyKey.Ignore),
				"max_bytes": func(n ast.Node) { r.BodyKey.MaxBytes = int(d.size(n)) },
			})
		},
	})
	if r.Match == "" {
		d.wrong(n, "the route has no match, such as GET /api/partners")
	}
	return r
}

// checkPattern asks the mux, which panics on a bad pattern.
func checkPattern(pattern string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	if pattern != "" {
		http.NewServeMux().Handle(pattern, http.NotFoundHandler())
	}
	return nil
}

// ParseRule reads a rule as a flag has it: 'GET /api/partners=15m'.
func ParseRule(text string) (httpcache.Rule, error) {
	i := strings.LastIndexByte(text, '=')
	if i < 0 {
		return httpcache.Rule{}, fmt.Errorf("%q is no rule: write 'GET /api/partners=15m'", text)
	}
	match := strings.TrimSpace(text[:i])
	ttl, err := parseDuration(strings.TrimSpace(text[i+1:]))
	if err != nil || ttl <= 0 {
		return httpcache.Rule{}, fmt.Errorf("%q: %q is no time to keep: write 90s, 15m or 2h", text, text[i+1:])
	}
	if err := checkPattern(match); err != nil || match == "" {
		return httpcache.Rule{}, fmt.Errorf("%q: %q is no pattern: write 'GET /api/partners=15m'", text, match)
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
