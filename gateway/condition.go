package gateway

import (
	"log/slog"
	"sync"
	"time"
)

// A condition tells the log when the origin stops answering, and when it answers again: one line for
// each change, however many requests meet it.
type condition struct {
	logger *slog.Logger

	mu     sync.Mutex // guards the fields below
	failed int        // requests, since it stopped answering
	since  time.Time
	last   time.Time // of them
}

// calm is how long no request may fail before the origin is said to answer again.
const calm = 5 * time.Second

func (c *condition) noAnswer(method, path string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed++
	c.last = time.Now()
	if c.failed > 1 {
		return
	}
	c.since = c.last
	c.logger.Warn("gateway: the origin does not answer; further requests that fail are counted, and told when it answers again",
		"method", short(method), "path", short(path), "error", err)
}

func (c *condition) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == 0 || time.Since(c.last) < calm {
		return
	}
	c.logger.Info("gateway: the origin answers again", "failed", c.failed, "after", c.last.Sub(c.since).Round(time.Millisecond))
	c.failed = 0
}

// maxLogged bounds what a client can write into a line of the log.
const maxLogged = 200

func short(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged] + "…"
	}
	return s
}
