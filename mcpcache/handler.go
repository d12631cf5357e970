package mcpcache

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/canon"
)

// HandlerOptions say what stands around [Cache.Handler].
type HandlerOptions struct {
	// Origin is the way to the MCP server, for what is loaded.
	Origin http.Handler
	// Next serves everything else: other methods, and requests that no rule names. Default: Origin.
	Next http.Handler
	// CacheStatus renders an outcome for the field of that name. Nil: there is none.
	CacheStatus func(forebay.Outcome) string
}

// Handler caches an MCP server in any language, in front of its streamable HTTP transport. A request that a rule names is
// sent on in one form: its JSON canonical, with an id of the cache's own, without the token of progress and the ids of
// traces, which are of one request and would be in the key. The answer has the client's id again.
func (c *Cache) Handler(o HandlerOptions) http.Handler {
	if o.Next == nil {
		o.Next = o.Origin
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := c.message(r)
		switch {
		case m == nil:
			o.Next.ServeHTTP(w, r)
		case m.mismatch != "":
			writeError(w, http.StatusBadRequest, m.id, codeHeaderMismatch, m.mismatch)
		case m.rule.Invalidates != nil:
			c.changeOver(w, r, m.rule, o.Next)
		case m.why != "":
			c.count(m.question, func(s *Stats) { s.Bypasses++ })
			o.Next.ServeHTTP(w, r)
		default:
			c.proxy(w, r, m, o)
		}
	})
}

const (
	maxRequest         = 1 << 20 // of a body that is looked at
	maxResponse        = 8 << 20 // of one that is held
	codeHeaderMismatch = -32020  // MCP 2026-07-28, basic/transports/streamable-http
	ownID              = `"forebay"`
)

// A message is a request that a rule names.
type message struct {
	question  question
	rule      *Rule
	id        json.RawMessage
	arguments json.RawMessage
	body      []byte // in the form that is sent on
	mismatch  string // between its header and its body
	why       string // the cache has no part in it
}

