package mcpcache

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/forebay-cache/forebay/shared"
)

// Options configure [New].
type Options struct {
	// Rules say what is cached; the first that matches counts. Nothing else is.
	Rules []Rule
	// Credentials are fields of the HTTP request that name its caller, beside Authorization, Cookie, X-Api-Key, Api-Key,
	// X-Auth-Token and X-Access-Token: callers that differ in them have entries of their own.
	Credentials []string
	// Server names the server whose answers these are, where one cache is in front of several: lower-case letters,
	// digits, '_' and '-'. Default "mcp".
	Server string
	// MaxResult bounds what is stored of a result, in bytes of JSON. Default 1 MiB; negative: no bound.
	MaxResult int
}

// A Rule says what is cached of a server.
type Rule struct {
	// Method is tools/call, resources/read, prompts/get or one of the lists: tools/list, prompts/list, resources/list,
	// resources/templates/list. Default tools/call.
	Method string
	// Name is the tool, the prompt or the URI of the resource; '*' stands for any characters. A rule for calls of tools
	// needs it: name those that change nothing. Default for the others: any.
	Name string
	// Class is the class of the entries: how long they live. Default "mcp".
	Class string
	// Arguments name those on which the result depends. Default: all.
	Arguments []string
	// Headers are fields of the HTTP request on which the result depends, beside credentials: in the key, and sent on.
	Headers []string
	// Shared says that the result is the same for all callers.
	Shared bool
	// AnyClient says that the result does not depend on what the client is capable of. Default: clients with other
	// capabilities have entries of their own, because a server may ask only for what its client can give.
	AnyClient bool
	// Invalidates makes it a rule for a tool that changes something: it is not cached, and each call of it removes the
	// results of the tools that are named here. Tools alone.
	Invalidates []string
	// Tags returns tags of a result, beside [Cache.ToolTag]. Nil: none. It is called for each load.
	Tags func(name string, arguments json.RawMessage) []string
}

const (
	defaultClass  = "mcp"
	defaultServer = "mcp"
	defaultMax    = 1 << 20
)

func (o Options) withDefaults() Options {
	if o.Server == "" {
		o.Server = defaultServer
	}
	if o.MaxResult == 0 {
		o.MaxResult = defaultMax
	}
	o.Rules = slices.Clone(o.Rules)
	for i, r := range o.Rules {
		o.Rules[i] = r.withDefaults()
	}
	names := slices.Clone(credentialFields)
	for _, name := range o.Credentials {
		names = append(names, http.CanonicalHeaderKey(name))
	}
	o.Credentials = names
	return o
}

func (r Rule) withDefaults() Rule {
	if r.Method == "" {
		r.Method = callTool
	}
	if r.Class == "" {
		r.Class = defaultClass
	}
	if r.Name == "" && r.Method != callTool {
		r.Name = "*"
	}
	r.Headers = slices.Clone(r.Headers)
	for i, name := range r.Headers {
		r.Headers[i] = http.CanonicalHeaderKey(name)
	}
	return r
}

// Check returns every mistake in the rule, joined; [New] does the same.
func (r Rule) Check() error {
	r = r.withDefaults()
	var errs []error
	if _, known := forms[r.Method]; !known {
		errs = append(errs, fmt.Errorf("method: %q cannot be cached", r.Method))
	}
	if r.Name == "" {
		errs = append(errs, errors.New("name: name the tools that change nothing, such as get_*"))
	}
	if r.Invalidates != nil && r.Method != callTool {
		errs = append(errs, fmt.Errorf("invalidates: %s changes nothing", r.Method))
	}
	if r.Arguments != nil && r.Method != callTool && r.Method != getPrompt {
		errs = append(errs, fmt.Errorf("arguments: %s has none", r.Method))
	}
	return errors.Join(errs...)
}

func (o Options) check() error {
	var errs []error
	for i, r := range o.Rules {
		if err := r.Check(); err != nil {
			errs = append(errs, fmt.Errorf("mcpcache: Rules[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

func (r Rule) matches(method, name string) bool {
	return r.Method == method && shared.MatchPattern(r.Name, name)
}
