package lane

import (
	"net/http"
	"time"
)

const sweepEvery = time.Second

// sweep looks after the connections that wait here, instead of a timer for each request: it ends those that have waited for
// too long, and has the others read once more after they were used, because the end of a connection may have come with its
// last request:
//
//  1. A request and the end of the connection come in one segment.
//  2. The poller says once that there is something. The read returns the request alone, and is short.
//  3. The lane waits for more to come, and nothing will.
func (l *Lane) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.done:
			return
		}
		now := l.now()
		for _, c := range l.all() {
			c.look(now)
		}
	}
}

// look wakes a connection that waits if there is a reason to.
func (c *conn) look(now int64) {
	last := c.last.Load()
	if last == c.checked {
		if c.expired(now) {
			c.wake()
		}
		return
	}
	c.tellIdle()
	if now-last < int64(sweepEvery) {
		return // it is being used
	}
	c.checked = last
	if c.raw != nil {
		c.wake()
	}
}

// expired reports whether a connection has waited for too long.
func (c *conn) expired(now int64) bool {
	limit := c.lane.o.Idle
	if !c.used.Load() {
		limit = c.lane.o.First
	}
	return now-c.last.Load() >= int64(limit)
}

// tellIdle tells of a connection that is used, and that net/http has not told of since.
func (c *conn) tellIdle() {
	c.mu.Lock() // net/http has it only when this is free
	defer c.mu.Unlock()
	if c.waiting && c.lane.o.State != nil {
		c.lane.o.State(c, http.StateIdle)
	}
}

// wake ends a wait. A connection that net/http reads is left alone.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting {
		c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}
