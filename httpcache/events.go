package httpcache

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

func isEvents(h http.Header) bool {
	t, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(t), "text/event-stream")
}

// An eventCheck reads a stream of server-sent events as it passes and says whether it ended by its own
// rule. A nil one takes everything for whole.
type eventCheck struct {
	end    EventsEnd
	line   []byte       // the one that has not ended yet
	event  string       // the type of the event that has not ended yet
	failed bool         // an error was reported, or the rest could not be read
	done   bool         // "[DONE]" came
	open   map[int]bool // choices of an OpenAI-compatible stream that have no finish_reason yet
	closed bool         // some choice has one
}

func newEventCheck(end EventsEnd) *eventCheck { return &eventCheck{end: end, open: map[int]bool{}} }

// maxEventLine bounds what is looked at; a stream with longer lines is not stored.
const maxEventLine = 1 << 20

func (c *eventCheck) write(p []byte) {
	if c == nil || c.failed {
		return
	}
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			c.line = append(c.line, p...)
			c.failed = c.failed || len(c.line) > maxEventLine
			return
		}
		line := p[:i]
		if len(c.line) > 0 {
			line = append(c.line, line...)
			c.line = c.line[:0]
		}
		c.read(strings.TrimSuffix(string(line), "\r"))
		p = p[i+1:]
	}
}

func (c *eventCheck) read(line string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch {
	case line == "":
		c.event = ""
	case name == "event":
		c.event = value
		c.failed = c.failed || value == "error"
	case name == "data" && value == "[DONE]":
		c.done = true
	case name == "data" && c.end == EndOpenAI:
		c.chunk(value)
	}
}

// chunk reads a chunk of a chat completion.
func (c *eventCheck) chunk(data string) {
	var chunk struct {
		Choices []struct {
			Index        int     `json:"index"`
			FinishReason *string `json:"finish_reason"`
		} `json:"choices"` // there in each chunk, if only as an empty list
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal([]byte(data), &chunk) != nil || chunk.Choices == nil || len(chunk.Error) > 0 && string(chunk.Error) != "null" {
		c.failed = true
		return
	}
	for _, choice := range chunk.Choices {
		if choice.FinishReason == nil || *choice.FinishReason == "" {
			if _, known := c.open[choice.Index]; !known {
				c.open[choice.Index] = true
			}
			continue
		}
		c.open[choice.Index] = false
		c.closed = true
		c.failed = c.failed || *choice.FinishReason == "length"
	}
}

// hopeless reports whether the stream cannot end by its rule any more.
func (c *eventCheck) hopeless() bool { return c != nil && c.failed }

func (c *eventCheck) whole() bool {
	if c == nil {
		return true
	}
	if c.failed || len(c.line) > 0 {
		return false
	}
	switch c.end {
	case EndClose:
		return true
	case EndDone:
		return c.done
	}
	for _, open := range c.open {
		if open {
			return false
		}
	}
	return c.done && c.closed
}

// nextEvent cuts the first event off a stream, with the empty line that ends it.
func nextEvent(p []byte) (event, rest []byte) {
	for i := 0; i+1 < len(p); i++ {
		if p[i] != '\n' {
			continue
		}
		switch {
		case p[i+1] == '\n':
			return p[:i+2], p[i+2:]
		case p[i+1] == '\r' && i+2 < len(p) && p[i+2] == '\n':
			return p[:i+3], p[i+3:]
		}
	}
	return p, nil
}
