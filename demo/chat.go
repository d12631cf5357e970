package demo

import (
	"context"
	"encoding/json"
	"errors"
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
	OrgID   string
	Message string
	History []Message
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

// chat is the cache in front of an assistant. It stands on the lower layer, because an answer is
// passed on while it is still growing.
type chat struct {
	assistant Assistant
	replies   *forebay.Space[*reply]
	key       func(Question) (string, error)
}

func newChat(c *forebay.Cache, a Assistant) (*chat, error) {
	replies, err := forebay.OpenSpace(c, "chat", (*reply).size)
	if err != nil {
		return nil, err
	}
	key, err := forebay.PlanKey[Question]()
	return &chat{a, replies, key}, err
}

// ask returns the reply to a question: whole, or with its first word.
func (c *chat) ask(ctx context.Context, q Question, whole bool) (*reply, forebay.Outcome, error) {
	part, err := c.key(q)
	if err != nil {
		return nil, forebay.Outcome{}, err
	}
	key := c.replies.Key(part)
	r, outcome, err := c.answer(ctx, key, q, whole)
	c.replies.Count(outcome)
	return r, outcome, err
}

func (c *chat) answer(ctx context.Context, key string, q Question, whole bool) (*reply, forebay.Outcome, error) {
	found, ok := c.replies.Lookup(ctx, key)
	switch {
	case ok && found.Use == forebay.Serve, ok && found.Use == forebay.ServeAndRefresh:
		found.Reason = forebay.NoReason
		return found.Value, found.Outcome, found.Err
	}
	for {
		fill := c.replies.Begin(ctx, key, found.Need())
		if fill.Leads() {
			go c.lead(fill, q)
		}
		wait := fill.Wait
		if whole {
			wait = fill.WaitWhole
		}
		r, outcome, err := wait(ctx)
		if errors.Is(err, forebay.ErrObsolete) {
			continue
		}
		if outcome.Status == forebay.Miss {
			outcome.Reason = found.Reason
		}
		if err != nil && ok && ctx.Err() == nil {
			found.Reason = forebay.LoadFailed
			return found.Value, found.Outcome, nil
		}
		return r, outcome, err
	}
}

// lead asks the assistant. Callers get the reply with its first word; before that, they get the error.
func (c *chat) lead(fill *forebay.Fill[*reply], q Question) {
	defer fill.Release()
	defer fill.Recover()
	must, err := fill.Acquire(true)
	if err != nil {
		fill.Abandon(err)
	}
	if !must {
		return
	}
	r, size := newReply(), 0
	ctx, cancel := context.WithCancelCause(fill.Context())
	defer cancel(nil)
	sources, err := c.assistant.Answer(ctx, q, func(word string) {
		if size += len(word); size > maxReply {
			cancel(errReplyTooLong)
			return
		}
		r.say(word)
		fill.Publish(r)
	})
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	if err != nil {
		r.end(err)
		fill.Abandon(err)
		return
	}
	// Stored first: whoever has read the end of a reply and asks again gets a hit.
	r.restOn(sources)
	fill.Commit(r, forebay.Keep{})
	r.end(nil)
}

var errReplyTooLong = errors.New("the assistant's answer is too long")

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
	stream := req.Stream || strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	answer, outcome, err := p.chat.ask(r.Context(), q, !stream)
	w.Header().Set("Cache-Status", httpcache.Status(outcome))
	if err != nil {
		return err
	}
	if stream {
		p.streamReply(w, r, q, answer)
		return nil
	}
	text, sources, err := answer.all(r.Context())
	if err != nil {
		return err
	}
	p.rememberTurn(r.Context(), q, text)
	return writeJSON(w, http.StatusOK, map[string]any{"reply": text, "sources": sources})
}

func (p *Platform) rememberTurn(ctx context.Context, q Question, text string) {
	if err := p.remember(ctx, turn{q.Message, text, time.Now().UTC()}); err != nil {
		p.logger.Warn("a turn was not remembered", slog.Any("error", err))
	}
}

// streamReply sends the reply as server-sent events: an event a word, then its sources, then
// "[DONE]". A reply that breaks off ends with an event of type error, and without "[DONE]".
func (p *Platform) streamReply(w http.ResponseWriter, r *http.Request, q Question, answer *reply) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	stream := http.NewResponseController(w)
	send := func(format string, v any) error {
		data, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, format, data); err != nil {
			return err
		}
		return stream.Flush()
	}
	err := answer.read(r.Context(), func(word string) error {
		return send("data: %s\n\n", map[string]string{"delta": word})
	})
	if err != nil {
		send("event: error\ndata: %s\n\n", map[string]string{"detail": asProblem(err).Detail})
		return
	}
	text, sources, _ := answer.all(r.Context())
	if send("event: sources\ndata: %s\n\n", map[string]any{"sources": sources}) != nil {
		return
	}
	p.rememberTurn(r.Context(), q, text)
	fmt.Fprint(w, "data: [DONE]\n\n")
	stream.Flush()
}
