package gateway

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

// Reload has the gateway go on with another configuration, and returns what that changes, one line each. What is stored
// stays, and requests under way end by the configuration that they began with. Where it returns an error nothing has changed.
// What holds for as long as the process runs (integrity) is not taken over; a line says so.
func (g *Gateway) Reload(c Config) (changes []string, err error) {
	g.reload.Lock()
	defer g.reload.Unlock()
	before := g.front.Load()
	if g.cache.Closed() {
		return nil, fmt.Errorf("the gateway is closed")
	}
	if err := g.cache.SetClasses(c.classes()); err != nil {
		return nil, fmt.Errorf("%w (restart the gateway with it, or leave it as it was)", err)
	}
	f, err := g.newFront(c, before)
	if err != nil {
		if restore := g.cache.SetClasses(before.config.classes()); restore != nil {
			err = fmt.Errorf("%w; and the classes are no more as they were: %w", err, restore)
		}
		return nil, err
	}
	g.front.Store(f)
	before.origins.closeBut(f.origins)
	return before.config.changes(c), nil
}

// changes says what differs in another configuration.
func (c Config) changes(to Config) (out []string) {
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	differ(say, "class", c.Classes, to.Classes, func(k forebay.Class) string { return k.Name })
	differ(say, "route", c.routes(), to.routes(), func(r routeOfFile) string { return r.name })
	differ(say, "origin", c.upstreams(), to.upstreams(), func(u Upstream) string { return u.Name })
	for _, one := range []struct {
		name     string
		from, to any
	}{
		{"profile", c.profile(), to.profile()}, {"limits", c.Limits, to.Limits}, {"max_body", c.MaxBody, to.MaxBody}, {"request_id", c.RequestIDs, to.RequestIDs},
		{"trusted_proxies", c.Trusted, to.Trusted}, {"listen.tls.cert", c.Listen.Cert, to.Listen.Cert}, {"listen.tls.key", c.Listen.Key, to.Listen.Key}, {"keep_control", c.KeepControl, to.KeepControl},
	} {
		if !reflect.DeepEqual(one.from, one.to) {
			say("%s: %v, was %v", one.name, one.to, one.from)
		}
	}
	if !reflect.DeepEqual(c.compression(), to.compression()) {
		say("compression changed")
	}
	if !slices.Equal(c.Ignore, to.Ignore) {
		say("ignore_headers: %v, was %v: the keys of all routes without a rule change: what is stored of them is not found any more", to.Ignore, c.Ignore)
	}
	if c.Listen.Addr != to.Listen.Addr || c.Listen.ProxyProtocol != to.Listen.ProxyProtocol || !reflect.DeepEqual(c.Listen.HTTP3, to.Listen.HTTP3) || !reflect.DeepEqual(c.Listen.ACME, to.Listen.ACME) || (c.Listen.Cert == "") != (to.Listen.Cert == "") {
		say("listen counts from the next start on")
	}
	if !slices.Equal(c.Parents, to.Parents) || c.Children != to.Children {
		say("parents and children count from the next start on")
	}
	if !reflect.DeepEqual(c.CDN, to.CDN) {
		say("cdn counts from the next start on")
	}
	if c.KeysEnv != to.KeysEnv || c.Encrypt != to.Encrypt {
		say("integrity counts from the next start on")
	}
	return out
}

// A routeOfFile is a route with all that the file says of it.
type routeOfFile struct {
	name string
	Rule httpcache.Rule
	Way  Way
	MCP  MCPRule
}

func (c Config) routes() (out []routeOfFile) {
	for _, r := range c.Rules {
		one := routeOfFile{name: r.Match, Rule: r}
		if i := slices.IndexFunc(c.Ways, func(w Way) bool { return w.Match == r.Match }); i >= 0 {
			one.Way = c.Ways[i]
		}
		out = append(out, one)
	}
	for _, r := range c.MCP {
		out = append(out, routeOfFile{name: strings.TrimSpace("mcp " + cmp.Or(r.Method, "tools/call") + " " + r.Name), MCP: r})
	}
	return out
}

// differ says what two lists of things with names do not have in common.
func differ[T any](say func(string, ...any), what string, from, to []T, name func(T) string) {
	for _, one := range to {
		i := slices.IndexFunc(from, func(old T) bool { return name(old) == name(one) })
		if i < 0 {
			say("%s added: %s", what, name(one))
			continue
		}
		if fields := differing(reflect.ValueOf(from[i]), reflect.ValueOf(one)); len(fields) > 0 {
			say("%s changed: %s: %s%s", what, name(one), strings.Join(fields, ", "), meaning(what, fields))
		}
	}
	for _, old := range from {
		if !slices.ContainsFunc(to, func(one T) bool { return name(old) == name(one) }) {
			say("%s removed: %s%s", what, name(old), meaning(what+" removed", nil))
		}
	}
}

// differing are the fields of two structs that differ, by their names in the file, with plain values.
func differing(from, to reflect.Value) (out []string) {
	for i := range from.NumField() {
		field := from.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		a, b := from.Field(i), to.Field(i)
		if reflect.DeepEqual(a.Interface(), b.Interface()) {
			continue
		}
		switch {
		case field.Anonymous || (field.Type.Kind() == reflect.Struct && (field.Name == "Rule" || field.Name == "Way" || field.Name == "MCP")):
			out = append(out, differing(a, b)...)
		case a.CanInt() || a.CanFloat() || a.Kind() == reflect.Bool || a.Kind() == reflect.String:
			out = append(out, fmt.Sprintf("%s %s, was %s", inFileCase(field.Name), shown(b), shown(a)))
		default:
			out = append(out, inFileCase(field.Name))
		}
	}
	return out
}

// shown is a plain value as it is told; "none" stands for one that the file does not give.
func shown(v reflect.Value) string {
	if v.IsZero() && v.Kind() != reflect.Bool {
		return "none"
	}
	return fmt.Sprint(v)
}

// keyFields are those of a route that its keys depend on; strictFields those that say what may be stored, and for whom.
var (
	keyFields    = []string{"headers", "cookies", "query", "body_key", "class", "shared", "override"}
	strictFields = []string{"ttl", "ttl_by_status", "not_found"}
)

// meaning is what a change means for what is stored.
func meaning(what string, fields []string) string {
	has := func(names []string) bool {
		return slices.ContainsFunc(fields, func(f string) bool {
			name, _, _ := strings.Cut(f, " ")
			return slices.Contains(names, name)
		})
	}
	switch {
	case what == "route removed":
		return ": what is stored of it stays until its time is up: to have it gone, forebay purge"
	case what == "route" && has(keyFields):
		return ": its keys change: what is stored is not found any more"
	case what == "route" && has(strictFields):
		return ": for what is loaded from now on: what is stored stays until its time is up, or forebay purge"
	case what == "class":
		return ": for what is loaded from now on"
	}
	return ""
}

func (c Config) profile() httpcache.Profile {
	if c.Profile == "" {
		return httpcache.Safe
	}
	return c.Profile
}
