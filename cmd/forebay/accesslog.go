package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/forebay-cache/forebay/httpcache"
)

// accessLog writes one record for each request, also for one that breaks off: as JSON, or as a line of the combined format
// with the time in milliseconds and what the cache did behind it.
func accessLog(next http.Handler, f accessLogging, out io.Writer) http.Handler {
	if f.format == "combined" {
		return combinedLog(next, f.sample, out)
	}
	return jsonLog(next, f.sample, slog.New(slog.NewJSONHandler(out, nil)))
}

// An accessLogging is how requests are logged.
type accessLogging struct {
	format string  // off, json or combined
	sample float64 // the share of requests that have a record; those that the server failed all have one
}

// skips draws whether a request has no record.
func skips(sample float64, status int) bool {
	return sample < 1 && status < http.StatusInternalServerError && rand.Float64() >= sample
}

// combinedLog writes the format that log analysers read.
func combinedLog(next http.Handler, sample float64, out io.Writer) http.Handler {
	var mu sync.Mutex // a line is written in one piece
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		start := time.Now()
		defer func() {
			if skips(sample, rec.final()) {
				return
			}
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
func jsonLog(next http.Handler, sample float64, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		start, whole := time.Now(), false
		var did httpcache.Record
		r = r.WithContext(httpcache.WithRecord(r.Context(), &did))
		defer func() {
			if skips(sample, rec.final()) {
				return
			}
			// The query may hold what nobody should read in a log.
			attributes := []slog.Attr{
				slog.String("method", cutText(r.Method)), slog.String("path", cutText(r.URL.Path)),
				slog.Int("status", rec.final()), slog.Int64("bytes", rec.bytes), slog.Duration("took", time.Since(start)),
				slog.String("cache_status", rec.Header().Get("Cache-Status")), slog.String("remote", r.RemoteAddr),
			}
			attributes = append(attributes, ofCache(did, rec.Header().Get("X-Request-Id"))...)
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

// ofCache is what the cache made of a request. Its key may hold what nobody should read in a log: a hash tells keys apart.
func ofCache(did httpcache.Record, id string) (out []slog.Attr) {
	for _, one := range []slog.Attr{slog.String("route", did.Rule), slog.String("class", did.Class), slog.String("id", id)} {
		if one.Value.String() != "" {
			out = append(out, one)
		}
	}
	if did.Key != "" {
		sum := sha256.Sum256([]byte(did.Key))
		out = append(out, slog.String("key", hex.EncodeToString(sum[:8])))
	}
	if did.Origin > 0 {
		out = append(out, slog.Duration("origin", did.Origin))
	}
	return out
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
