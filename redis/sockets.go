package redis

import (
	"errors"
	"net"
	"sync"
)

// sockets are the tier's open connections. The client, when it is closed, waits for the answers of a server that
// may be silent; with its connections gone it does not.
type sockets struct {
	mu     sync.Mutex // guards the fields below
	open   map[*socket]struct{}
	closed bool
}

type socket struct {
	net.Conn
	of *sockets
}

var errClosed = errors.New("redis: closed")

// keep takes a connection that was just dialled.
func (s *sockets) keep(conn net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return nil, errClosed
	}
	if s.open == nil {
		s.open = map[*socket]struct{}{}
	}
	one := &socket{conn, s}
	s.open[one] = struct{}{}
	return one, nil
}

func (s *socket) Close() error {
	s.of.mu.Lock()
	delete(s.of.open, s)
	s.of.mu.Unlock()
	return s.Conn.Close()
}

// close closes them all, and whatever is dialled from now on.
func (s *sockets) close() {
	s.mu.Lock()
	s.closed = true
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for one := range open {
		one.Conn.Close()
	}
}
