package lane

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A room is where requests are read to and answers are written in. Connections that wait have none.
type room struct {
	in   [maxHead]byte
	key  [maxHead]byte
	out  []byte
	sent []sent
}

// A sent is an answer whose bytes are in a room, or have gone.
type sent struct {
	counter Counter
	bytes   int
}

var rooms = sync.Pool{New: func() any { return &room{out: make([]byte, 0, flushAt+4<<10)} }}

const (
	// flushAt is how many bytes of answers are sent in one piece: what a pipelined batch needs.
	flushAt = 16 << 10
	// copyMost is the largest body that is copied behind its head; a larger one is sent from where it is.
	copyMost = 16 << 10
)

// A state is what has to be done with a connection.
type state uint8

const (
	drained state = iota // everything that came was answered
	passOn               // what is left is for net/http
	blocked              // the client takes no more for now: unsent first, then what is left
)

// serve answers requests until one comes that is for net/http; it is in pending then.
func (c *conn) serve() error {
	c.enter()
	defer c.leave()
	for {
		if c.unsent != nil {
			c.writeAll(c.unsent, nil)
			c.unsent = nil
		}
		if c.failed != nil {
			return c.failed
		}
		if len(c.pending) > 0 {
			if c.answerPending() == passOn {
				return nil
			}
			continue
		}
		if c.lane.closed() {
			return net.ErrClosed
		}
		switch s, err := c.read(); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := c.woken(); err != nil {
				return err
			}
		case err != nil:
			return err
		case s == passOn:
			return nil
		}
	}
}

// enter takes the deadline of net/http off: it would count the time of what is answered here.
func (c *conn) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = true
	c.last.Store(c.lane.now())
	if !c.deadline.IsZero() {
		c.Conn.SetReadDeadline(time.Time{})
	}
}

func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
	c.used.Store(true)
	c.Conn.SetReadDeadline(c.deadline)
}

// answerPending answers what was read before.
func (c *conn) answerPending() state {
	r := rooms.Get().(*room)
	defer rooms.Put(r)
	in := c.pending
	c.pending = nil
	return c.answer(r, in, c.writeAll)
}

// read reads once, or, with a descriptor, until there is something to do but answer.
func (c *conn) read() (state, error) {
	if c.raw != nil {
		return c.readRaw()
	}
	r := rooms.Get().(*room)
	defer rooms.Put(r)
	n, err := c.Conn.Conn.Read(r.in[:])
	if n == 0 {
		return drained, err
	}
	return c.answer(r, r.in[:n], c.writeAll), nil
}

// answer answers the requests at the beginning of in, as far as the lane knows them, and keeps the rest in pending.
func (c *conn) answer(r *room, in []byte, write func(a, b []byte) bool) state {
	began := time.Now()
	r.out, r.sent = r.out[:0], r.sent[:0]
	for len(in) > 0 {
		h, ok := scan(in, r.key[:0])
		if !ok {
			return c.passOn(r, in, head{}, write, began)
		}
		body, a := c.find(r, h, began)
		if a == nil {
			return c.passOn(r, in, h, write, began)
		}
		in = in[len(h.whole):]
		if r.sent = append(r.sent, sent{a.counter, len(body)}); len(body) <= copyMost {
			r.out = append(r.out, body...)
			body = nil
		}
		if (body != nil || len(r.out) >= flushAt) && !c.flush(r, body, write, began) {
			c.pending = append([]byte(nil), in...)
			return blocked
		}
	}
	if !c.flush(r, nil, write, began) {
		return blocked
	}
	return drained
}

// find puts the head of the answer to a request into the room, and returns its body; a is nil where there is none.
func (c *conn) find(r *room, h head, now time.Time) (body []byte, a *answer) {
	l := c.lane
	if a = l.table.get(h); a == nil || l.off.Load() || l.o.Sample != nil && l.o.Sample(now) {
		return nil, nil
	}
	next, ok := a.again.Next(c.peer, now)
	if !ok {
		return nil, nil
	}
	a.again.Count(next)
	if r.out = a.appendHead(r.out, next); a.bodiless {
		return nil, a
	}
	return next.Body, a
}

// passOn sends what was answered, and keeps what is for net/http: a request, or what is none that the lane knows.
func (c *conn) passOn(r *room, in []byte, h head, write func(a, b []byte) bool, began time.Time) state {
	if !c.flush(r, nil, write, began) {
		c.pending = append([]byte(nil), in...)
		return blocked
	}
	c.pending, c.first = append([]byte(nil), in...), len(h.whole)
	if h.whole != nil && !h.strict() {
		h = head{}
	}
	c.begins(h)
	return passOn
}

// flush sends what is in the room, and a body behind it. It returns false where the client does not take it all: the rest is
// in unsent.
func (c *conn) flush(r *room, body []byte, write func(a, b []byte) bool, began time.Time) bool {
	if len(r.sent) == 0 {
		return true
	}
	whole := write(r.out, body)
	now := time.Now()
	took := now.Sub(began)
	for _, one := range r.sent {
		one.counter.Add(took, one.bytes)
	}
	c.lane.answers.Add(uint64(len(r.sent)))
	c.last.Store(int64(now.Sub(c.lane.base)))
	c.used.Store(true)
	r.out, r.sent = r.out[:0], r.sent[:0]
	return whole
}

// writeAll sends a, then b, however long the client takes. Whoever closes the connection meanwhile waits for that.
func (c *conn) writeAll(a, b []byte) bool {
	c.mu.Lock()
	if c.closing {
		c.failed = net.ErrClosed
		c.mu.Unlock()
		return false
	}
	c.writing = true
	c.mu.Unlock()
	_, err := c.Conn.Write(a)
	if err == nil && len(b) > 0 {
		_, err = c.Conn.Write(b)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing = false; c.closing {
		c.Conn.Close()
		err = net.ErrClosed
	}
	c.failed = err
	return err == nil
}

// woken says why somebody ended a wait: nil to read once more.
func (c *conn) woken() error {
	c.mu.Lock()
	c.Conn.SetReadDeadline(time.Time{})
	c.mu.Unlock()
	if c.lane.closed() || c.expired(c.lane.now()) {
		return io.EOF
	}
	return nil
}
