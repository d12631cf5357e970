// Package framing finds requests of HTTP/1 that say twice how long they are. net/http reads them one way
// and forgets what else they said; something in front may have read them the other way, and then two
// parties see different requests on one connection (RFC 9112, sections 6.1 and 6.3).
package framing

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync/atomic"
)

// Listener returns a listener whose connections are each a [Conn].
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c}, nil
}

// A Conn looks at the framing of the requests that are read from it. One goroutine reads at a time.
type Conn struct {
	net.Conn
	scan scanner
	odd  atomic.Bool
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.Saw(p[:n])
	return n, err
}

// Saw looks at bytes that somebody else has read from the connection below, for whoever reads requests.
func (c *Conn) Saw(p []byte) {
	if len(p) > 0 && !c.scan.done() {
		if c.scan.write(p); c.scan.odd {
			c.odd.Store(true)
		}
	}
}

// BetweenRequests reports whether what was read ends where a request does, and nothing of another has come.
func (c *Conn) BetweenRequests() bool { return c.scan.betweenRequests() }

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

type connKey struct{}

// ConnContext is for [http.Server.ConnContext]: it lets [Handler] find what the connection saw.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	for c != nil {
		if found, ok := c.(*Conn); ok {
			return context.WithValue(ctx, connKey{}, found)
		}
		below, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return ctx
		}
		c = below.NetConn()
	}
	return ctx
}

// Handler answers requests on a connection whose framing was odd with refuse, and closes it: what came
// behind is nobody's request.
func Handler(next, refuse http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*Conn); ok && r.ProtoMajor == 1 && c.odd.Load() {
			w.Header().Set("Connection", "close")
			refuse.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// A scanner reads the requests of a connection as far as it takes to find where each head begins.
type scanner struct {
	state state
	odd   bool
	line  []byte // what is there of the line under way
	head  head
	left  int64 // bytes of the body, or of a chunk
	size  int   // bytes of the head
}

type state uint8

const (
	inHead state = iota
	inBody
	inChunkSize
	inChunk
	afterChunk
	inTrailer
	lost // another protocol, or what net/http refuses too: nothing more is looked at
)

type head struct {
	begun, old           bool // old: HTTP/1.0
	length, coded, twice bool
	bytes                int64
}

// maxHead bounds what is looked at of a head; net/http answers 431 before.
const maxHead = 1 << 20

func (s *scanner) done() bool { return s.state == lost }

func (s *scanner) betweenRequests() bool {
	return s.state == inHead && !s.head.begun && len(s.line) == 0 && s.size == 0
}

func (s *scanner) write(p []byte) {
	for len(p) > 0 && s.state != lost {
		switch s.state {
		case inBody, inChunk:
			n := min(int64(len(p)), s.left)
			p, s.left = p[n:], s.left-n
			if s.left == 0 {
				if s.state == inBody {
					s.next()
				} else {
					s.state = afterChunk
				}
			}
		default:
			i := bytes.IndexByte(p, '\n')
			if i < 0 {
				s.line = append(s.line, p...)
				s.bound()
				return
			}
			line := p[:i]
			if len(s.line) > 0 {
				line = append(s.line, line...)
				s.line = s.line[:0]
			}
			p = p[i+1:]
			s.size += len(line)
			s.bound()
			s.read(bytes.TrimSuffix(line, []byte("\r")))
		}
	}
}

func (s *scanner) bound() {
	if s.size+len(s.line) > maxHead {
		s.state, s.line = lost, nil
	}
}

// next begins another head.
func (s *scanner) next() { s.state, s.head, s.size = inHead, head{}, 0 }

func (s *scanner) read(line []byte) {
	switch s.state {
	case inHead:
		s.readHead(line)
	case inChunkSize:
		size, ok := chunkSize(line)
		switch s.left = size; {
		case !ok:
			s.state = lost
		case size == 0:
			s.state = inTrailer
		default:
			s.state = inChunk
		}
	case afterChunk:
		s.state = inChunkSize
		if len(line) > 0 {
			s.state = lost
		}
	case inTrailer:
		if len(line) == 0 {
			s.next()
		}
	}
}

func (s *scanner) readHead(line []byte) {
	h := &s.head
	switch {
	case !h.begun && len(line) == 0: // empty lines before a request do not count (RFC 9112, section 2.2)
	case !h.begun:
		h.begun, h.old = true, bytes.HasSuffix(line, []byte("HTTP/1.0"))
		if bytes.HasSuffix(line, []byte("HTTP/2.0")) {
			s.state = lost
		}
	case len(line) == 0:
		s.endHead()
	default:
		s.readField(line)
	}
}

func (s *scanner) readField(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.Trim(value, " \t")
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		h := &s.head
		h.length, h.bytes = true, 0
		for _, c := range value {
			if c < '0' || c > '9' || h.bytes > 1<<50 {
				s.state = lost // net/http refuses it
				return
			}
			h.bytes = h.bytes*10 + int64(c-'0')
		}
	case bytes.EqualFold(bytes.TrimRight(name, " \t"), []byte("Transfer-Encoding")):
		s.head.twice = s.head.coded
		s.head.coded = true
	}
}

// endHead judges a head, and goes on behind its body.
func (s *scanner) endHead() {
	h := s.head
	if h.coded && (h.length || h.old || h.twice) {
		s.odd, s.state = true, lost
		return
	}
	switch {
	case h.coded:
		s.state = inChunkSize
	case h.bytes > 0:
		s.state, s.left = inBody, h.bytes
	default:
		s.next()
	}
}

// chunkSize reads the size in front of a chunk, without its extensions.
func chunkSize(line []byte) (size int64, ok bool) {
	line, _, _ = bytes.Cut(line, []byte(";"))
	line = bytes.Trim(line, " \t")
	for _, c := range line {
		switch {
		case '0' <= c && c <= '9':
			size = size<<4 | int64(c-'0')
		case 'a' <= c && c <= 'f':
			size = size<<4 | int64(c-'a'+10)
		case 'A' <= c && c <= 'F':
			size = size<<4 | int64(c-'A'+10)
		default:
			return 0, false
		}
		if size > 1<<50 {
			return 0, false
		}
	}
	return size, len(line) > 0
}
