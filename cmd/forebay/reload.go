package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/gateway"
)

// A reloader has the gateway go on with its file when that has changed, or when SIGHUP comes: what cannot be used changes
// nothing.
type reloader struct {
	command *serveCommand
	g       *gateway.Gateway
	secure  *certificate // nil: no TLS
	clients *clients
	admin   *admin.Admin
	logger  *slog.Logger

	seen, done string // what the files held when they were looked at last, and when they were last taken over or refused
}

// lookEvery is how often the files are looked at. A change is taken over when it has stood for as long: a file that is
// being written is not read by halves.
const lookEvery = time.Second

func newReloader(c *serveCommand, g *gateway.Gateway, secure *certificate, clients *clients, a *admin.Admin, logger *slog.Logger) *reloader {
	r := &reloader{command: c, g: g, secure: secure, clients: clients, admin: a, logger: logger}
	r.seen = r.held()
	r.done = r.seen
	return r
}

// run returns when ctx ends.
func (r *reloader) run(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-signals:
			r.done = r.held()
			r.reload()
		case <-tick.C:
			if held := r.held(); held != r.seen {
				r.seen = held
			} else if held != r.done {
				r.done = held
				r.reload()
			}
		case <-ctx.Done():
			return
		}
	}
}

// held is a sum of what the files hold. One that cannot be read counts as empty, until it can.
func (r *reloader) held() string {
	sum := sha256.New()
	for _, name := range append(r.g.Files(), r.command.Config) {
		if name != "" {
			text, _ := os.ReadFile(name)
			fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
		}
	}
	return string(sum.Sum(nil))
}

func (r *reloader) reload() {
	changes, err := r.take()
	if err != nil {
		r.logger.Error("gateway: the configuration that is there now cannot be used: it stays as it was", "error", err)
		r.admin.Configured("the configuration cannot be used, and stays as it was: " + firstLine(err))
		return
	}
	for _, change := range changes {
		r.logger.Info("gateway: reloaded: " + change)
		r.admin.Configured(change)
	}
	r.logger.Info("gateway: reloaded", "changes", len(changes))
}

// take reads everything before it changes anything.
func (r *reloader) take() (changes []string, err error) {
	config, err := r.command.config()
	if err != nil {
		return nil, err
	}
	next, err := certificateOf(config.Listen, false)
	if err != nil {
		return nil, err
	}
	if changes, err = r.g.Reload(config); err != nil {
		return nil, err
	}
	r.command.warn(r.logger, config)
	if next != nil && r.secure != nil {
		r.secure.now.Store(next.now.Load())
	}
	r.clients.resize(r.g.MaxConnections())
	return changes, nil
}

func firstLine(err error) string {
	line, rest, more := strings.Cut(err.Error(), "\n")
	if more && rest != "" {
		line += " …"
	}
	return line
}
