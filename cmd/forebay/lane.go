package main

import (
	"net"
	"net/http"
	"syscall"

	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/internal/lane"
)

// laneOfNear is the part of the near tier's bound that heads of answers may take beside it.
const laneOfNear = 3

// lanePossible is false where the lane is off, or every request has to be seen whole, because it has a record or a trace.
func (c *serveCommand) lanePossible(t *traces) bool {
	return c.Lane != "off" && c.AccessLog == "off" && t == nil
}

// laneStats are what the lane has done.
func (s *servers) laneStats() admin.Lane {
	if s.lane == nil {
		return admin.Lane{}
	}
	n := s.lane.Stats()
	return admin.Lane{Answers: n.Answers, Differ: n.Differ, Bytes: n.Bytes}
}

// laneOptions are those of the lane under the public listener; nil where that is not possible.
func (c *serveCommand) laneOptions(g *gateway.Gateway, cl *clients, a *admin.Admin, t *traces, secure bool) *lane.Options {
	if !c.lanePossible(t) {
		return nil
	}
	o := &lane.Options{
		Bytes: g.Cache().Stats().Near.MaxBytes / laneOfNear, First: readHeaderTimeout, Idle: idleTimeout, Sample: a.Samples, State: cl.track,
		Counter: func(r *http.Request, status int) lane.Counter { return a.Counter(r, status) },
	}
	if !secure {
		o.Raw = rawOf
	}
	return o
}

// rawOf is the descriptor of a connection that comes straight from the kernel.
func rawOf(c net.Conn) syscall.RawConn {
	bound, ok := accepted(c).(*boundConn)
	if !ok {
		return nil
	}
	tcp, ok := bound.Conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}
