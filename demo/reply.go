package demo

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/forebay-cache/forebay/demo/origin"
)

// A listener lets the events of a reply pass and hears what they say.
type listener struct {
	http.ResponseWriter
	whole func(text string) // called with the whole text before its end goes on

	status  int
	line    []byte // the one that has not ended yet
	event   string
	text    strings.Builder
	sources []origin.Source
	done    bool
}

// WriteHeader implements [http.ResponseWriter].
func (l *listener) WriteHeader(status int) {
	l.status = status
	l.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (l *listener) Write(p []byte) (int, error) {
	if l.status == http.StatusOK {
		l.hear(p)
	}
	return l.ResponseWriter.Write(p)
}

// Unwrap lets [http.ResponseController] reach the writer below.
func (l *listener) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func (l *listener) hear(p []byte) {
	l.line = append(l.line, p...)
	for {
		line, rest, ended := bytes.Cut(l.line, []byte("\n"))
		if !ended {
			return
		}
		l.read(string(line))
		l.line = rest
	}
}

func (l *listener) read(line string) {
	name, value, _ := strings.Cut(line, ": ")
	switch {
	case line == "":
		l.event = ""
	case name == "event":
		l.event = value
	case value == "[DONE]":
		l.done = true
		l.whole(l.text.String())
	case l.event == "sources":
		var c cited
		json.Unmarshal([]byte(value), &c)
		l.sources = c.Sources
	case l.event == "":
		var d delta
		json.Unmarshal([]byte(value), &d)
		l.text.WriteString(d.Delta)
	}
}

// An unsent response is held back, because the client wants another form of it.
type unsent struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (u *unsent) Header() http.Header { return u.header }

// WriteHeader implements [http.ResponseWriter].
func (u *unsent) WriteHeader(status int) { u.status = status }

// Write implements [http.ResponseWriter].
func (u *unsent) Write(p []byte) (int, error) { return u.body.Write(p) }

// Flush implements [http.Flusher]: there is nothing to be sent.
func (u *unsent) Flush() {}
