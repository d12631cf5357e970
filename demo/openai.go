package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/demo/origin"
)

// An OpenAI assistant asks an endpoint that speaks the OpenAI-compatible protocol of chat
// completions, and passes its words on as they come.
type OpenAI struct {
	BaseURL string // ending in /v1 where the endpoint has it
	Key     string
	Model   string // default gpt-4o-mini
	Client  *http.Client
}

const (
	defaultModel  = "gpt-4o-mini"
	headerTimeout = 20 * time.Second
	maxErrorBody  = 4 << 10
	maxEventLine  = 1 << 20
)

// NewOpenAI returns the assistant. Its answers end with their context, so the client has no
// timeout but for the header.
func NewOpenAI(baseURL, key, model string) *OpenAI {
	if model == "" {
		model = defaultModel
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = headerTimeout
	return &OpenAI{strings.TrimRight(baseURL, "/"), key, model, &http.Client{Transport: transport}}
}

// Answer implements [Assistant]. An answer counts only if it ended by its own rule: a finish_reason
// other than "length", no error, then "[DONE]".
func (o *OpenAI) Answer(ctx context.Context, q Question, say func(string)) ([]origin.Source, error) {
	body, err := json.Marshal(map[string]any{"model": o.Model, "stream": true, "messages": messages(q)})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.BaseURL+"/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Authorization", "Bearer "+o.Key)
	res, err := o.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("language model: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
		return nil, fmt.Errorf("language model: %s: %s", res.Status, text)
	}
	if err := readCompletion(res.Body, say); err != nil {
		return nil, fmt.Errorf("language model: %w", err)
	}
	return []origin.Source{}, nil
}

func messages(q Question) []Message {
	out := []Message{{"system", "You answer questions about partners, query templates and clean rooms of the organisation " + q.OrgID + ". Be brief."}}
	out = append(out, q.History...)
	return append(out, Message{"user", q.Message})
}

type completionChunk struct {
	Choices []struct {
		Delta        struct{ Content string }
		FinishReason string `json:"finish_reason"`
	}
	Error *struct{ Message string }
}

// readCompletion reads the events of a completion.
func readCompletion(r io.Reader, say func(string)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEventLine)
	finish := ""
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok {
			continue // comments, event names and empty lines
		}
		data = strings.TrimSpace(data)
		if data == "[DONE]" {
			return finished(finish)
		}
		var chunk completionChunk
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return fmt.Errorf("unreadable event: %w", err)
		}
		if chunk.Error != nil {
			return errors.New(chunk.Error.Message)
		}
		for _, c := range chunk.Choices {
			if c.Delta.Content != "" {
				say(c.Delta.Content)
			}
			if c.FinishReason != "" {
				finish = c.FinishReason
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

func finished(reason string) error {
	switch reason {
	case "":
		return errors.New("the answer has no finish_reason")
	case "length":
		return errors.New("the answer was cut off at the model's limit")
	}
	return nil
}
