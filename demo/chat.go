package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/demo/origin"
	"github.com/forebay-cache/forebay/httpcache"
	"golang.org/x/text/unicode/norm"
)

// A Question is what a reply depends on, and so all of it is in the key.
type Question struct {
	OrgID   string    `json:"org_id"`
	Message string    `json:"message"`
	History []Message `json:"history,omitempty"` // empty: none, however it is written
}

// A Message is an earlier turn that the caller sends along.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// An Assistant answers a question word by word. It returns what the answer rests on once it is
// whole, and an error if it is not: then nothing of it is stored.
type Assistant interface {
	Answer(ctx context.Context, q Question, say func(word string)) ([]origin.Source, error)
}

// embedded is the assistant of the partner API.
type embedded struct{ api *origin.API }

func (e embedded) Answer(ctx context.Context, q Question, say func(string)) ([]origin.Source, error) {
	return e.api.Ask(ctx, q.OrgID, q.Message, say)
}

// newChat puts the HTTP cache in front of an assistant: a POST whose JSON body is the key. What is
// stored is the stream of events; the whole form is made of it.
func newChat(c *forebay.Cache, a Assistant) (http.Handler, error) {
	h, err := httpcache.New(c, httpcache.Options{
		Rules:   []httpcache.Rule{{Match: "POST " + chatPath, Class: "chat", BodyKey: &httpcache.BodyKey{MaxBytes: maxBody}, Events: httpcache.EndDone}},
		Class:   "chat",
		MaxBody: maxReply,
		Error:   func(w http.ResponseWriter, _ *http.Request, err error) { writeProblem(w, err) },
	})
	if err != nil {
		return nil, err
	}
	return h.Handler(speaker{a}), nil
}

const (
	chatPath = "/api/chat"
	maxReply = 8 << 20 // of the events of one reply
)

// A speaker asks the assistant and says its answer as server-sent events: one a word, then its
// sources, then "[DONE]". A reply that breaks off ends with an event of type error, and without
// "[DONE]", so that nothing stores it.
type speaker struct{ assistant Assistant }

func (s speaker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q Question
	if err := readJSON(r, &q); err != nil {
		writeProblem(w, err)
		return
	}
	said := false
	send := func(format string, v any) {
		if !said {
			said = true
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Accel-Buffering", "no")
		}
		data, _ := json.Marshal(v) // words and sources always marshal
		fmt.Fprintf(w, format, data)
	}
	sources, err := s.assistant.Answer(r.Context(), q, func(word string) { send("data: %s\n\n", delta{word}) })
	switch {
	case err == nil:
		send("event: sources\ndata: %s\n\n", cited{sources})
		fmt.Fprint(w, "data: [DONE]\n\n")
	case said:
		send("event: error\ndata: %s\n\n", failed{asProblem(err).Detail})
	case asProblem(err).Status >= 500 && httpcache.Fail(w, err):
	default:
		writeProblem(w, err)
	}
}

// The data of the events.
type (
	delta struct {
		Delta string `json:"delta"`
	}
	cited struct {
		Sources []origin.Source `json:"sources"`
	}
	failed struct {
		Detail string `json:"detail"`
	}
)

type chatRequest struct {
	Message   string    `json:"message"`
	OrgID     string    `json:"org_id"`
	History   []Message `json:"history"`
	SessionID string    `json:"session_id"`
	Stream    bool      `json:"stream"`
}

// question reads what the reply depends on: the message in NFC and trimmed, so that what looks
// equal is equal.
func (c chatRequest) question() (Question, error) {
	message := strings.TrimSpace(norm.NFC.String(c.Message))
	switch {
	case c.OrgID == "":
		return Question{}, wrongField("org_id", "is required")
	case message == "":
		return Question{}, wrongField("message", "is required")
	}
	for i, m := range c.History {
		if m.Role != "user" && m.Role != "assistant" {
			return Question{}, wrongField(fmt.Sprintf("history[%d].role", i), "is neither user nor assistant")
		}
	}
	return Question{c.OrgID, message, c.History}, nil
}

func (p *Platform) postChat(w http.ResponseWriter, r *http.Request) error {
	var req chatRequest
	if err := readJSON(r, &req); err != nil {
		return err
	}
	q, err := req.question()
	if err != nil {
		return err
	}
	if req.SessionID != "" {
		if err := p.api.RecordTurn(r.Context(), req.SessionID, q.OrgID, q.Message); err != nil {
			p.logger.Warn("a turn was not recorded", slog.Any("error", err))
		}
	}
	ask, err := q.request(r.Context())
	if err != nil {
		return err
	}
	remember := func(text string) { p.rememberTurn(r.Context(), q, text) }
	if req.Stream || strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		w.Header().Set("Cache-Control", "no-store")
		p.chat.ServeHTTP(&listener{ResponseWriter: w, whole: remember}, ask)
		return nil
	}
	return p.wholeReply(w, ask, remember)
}

// request is a question as the HTTP cache is asked it.
func (q Question) request(ctx context.Context) (*http.Request, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://platform"+chatPath, bytes.NewReader(body))
	if err == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, err
}

// hear asks for the whole of a reply, and holds it back.
func (p *Platform) hear(ask *http.Request, remember func(text string)) (*listener, *unsent) {
	held := &unsent{header: http.Header{}, status: http.StatusOK}
	all := &listener{ResponseWriter: held, whole: remember}
	p.chat.ServeHTTP(all, ask)
	return all, held
}

var errBrokeOff = &problem{Status: http.StatusServiceUnavailable, Detail: "the assistant's answer broke off", retryAfter: 1}

// wholeReply answers with the whole form of what is said.
func (p *Platform) wholeReply(w http.ResponseWriter, ask *http.Request, remember func(text string)) error {
	all, unsent := p.hear(ask, remember)
	w.Header()["Cache-Status"] = unsent.header["Cache-Status"]
	switch {
	case all.status != http.StatusOK:
		for _, name := range []string{"Content-Type", "Cache-Control", "Retry-After"} {
			if lines := unsent.header[name]; lines != nil {
				w.Header()[name] = lines
			}
		}
		w.WriteHeader(all.status)
		w.Write(unsent.body.Bytes())
		return nil
	case !all.done:
		return errBrokeOff
	}
	return writeJSON(w, http.StatusOK, map[string]any{"reply": all.text.String(), "sources": all.sources})
}

func (p *Platform) rememberTurn(ctx context.Context, q Question, text string) {
	if err := p.remember(ctx, turn{q.Message, text, time.Now().UTC()}); err != nil {
		p.logger.Warn("a turn was not remembered", slog.Any("error", err))
	}
}
