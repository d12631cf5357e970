package mcpcache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/forebay-cache/forebay"
)

// A held response of an MCP server is not sent on before it is known whose it is.
type held struct {
	header  http.Header
	status  int
	body    bytes.Buffer
	tooMuch bool
	seen    int // bytes of a stream that were looked through
	done    bool
	end     context.CancelFunc // of the request
}

// Header implements [http.ResponseWriter].
func (h *held) Header() http.Header { return h.header }

// WriteHeader implements [http.ResponseWriter].
func (h *held) WriteHeader(status int) {
	if h.status == 0 && status >= 200 {
		h.status = status
	}
}

var errTooMuch = errors.New("mcpcache: the response is over 8 MiB")

// Write implements [http.ResponseWriter].
func (h *held) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	if h.body.Len()+len(p) > maxResponse {
		h.tooMuch = true
		h.end()
		return 0, errTooMuch
	}
	h.body.Write(p) // never fails
	if h.answered() {
		h.end()
	}
	return len(p), nil
}

// answered reports whether a stream has brought the result: a server may keep it open.
func (h *held) answered() bool {
	text := h.body.Bytes()[h.seen:]
	end := bytes.LastIndex(text, []byte("\n\n"))
	if h.done || end < 0 || !strings.HasPrefix(h.header.Get("Content-Type"), "text/event-stream") {
		return h.done
	}
	for _, data := range dataOf(text[:end+2]) {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		h.done = h.done || json.Unmarshal(data, &m) == nil && string(m.ID) == ownID && m.Method == ""
	}
	h.seen += end + 2
	return h.done
}

// Flush implements [http.Flusher]: there is nothing to be sent.
func (h *held) Flush() {}

// ask sends a request on.
func (l *load) ask(whole context.Context) (*held, error) {
	ctx, end := context.WithCancel(whole)
	defer end()
	h := &held{header: http.Header{}, end: end}
	r := l.r.Clone(ctx)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(l.m.body)), int64(len(l.m.body))
	r.Header = http.Header{"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"}}
	for name, lines := range l.r.Header { // what is sent is in the key: nothing else of a client goes on
		if goesOn(name, l.m.rule) || slices.Contains(l.credentials, name) {
			r.Header[name] = slices.Clone(lines)
		}
	}
	func() {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				panic(p)
			} else if p != nil && !h.done {
				h.status = 0 // it broke off
			}
		}()
		l.o.Origin.ServeHTTP(h, r)
	}()
	if h.tooMuch || h.done {
		return h, nil
	}
	if err := whole.Err(); err != nil { // what broke off broke off for that
		return nil, err
	}
	if h.status == 0 {
		return nil, errors.New("mcpcache: the response of the MCP server broke off")
	}
	return h, nil
}

// fromHTTP loads over HTTP. What is no complete result of this one request is its caller's alone.
func (l *load) fromHTTP(ctx context.Context) (result, error) {
	h, err := l.ask(ctx)
	if err != nil {
		return result{}, err
	}
	mine := result{Owner: l.num}
	l.own = h
	if h.tooMuch { // it is asked for once more, past the cache
		l.own = nil
		return result{Owner: otherOwner}, nil
	}
	if h.status >= 500 {
		return result{}, &statusError{h.status}
	}
	answer, stream := h.message()
	if answer == nil || h.status != http.StatusOK || h.header["Set-Cookie"] != nil || h.header["Mcp-Session-Id"] != nil {
		return mine, nil
	}
	r, own, err := resultOfJSON(answer)
	if own || err != nil {
		return mine, nil
	}
	if r.Stream = stream; r.Hint == 0 || l.m.question.Method == callTool || l.m.question.Method == getPrompt {
		r.Hint = -1 // a rule is an operator's, and libraries write 0 where a server says nothing
	}
	if l.m.rule.Tags != nil {
		r.Tags = l.m.rule.Tags(l.m.question.Name, l.m.arguments)
	}
	return r, nil
}

// A statusError says that the server could not answer.
type statusError struct{ status int }

func (e *statusError) Error() string {
	return fmt.Sprintf("mcpcache: the MCP server answered with the status %d", e.status)
}

// otherOwner is of no call: each asks for itself.
const otherOwner = ^uint64(0)

