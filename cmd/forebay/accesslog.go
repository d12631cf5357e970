package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// accessLog writes one record for each request, also for one that breaks off: as JSON, or as a line of the combined format
// with the time in milliseconds and what the cache did behind it.
func accessLog(next http.Handler, format string, out io.Writer) http.Handler {
	if format == "combined" {
		return combinedLog(next, out)
	}
	return jsonLog(next, slog.New(slog.NewJSONHandler(out, nil)))
}

// combinedLog writes the format that log analysers read.
func combinedLog(next http.Handler, out io.Writer) http.Handler {
	var mu sync.Mutex // a line is written in one piece
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		start := time.Now()
		defer func() {
			host, _, err := net.SplitHostPort(r.RemoteAddr)
			if err != nil {
				host = r.RemoteAddr
			}
			user, _, ok := r.BasicAuth()
			if !ok || user == "" {
				user = "-"
			}
			line := fmt.Sprintf("%s - %s [%s] %s %d %d %s %s %.3f %s\n", host, inLine(user), start.Format("02/Jan/2006:15:04:05 -0700"),
				quoted(r.Method+" "+r.URL.EscapedPath()+" "+r.Proto), rec.final(), rec.bytes, quoted(r.Referer()), quoted(r.UserAgent()),
				float64(time.Since(start))/float64(time.Millisecond), quoted(rec.Header().Get("Cache-Status")))
			mu.Lock()
			defer mu.Unlock()
			io.WriteString(out, line) // where it cannot be written nobody can be told
		}()
		next.ServeHTTP(rec, r)
		if rec.status == 0 && r.Context().Err() != nil {
			rec.status = statusGone
		}
	})
}

// quoted is a field of a line: nothing in it ends the field, or the line.
func quoted(text string) string {
	if text == "" {
		return `"-"`
	}
	return strconv.QuoteToASCII(cutText(text))
}

func inLine(text string) string {
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c >= 0x7f {
			return '_'
		}
		return c
	}, cutText(text))
}

// jsonLog writes one record for each request.
func jsonLog(next http.Handler, logger *slog.Logger) http.Handler {
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
