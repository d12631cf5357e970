package gateway

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/forebay-cache/forebay/httpcache"
	"github.com/goccy/go-yaml/ast"
)

// validate finds what the parts say that take the configuration over, each at its place in the file.
func (d *decoder) validate(c *Config, classes, routes []ast.Node, origin ast.Node) {
	if origin != nil && c.Origin != "" {
		if _, err := parseOrigin(c.Origin); err != nil {
			d.wrong(origin, "%v", err)
		}
	}
	for i, class := range c.Classes {
		if err := class.Check(); err != nil {
			d.wrongs(classes[i], err)
		}
	}
	for i, rule := range c.Rules {
		if err := rule.Check(); err != nil {
			d.wrongs(routes[i], err)
		}
		if checkPattern(rule.Match) != nil {
			continue // told where it was read
		}
		for j, earlier := range c.Rules[:i] {
			if conflict := conflicts(earlier.Match, rule.Match); conflict != "" {
				d.wrong(routes[i], "%s with the route of line %d", conflict, lineOf(routes[j]))
				break
			}
		}
		warn := func(format string, args ...any) {
			c.Warnings = append(c.Warnings, fmt.Sprintf("%d:%d: %s: ", lineOf(routes[i]), columnOf(routes[i]), rule.Match)+fmt.Sprintf(format, args...))
		}
		if why := neverMatches(rule.Match); why != "" {
			warn("matches no request: %s", why)
		}
		c.warnOf(rule, warn)
	}
}

// warnOf says what of a rule is dangerous, or has no effect.
func (c *Config) warnOf(rule httpcache.Rule, warn func(string, ...any)) {
	method, _, hasMethod := strings.Cut(rule.Match, " ")
	asks := slices.ContainsFunc(c.Ways, func(w Way) bool { return w.Match == rule.Match && w.Auth != nil })
	says := rule.TTL > 0 || rule.Class != ""
	switch {
	case hasMethod && says && !rule.Bypass && !slices.Contains([]string{http.MethodGet, http.MethodHead, "QUERY", http.MethodPost}, method):
		warn("%s is never cached", method)
	case method == http.MethodPost && says && !rule.Bypass && rule.BodyKey == nil:
		warn("a POST is never cached without body_key")
	case rule.Override && rule.Shared && !asks:
		warn("override and shared without auth: what the origin answers one caller is served to all, though it may be private")
	case c.Profile == httpcache.RFC && says && rule.Cookies == nil && !rule.Bypass && (!hasMethod || method == http.MethodGet):
		warn("in profile rfc a request's cookies do not count, but for Vary: where the origin says nothing, its answer to one caller is served to all; name those that count with cookies, or use profile safe")
	}
	for _, name := range rule.Headers {
		if name = http.CanonicalHeaderKey(name); slices.Contains(authFields, name) && (name != "Cookie" || rule.Cookies == nil) {
			warn("headers: %s names the caller, who has entries of their own already", name)
		}
	}
}

// wrongs notes each line of an error.
func (d *decoder) wrongs(n ast.Node, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		field, text, found := strings.Cut(strings.TrimPrefix(line, "class."), ": ")
		if found {
			line = inFileCase(field) + ": " + text
		}
		d.wrong(n, "%s", line)
	}
}

// inFileCase is a field's name as a file has it: BodyKey is body_key.
func inFileCase(name string) string {
	var b strings.Builder
	for i, c := range name {
		if isUpper(byte(c)) && i > 0 && (!isUpper(name[i-1]) || i+1 < len(name) && !isUpper(name[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(c)
	}
	return strings.ToLower(b.String())
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }

func lineOf(n ast.Node) int   { return start(n).GetToken().Position.Line }
func columnOf(n ast.Node) int { return start(n).GetToken().Position.Column }

// start is where a node begins: a mapping's own token stands behind its first key.
func start(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return n.Values[0].Key
		}
	case *ast.MappingValueNode:
		return n.Key
	}
	return n
}

// conflicts says how two patterns stand in each other's way; "" where they do not. The mux says it with
// places of this program's source.
func conflicts(a, b string) string {
	if a == b {
		return "it has its pattern in common"
	}
	mux, nothing := http.NewServeMux(), http.NotFoundHandler()
	conflict := func() (p any) {
		defer func() { p = recover() }()
		mux.Handle(a, nothing)
		mux.Handle(b, nothing)
		return nil
	}()
	if conflict == nil || checkPattern(a) != nil {
		return ""
	}
	return fmt.Sprintf("%q and %q both match some requests, and neither is the more specific: it conflicts", b, a)
}

// neverMatches says why a pattern that is one matches nothing that is ever asked.
func neverMatches(pattern string) string {
	method, rest, hasMethod := strings.Cut(pattern, " ")
	if hasMethod && method != strings.ToUpper(method) {
		return "methods are written in capitals, " + strings.ToUpper(method)
	}
	if !hasMethod {
		rest = pattern
	}
	host, path, _ := strings.Cut(strings.TrimSpace(rest), "/")
	if host != strings.ToLower(host) {
		return "hosts are compared in lower case"
	}
	for segment := range strings.SplitSeq(path, "/") {
		switch {
		case strings.HasPrefix(segment, ":"):
			return "a variable is written {" + strings.Trim(segment, ":") + "}"
		case segment == "*", segment == "**":
			return "the rest of a path is written {rest...}, or nothing behind the last slash"
		case strings.ContainsAny(segment, "?#"):
			return "a pattern has no query"
		}
	}
	return ""
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

// withoutMark takes the byte-order mark off that some editors put before a text.
func withoutMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) }
