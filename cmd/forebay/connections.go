package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay"
)

// clients bounds the connections of a listener. At the bound one makes room whose client has gone, though
// its request is still under way, or the one that has been idle for longest; where there is none the
// newcomer is told so. Descriptors are left for everything else.
type clients struct {
	refused atomic.Uint64

	mu   sync.Mutex // guards the fields below
	max  int
	all  map[*boundConn]struct{}
	idle map[*boundConn]time.Time // since when
	gone map[*boundConn]struct{}
}

func newClients(limit int) *clients {
	return &clients{max: limit, all: map[*boundConn]struct{}{}, idle: map[*boundConn]time.Time{}, gone: map[*boundConn]struct{}{}}
}

func (c *clients) limit() forebay.Limit {
	c.mu.Lock()
	defer c.mu.Unlock()
	return forebay.Limit{Name: "connections", Used: int64(len(c.all)), Max: int64(c.max), Refused: c.refused.Load()}
}

// resize sets the bound. Connections beyond a smaller one stay until they end.
func (c *clients) resize(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.max = n
}

// listener counts the connections of l.
func (c *clients) listener(l net.Listener) net.Listener { return boundListener{l, c} }

type boundListener struct {
	net.Listener
	clients *clients
}

// Accept implements [net.Listener].
func (l boundListener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		conn := &boundConn{accepted, l.clients}
		if l.clients.admit(conn) {
			return conn, nil
		}
		l.clients.turnAway(conn)
	}
}

// A boundConn tells when its client has gone.
type boundConn struct {
	net.Conn
	clients *clients
}

// Read implements [net.Conn].
func (c *boundConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.clients.left(c)
	}
	return n, err
}

// Close implements [net.Conn]. A connection that was taken over is closed by its new owner.
func (c *boundConn) Close() error {
	c.clients.mu.Lock()
	c.clients.forget(c)
	c.clients.mu.Unlock()
	return c.Conn.Close()
}

func (c *clients) left(conn *boundConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.all[conn]; there {
		c.gone[conn] = struct{}{}
	}
}

func (c *clients) admit(conn *boundConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) >= c.max && !c.makeRoom() {
		return false
	}
	c.all[conn] = struct{}{}
	return true
}

// makeRoom closes a connection that nobody needs. The lock is held.
func (c *clients) makeRoom() bool {
	for conn := range c.gone {
		c.close(conn)
		return true
	}
	var oldest *boundConn
	var since time.Time
	for conn, t := range c.idle {
		if oldest == nil || t.Before(since) {
			oldest, since = conn, t
		}
	}
	if oldest == nil {
		return false
	}
	c.close(oldest)
	return true
}

func (c *clients) close(conn *boundConn) {
	c.forget(conn)
	conn.Conn.Close()
}

func (c *clients) forget(conn *boundConn) {
	delete(c.idle, conn)
	delete(c.gone, conn)
	delete(c.all, conn)
}

// busy is what a client is told whose connection is not served.
const busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\nCache-Status: forebay; detail=refused-connections\r\n" +
	"Cache-Control: no-store\r\nContent-Length: 99\r\nConnection: close\r\n\r\n" +
	`{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many connections"}` + "\r\n"

// turnAway answers in the time that the kernel takes it in, and closes.
func (c *clients) turnAway(conn *boundConn) {
	c.refused.Add(1)
	conn.SetDeadline(time.Now().Add(10 * time.Millisecond))
	conn.Write([]byte(busy))
	conn.Conn.Close()
}

// track is for [http.Server.ConnState].
func (c *clients) track(around net.Conn, state http.ConnState) {
	conn, ok := accepted(around).(*boundConn)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
		if _, there := c.all[conn]; there {
			c.idle[conn] = time.Now()
		}
	case http.StateActive:
		delete(c.idle, conn)
	case http.StateHijacked:
		delete(c.idle, conn)
		delete(c.gone, conn)
	case http.StateClosed: // see Close
	}
}

// accepted is the connection that the listener's own wrappers stand around.
func accepted(conn net.Conn) net.Conn {
	for {
		around, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = around.NetConn()
	}
}

// A patientConn gives each piece of what is written a deadline: a client that reads nothing is let go,
// and one that reads slowly is not.
type patientConn struct{ net.Conn }

const writePiece = 64 << 10

// Write implements [net.Conn].
func (c patientConn) Write(p []byte) (int, error) {
	sent := 0
	for {
		if err := c.SetWriteDeadline(time.Now().Add(writeIdle)); err != nil {
			return sent, err
		}
		n, err := c.Conn.Write(p[:min(len(p), writePiece)])
		if sent += n; err != nil || n == len(p) {
			return sent, err
		}
		p = p[n:]
	}
}

// NetConn returns the connection below.
func (c patientConn) NetConn() net.Conn { return c.Conn }

// A patientListener has patient connections.
type patientListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l patientListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return patientConn{c}, nil
}

// patientStreams gives each piece that is written to a stream of HTTP/2 a deadline: there a client holds
// its streams up one by one, and the connection's deadline sees nothing of it.
func patientStreams(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor >= 2 {
			w = &patientStream{w, http.NewResponseController(w)}
		}
		next.ServeHTTP(w, r)
	})
}

type patientStream struct {
	http.ResponseWriter
	control *http.ResponseController
}

const streamPiece = 16 << 10

// Write implements [io.Writer].
func (s *patientStream) Write(p []byte) (int, error) {
	sent := 0
	for {
		if err := s.control.SetWriteDeadline(time.Now().Add(writeIdle)); err != nil {
			return sent, err
		}
		n, err := s.ResponseWriter.Write(p[:min(len(p), streamPiece)])
		if sent += n; err != nil || n == len(p) {
			return sent, err
		}
		p = p[n:]
	}
}

// FlushError is for [http.ResponseController].
func (s *patientStream) FlushError() error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeIdle)); err != nil {
		return err
	}
	return s.control.Flush()
}

// Flush implements [http.Flusher].
func (s *patientStream) Flush() { s.FlushError() }

// Unwrap lets [http.ResponseController] reach the writer below.
func (s *patientStream) Unwrap() http.ResponseWriter { return s.ResponseWriter }
