package main

import (
	"bufio"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// accessLog writes one record for each request, also for one that breaks off.
func accessLog(next http.Handler, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		start, whole := time.Now(), false
		defer func() {
			// The query may hold what nobody should read in a log.
			attributes := []slog.Attr{
				slog.String("method", cutText(r.Method)), slog.String("path", cutText(r.URL.Path)),
				slog.Int("status", rec.final()), slog.Int64("bytes", rec.bytes), slog.Duration("took", time.Since(start)),
				slog.String("cache", rec.Header().Get("Cache-Status")), slog.String("remote", r.RemoteAddr),
			}
			if !whole {
				attributes = append(attributes, slog.Bool("broke_off", true))
			}
			logger.LogAttrs(r.Context(), slog.LevelInfo, "request", attributes...)
		}()
		next.ServeHTTP(rec, r)
		if rec.status == 0 && r.Context().Err() != nil {
			rec.status = statusGone
		}
		whole = rec.err == nil && rec.status != statusGone
	})
}

// statusGone stands for no answer: the client had gone before there was one. nginx calls it so.
const statusGone = 499

// maxText bounds what a client can write into a record.
const maxText = 2 << 10

func cutText(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "…"
	}
	return s
}

// A recorder remembers what was really sent.
type recorder struct {
	http.ResponseWriter
	status int // 0: none yet; interim ones do not count
	bytes  int64
	err    error // the first, of writing
}

func (r *recorder) final() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	if r.err == nil {
		r.err = err
	}
	return n, err
}

// FlushError is what [http.ResponseController] looks for.
func (r *recorder) FlushError() error {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return http.NewResponseController(r.ResponseWriter).Flush()
}

// Flush implements [http.Flusher].
func (r *recorder) Flush() { r.FlushError() }

// Hijack implements [http.Hijacker]. What is sent after it is not counted.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if r.status == 0 {
		r.status = http.StatusSwitchingProtocols
	}
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

// Unwrap lets http.ResponseController reach the writer below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
