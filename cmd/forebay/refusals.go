package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
)

// A plainListener has connections that say in problem details what net/http says in a few words of its own when it
// refuses what is not a request, before any handler sees it; and they count it.
type plainListener struct {
	net.Listener
	refused func(reason string)
}

// Accept implements [net.Listener].
func (l plainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return plainConn{c, l.refused}, nil
}

type plainConn struct {
	net.Conn
	refused func(reason string)
}

// NetConn returns the connection below.
func (c plainConn) NetConn() net.Conn { return c.Conn }

// ownWords are what stands between net/http's status line and its words. An answer of a handler has a Date.
var ownWords = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// Write implements [net.Conn].
func (c plainConn) Write(p []byte) (int, error) {
	status, words, ok := refusalOf(p)
	if !ok {
		return c.Conn.Write(p)
	}
	c.refused(strconv.Itoa(status))
	if _, err := c.Conn.Write(problemOf(status, words)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// refusalOf recognises a refusal of net/http's own, which it writes at once. The one for an expectation looks like
// a handler's, but every answer that has come through the gateway says how.
func refusalOf(p []byte) (status int, words string, ok bool) {
	const line = "HTTP/1.1 "
	if len(p) > 1024 || !bytes.HasPrefix(p, []byte(line)) {
		return 0, "", false
	}
	if bytes.HasPrefix(p, []byte(line+"417 ")) && !bytes.Contains(p, []byte("\r\nCache-Status: ")) {
		return http.StatusExpectationFailed, "no other expectation than 100-continue is met", true
	}
	end := bytes.IndexByte(p, '\r')
	if end < len(line)+3 || !bytes.HasPrefix(p[end:], ownWords) {
		return 0, "", false
	}
	status, err := strconv.Atoi(string(p[len(line) : len(line)+3]))
	return status, string(p[end+len(ownWords):]), err == nil && status >= 400
}

func problemOf(status int, words string) []byte {
	body, _ := json.Marshal(map[string]any{ // strings and numbers always marshal
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": words,
	})
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\nCache-Status: forebay; detail=refused-%d\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), status, len(body), body)
}