// message finds the result in a response; nil: there is none, or more than that.
func (h *held) message() (text json.RawMessage, stream bool) {
	kind, _, _ := mime.ParseMediaType(h.header.Get("Content-Type"))
	messages := [][]byte{h.body.Bytes()}
	if stream = kind == "text/event-stream"; stream {
		messages = dataOf(h.body.Bytes())
	} else if kind != "application/json" {
		return nil, false
	}
	for _, one := range messages {
		var m struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
			Result json.RawMessage `json:"result"`
		}
		switch {
		case json.Unmarshal(one, &m) != nil:
			return nil, stream
		case m.Method != "" && m.ID != nil: // it asks its client for something
			return nil, stream
		case string(m.ID) == ownID && m.Result != nil:
			text = m.Result
		}
	}
	return text, stream
}

// dataOf are the data of server-sent events.
func dataOf(text []byte) (out [][]byte) {
	var data []byte
	for line := range bytes.Lines(append(bytes.Clone(text), "\n\n"...)) {
		line = bytes.TrimRight(line, "\r\n")
		if value, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(append(data, bytes.TrimPrefix(value, []byte(" "))...), '\n')
		} else if len(line) == 0 && len(data) > 0 {
			out = append(out, data)
			data = nil
		}
	}
	return out
}

// send hands a response on to the one caller that it is for, with its own id.
func (h *held) send(w http.ResponseWriter, id json.RawMessage) {
	for name, lines := range h.header {
		if name != "Content-Length" {
			w.Header()[name] = slices.Clone(lines)
		}
	}
	w.WriteHeader(h.status)
	if kind, _, _ := mime.ParseMediaType(h.header.Get("Content-Type")); kind != "text/event-stream" {
		w.Write(withID(h.body.Bytes(), id))
		return
	}
	for _, data := range dataOf(h.body.Bytes()) {
		for line := range bytes.Lines(withID(data, id)) {
			w.Write(append([]byte("data: "), bytes.TrimRight(line, "\n")...))
			w.Write([]byte("\n"))
		}
		w.Write([]byte("\n"))
	}
}

// withID puts the client's id where a message has the cache's own: at its top, and nowhere else.
func withID(text, id []byte) []byte {
	var m map[string]json.RawMessage
	if json.Unmarshal(text, &m) != nil || string(m["id"]) != ownID {
		return text
	}
	m["id"] = id
	if again, err := json.Marshal(m); err == nil {
		return again
	}
	return text
}

// send answers by what is stored, in the form in which the server answered where the client takes it.
func (r result) send(w http.ResponseWriter, req *http.Request, m *message, o forebay.Outcome) {
	text, err := r.stamped(m, o)
	if err != nil {
		writeError(w, http.StatusInternalServerError, m.id, -32603, "what is stored cannot be read")
		return
	}
	if accept := req.Header.Get("Accept"); !r.Stream || !takes(accept, "text/event-stream") {
		writeMessage(w, http.StatusOK, m.id, "result", text)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	for _, part := range [][]byte{[]byte(`event: message` + "\n" + `data: {"jsonrpc":"2.0","id":`), m.id, []byte(`,"result":`), text, []byte("}\n\n")} {
		w.Write(part)
	}
}

// takes reports whether a client's Accept has a type.
func takes(accept, kind string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		if one, _, err := mime.ParseMediaType(part); err == nil && (one == kind || one == "*/*") {
			return true
		}
	}
	return false
}

// stamped is a stored result with what the cache says of it, as JSON: its numbers stay as they are written.
func (r result) stamped(m *message, o forebay.Outcome) ([]byte, error) {
	var all, meta map[string]json.RawMessage
	if err := json.Unmarshal(r.JSON, &all); err != nil {
		return nil, err
	}
	if text, ok := all["_meta"]; ok {
		if err := json.Unmarshal(text, &meta); err != nil {
			return nil, err
		}
	}
	if meta == nil {
		meta = map[string]json.RawMessage{}
	}
	said := MetaOf(o)
	sum := sha256.Sum256(r.JSON)
	said.Validator = base64.RawURLEncoding.EncodeToString(sum[:12])
	put := func(into map[string]json.RawMessage, name string, v any) {
		into[name], _ = json.Marshal(v) // numbers, strings and raw JSON always marshal
	}
	put(meta, MetaKey, said)
	put(all, "_meta", meta)
	if _, hints := all["ttlMs"]; hints && m.question.Method != callTool {
		left := said.TTLMs
		var theirs int64
		if json.Unmarshal(all["ttlMs"], &theirs) == nil && theirs > 0 {
			left = min(left, theirs)
		}
		put(all, "ttlMs", left)
		if !m.rule.Shared || string(all["cacheScope"]) != `"public"` {
			put(all, "cacheScope", "private")
		}
	}
	return json.Marshal(all)
}
