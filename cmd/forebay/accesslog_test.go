package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) line() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	line, err := l.b.ReadBytes('\n')
	if err != nil {
		return nil
	}
	return line
}

// There is one record for each request, with what was really sent.
func TestAccessLog(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		status  float64
		bytes   float64
		broke   bool
	}{
		{"nothing said", func(http.ResponseWriter, *http.Request) {}, 200, 0, false},
		{"an interim answer first", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(404)
			io.WriteString(w, "none")
		}, 404, 4, false},
		{"a stream that breaks off", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, 200, 4, true},
		{"no answer at all", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, 200, 0, true},
		{"the connection is taken over", func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		}, 101, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out lockedBuffer
			s := httptest.NewServer(accessLog(test.handler, slog.New(slog.NewJSONHandler(&out, nil))))
			defer s.Close()
			if res, err := http.Get(s.URL + "/x?secret=1"); err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			var line []byte
			for end := time.Now().Add(5 * time.Second); line == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
				line = out.line()
			}
			var r map[string]any
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatalf("%v: %q", err, line)
			}
			if broke, _ := r["broke_off"].(bool); r["status"] != test.status || r["bytes"] != test.bytes || broke != test.broke || r["path"] != "/x" {
				t.Errorf("%s", line)
			}
			if more := out.line(); more != nil && test.name != "no answer at all" { // which the client asks for again
				t.Errorf("another: %s", more)
			}
		})
	}
}
