package lane

import (
	"bytes"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/forebay-cache/forebay/internal/framing"
)

// A conn is a connection that is read here between requests, and by net/http during one.
type conn struct {
	*framing.Conn // sees what net/http reads
	lane          *Lane
	raw           syscall.RawConn // nil: it is read with Read
	peer          netip.Addr

	idle    atomic.Bool // net/http has answered everything that it was given
	pending []byte      // read, and not given to net/http yet
	first   int         // how many of those are the request whose answer may be learned; 0: there is none
	unsent  []byte      // what a client has yet to take of an answer

	failed error // of writing

	last    atomic.Int64 // when something was answered here, or since when it has waited
	used    atomic.Bool  // a request has come
	checked int64        // last, when the sweep had it read once more

	mu       sync.Mutex // guards the fields below
	waiting  bool       // it is read here
	writing  bool       // here, to a client that is slow: who closes it waits
	closing  bool
	deadline time.Time // of reading, as net/http has set it
	turn     turn
}

// A turn is a request that net/http answers, as far as it is followed.
type turn struct {
	asked head  // none: it is not
	again Again // nil: nobody has offered the answer
	of    *http.Request
	head  []byte // of the answer, as far as it was sent
	whole bool   // it was
	bytes int    // sent in all
}

// maxAnswerHead bounds the heads of answers that are remembered.
const maxAnswerHead = 8 << 10

func (l *Lane) newConn(c *framing.Conn) *conn {
	out := &conn{Conn: c, lane: l}
	if l.o.Raw != nil && canRaw {
		out.raw = l.o.Raw(c.Conn)
	}
	out.last.Store(l.now())
	return out
}

// NetConn returns the connection below.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Read implements [net.Conn]: between requests it answers those that the lane knows, until another comes.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) > 1 && c.idle.Load() && c.BetweenRequests() && !c.lane.off.Load() {
		if err := c.serve(); err != nil {
			return 0, err
		}
	}
	c.idle.Store(false)
	if len(c.pending) == 0 {
		return c.Conn.Read(p)
	}
	most := len(c.pending)
	if c.first > 0 {
		most, c.first = c.first, max(0, c.first-len(p))
	}
	n := copy(p, c.pending[:most])
	c.Saw(p[:n])
	if c.pending = c.pending[n:]; len(c.pending) == 0 {
		c.pending = nil
	}
	return n, nil
}

// Write implements [net.Conn] for net/http.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn.again != nil {
		c.turn.note(p[:n])
	}
	return n, err
}

// note takes the head out of what was sent.
func (t *turn) note(p []byte) {
	t.bytes += len(p)
	if t.whole {
		return
	}
	if end := bytes.Index(p, headEnd); end >= 0 { // net/http sends it in one piece, unless it is very long
		p, t.whole = p[:end+len(headEnd)], true
	}
	t.head = append(t.head, p[:min(len(p), maxAnswerHead-len(t.head))]...)
}

// begins says that net/http gets a request: one whose answer may be learned, or none of those.
func (c *conn) begins(h head) {
	if h.whole != nil {
		h.whole, h.key = bytes.Clone(h.whole), bytes.Clone(h.key)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn = turn{asked: h}
}

// offer says that the answer to the request may be sent again. Nothing of it has been sent.
func (c *conn) offer(r *http.Request, a Again) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn.asked.whole != nil {
		c.turn.again, c.turn.of = a, r
	}
}

// settle learns from an answer that net/http has sent to its end.
func (c *conn) settle() {
	c.mu.Lock()
	t := c.turn
	c.turn = turn{}
	c.mu.Unlock()
	if t.again != nil {
		c.lane.learn(t, c.peer)
	}
}

// learn remembers an answer, and compares it with the one that is remembered.
func (l *Lane) learn(t turn, from netip.Addr) {
	if !t.whole || !bytes.HasSuffix(t.head, headEnd) || t.bytes-len(t.head) != max(t.again.Length(), 0) {
		return
	}
	a := answerOf(t.head)
	if a == nil {
		return
	}
	key := t.asked.key
	if a.reads = readBy(t.again); a.reads&t.asked.passed != 0 {
		key = t.asked.whole
	}
	a.key, a.again, a.bodiless = string(key), t.again, t.again.Length() < 0
	if old := l.table.under(key); old != nil {
		if old.same(a) {
			a.counter = old.counter // the same route, and the same status
			l.table.answers.Set(a.key, a)
			return
		}
		if _, holds := old.again.Next(from, time.Now()); holds {
			l.differ.Add(1)
		}
		l.table.forget(old)
	}
	a.counter = l.o.Counter(t.of, a.status())
	l.table.learn(a)
}

// SetReadDeadline implements [net.Conn] for net/http.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if c.waiting {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetWriteDeadline(t); err != nil {
		return err
	}
	return c.SetReadDeadline(t)
}

// Close implements [net.Conn]. An answer that is being sent is sent first.
func (c *conn) Close() error {
	c.lane.forget(c)
	c.mu.Lock()
	c.closing = true
	later := c.writing
	c.mu.Unlock()
	if later {
		return nil
	}
	return c.Conn.Close()
}
