package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
)

// Try asks the origins for each GET route of a configuration that has no variable, once, and says what keeps the answers
// from being stored, or is dangerous where they are. Nothing is kept.
func Try(ctx context.Context, c Config) (said []string, err error) {
	g, err := Open(ctx, Options{Config: c, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer g.Close()
	for _, rule := range c.Rules {
		path, isGet := strings.CutPrefix(rule.Match, http.MethodGet+" ")
		if !isGet || strings.ContainsAny(path, "{}") || rule.Bypass {
			continue
		}
		host, rest, _ := strings.Cut(strings.TrimSpace(path), "/")
		if host == "" {
			host = "gateway.invalid"
		}
		if text := g.try(ctx, host, "/"+rest, rule.Override && rule.Shared); text != "" {
			said = append(said, rule.Match+": "+text)
		}
	}
	return said, nil
}

// try asks for one, and says what there is to say.
func (g *Gateway) try(ctx context.Context, host, path string, everybodys bool) string {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+path, http.NoBody)
	if err != nil {
		return err.Error()
	}
	r.RequestURI = path
	w := &tryWriter{header: http.Header{}}
	func() {
		defer func() { recover() }() // how a handler says that the answer broke off
		g.ServeHTTP(w, r)
	}()
	status := strings.Join(w.header["Cache-Status"], ", ")
	switch {
	case w.status == 0:
		return "the answer broke off"
	case w.status >= 400:
		return fmt.Sprintf("the origin answers with %d", w.status)
	case everybodys && w.header["Set-Cookie"] != nil:
		return "the origin sets a cookie, and everybody would be served it"
	case w.header["Set-Cookie"] != nil:
		return "the origin sets a cookie: its answers are not stored"
	case !strings.Contains(status, "stored"):
		return "its answers are not stored: " + status
	}
	return ""
}

// A tryWriter keeps the head alone.
type tryWriter struct {
	header http.Header
	status int
}

// Header implements [http.ResponseWriter].
func (w *tryWriter) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *tryWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

// Write implements [http.ResponseWriter].
func (w *tryWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(p), nil
}