// message reads a request; nil: the cache has no part in it. Whatever was read is given back to the request.
func (c *Cache) message(r *http.Request) *message {
	if r.Method != http.MethodPost {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" || r.Header.Get("Content-Encoding") != "" {
		return c.unread()
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	r.Body = body2{io.MultiReader(bytes.NewReader(body), failing{err}, r.Body), r.Body}
	if err != nil || len(body) > maxRequest {
		return c.unread()
	}
	var in struct {
		RPC    string                     `json:"jsonrpc"`
		ID     json.RawMessage            `json:"id"`
		Method string                     `json:"method"`
		Params map[string]json.RawMessage `json:"params"`
	}
	form, err := canon.JSON(body, nil)
	if err != nil || json.Unmarshal(form, &in) != nil {
		return c.unread()
	}
	name := ""
	for _, member := range []string{"name", "uri"} {
		if text, ok := in.Params[member]; ok && json.Unmarshal(text, &name) != nil {
			return c.unread()
		}
	}
	m := &message{id: in.ID, rule: c.ruleOf(in.Method, name), question: question{Method: in.Method, Name: name}}
	if m.rule == nil || m.rule.Invalidates == nil && (in.RPC != "2.0" || !validID.Match(in.ID)) { // its server says what is wrong
		return nil
	}
	m.mismatch = mismatch(r.Header, in.Method, name)
	for _, member := range []string{"inputResponses", "requestState", "task"} {
		if in.Params[member] != nil {
			m.why = "it carries more than its arguments"
		}
	}
	if m.mismatch == "" && m.why == "" {
		m.why = c.write(m, r, in.Params)
	}
	return m
}

// validID is a string or a whole number: any other id is not one of MCP (basic, Requests).
var validID = regexp.MustCompile(`^(?:".*"|-?[0-9]+)$`)

// unread is a body that cannot be read as one request, such as a batch: it may change whatever rules name.
func (c *Cache) unread() *message {
	changed := c.rules.Load().changed
	if len(changed) == 0 {
		return nil
	}
	return &message{rule: &Rule{Invalidates: changed}}
}

func (c *Cache) ruleOf(method, name string) *Rule {
	rules := c.rules.Load().all
	for i := range rules {
		if rules[i].matches(method, name) {
			return &rules[i]
		}
	}
	return nil
}

// ofOneRequest are members of _meta that name one request, or the program that sends it.
var ofOneRequest = []string{"progressToken", "traceparent", "tracestate", "baggage", "io.modelcontextprotocol/clientInfo"}

const metaCapabilities = "io.modelcontextprotocol/clientCapabilities"

// write fills in the question, and the request that is sent on: all that is sent is in the key, but for what a rule says
// does not count.
func (c *Cache) write(m *message, r *http.Request, params map[string]json.RawMessage) (why string) {
	if params == nil {
		params = map[string]json.RawMessage{}
	}
	var meta map[string]json.RawMessage
	if text, ok := params["_meta"]; ok && json.Unmarshal(text, &meta) != nil {
		return "its _meta is no object"
	}
	for _, member := range ofOneRequest {
		delete(meta, member)
	}
	put := func(into map[string]json.RawMessage, name string, v map[string]json.RawMessage) {
		into[name], _ = json.Marshal(v) // raw JSON always marshals
	}
	if meta != nil {
		put(params, "_meta", meta)
	}
	sent, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": json.RawMessage(ownID), "method": m.question.Method, "params": params})
	if err == nil {
		m.body, err = canon.JSON(sent, nil)
	}
	if m.arguments = params["arguments"]; m.arguments == nil {
		m.arguments = json.RawMessage("{}")
	}
	if err == nil && m.rule.Arguments != nil {
		params["arguments"], err = only(m.arguments, m.rule.Arguments)
	}
	if meta != nil && m.rule.AnyClient {
		delete(meta, metaCapabilities)
		put(params, "_meta", meta)
	}
	var key []byte
	if err == nil {
		key, err = json.Marshal(params)
	}
	if err == nil {
		key, err = canon.JSON(key, nil)
	}
	if err != nil {
		return err.Error()
	}
	m.question.Arguments, m.question.Client = string(key), hashed(append([]string{r.Host, r.URL.RequestURI()}, protocolFields(r.Header, m.rule)...))
	m.question.Caller = everybody
	if session := r.Header["Mcp-Session-Id"]; !m.rule.Shared || session != nil {
		m.question.Caller = hashed(append(c.credentials(r.Header), session...))
	}
	return ""
}

// goesOn reports whether a field is sent on, beside credentials: those of MCP and of the rule, and how a proxy that is
// trusted was reached.
func goesOn(name string, rule *Rule) bool {
	return slices.Contains(rule.Headers, name) || strings.HasPrefix(name, "Mcp-") || name == "X-Forwarded-Proto" || name == "X-Forwarded-Host"
}

// protocolFields are the fields of a request that are sent on, but for its session.
func protocolFields(h http.Header, rule *Rule) (parts []string) {
	for name, lines := range h {
		if goesOn(name, rule) && name != "Mcp-Session-Id" {
			parts = append(parts, name+": "+strings.Join(lines, "\n"))
		}
	}
	slices.Sort(parts)
	return parts
}

// mismatch compares what the header says of a body with what it is.
func mismatch(h http.Header, method, name string) string {
	if said := h["Mcp-Method"]; said != nil && (len(said) > 1 || said[0] != method) {
		return "Mcp-Method is not the method of the body"
	}
	if said := h["Mcp-Name"]; said != nil && (len(said) > 1 || decoded(said[0]) != name) {
		return "Mcp-Name is not the name or the URI in the body"
	}
	return ""
}

// decoded reads a value that may be written as =?base64?…?=.
func decoded(value string) string {
	if inner, ok := strings.CutPrefix(value, "=?base64?"); ok {
		if inner, ok = strings.CutSuffix(inner, "?="); ok {
			if text, err := base64.StdEncoding.DecodeString(inner); err == nil {
				return string(text)
			}
		}
	}
	return value
}

// A load is what a request needs to be sent on.
type load struct {
	r   *http.Request
	m   *message
	o   HandlerOptions
	num uint64

	credentials []string
	own         *held // its answer, where that is for nobody else
}

type loadKey struct{}

func (c *Cache) proxy(w http.ResponseWriter, r *http.Request, m *message, o HandlerOptions) {
	one := &load{r: r, m: m, o: o, num: c.calls.Add(1), credentials: c.options.Credentials}
	got := c.classOf(m.rule.Class).Do(context.WithValue(r.Context(), loadKey{}, one), m.question)
	c.count(m.question, func(s *Stats) { s.add(got.Outcome, got.Err != nil || got.Value.Failed) })
	switch {
	case got.Err != nil:
		c.writeFailure(w, r, m, got.Err)
	case got.Value.Owner == one.num:
		if o.CacheStatus != nil {
			w.Header()["Cache-Status"] = []string{o.CacheStatus(got.Outcome)}
		}
		one.own.send(w, m.id)
	case got.Value.Owner != 0:
		o.Next.ServeHTTP(w, r)
	default:
		if o.CacheStatus != nil {
			w.Header()["Cache-Status"] = []string{o.CacheStatus(got.Outcome)}
		}
		got.Value.send(w, r, m, got.Outcome)
	}
}

// writeFailure answers where nothing came of a load.
func (c *Cache) writeFailure(w http.ResponseWriter, r *http.Request, m *message, err error) {
	var bad *statusError
	if errors.As(err, &bad) {
		writeError(w, bad.status, m.id, -32603, fmt.Sprintf("the MCP server answered with the status %d", bad.status))
		return
	}
	result, failure := c.failed(r.Context(), m.question.Method, err)
	if failure != nil {
		writeError(w, http.StatusBadGateway, m.id, -32603, "the MCP server could not be asked")
		return
	}
	text, err := json.Marshal(result)
	if err != nil {
		writeError(w, http.StatusInternalServerError, m.id, -32603, "internal error")
		return
	}
	writeMessage(w, http.StatusOK, m.id, "result", text)
}

func writeError(w http.ResponseWriter, status int, id json.RawMessage, code int, text string) {
	body, _ := json.Marshal(map[string]any{"code": code, "message": text}) // numbers and strings always marshal
	writeMessage(w, status, id, "error", body)
}

// writeMessage answers a request by one message.
func writeMessage(w http.ResponseWriter, status int, id json.RawMessage, member string, text []byte) {
	var b bytes.Buffer
	b.WriteString(`{"jsonrpc":"2.0","id":`)
	b.Write(id)
	b.WriteString(`,"` + member + `":`)
	b.Write(text)
	b.WriteByte('}')
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Cache-Control", cmp.Or(h.Get("Cache-Control"), "no-store")) // what is between may not share what this cache may
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// A body2 is a body of which a part was read, that closes as a whole.
type body2 struct {
	io.Reader
	io.Closer
}

// failing repeats the error of a body that broke off.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, cmp.Or(f.err, io.EOF) }

// An Explanation says what the cache makes of a request over HTTP now.
type Explanation struct {
	Rule  Rule
	Class string
	Key   string
	Why   string // the cache has no part in it; empty: it has
}

// Explain says what [Cache.Handler] makes of a request, and asks nobody. ok is false where no rule names it.
func (c *Cache) Explain(r *http.Request) (e Explanation, ok bool) {
	m := c.message(r)
	if m == nil {
		return e, false
	}
	e = Explanation{Rule: *m.rule, Class: m.rule.Class, Why: cmp.Or(m.mismatch, m.why)}
	if e.Why == "" {
		e.Key = c.classOf(e.Class).Key(m.question)
	}
	return e, true
}
