package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
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
			s := httptest.NewServer(accessLog(test.handler, accessLogging{"json", 1}, &out))
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

// A line of the combined format has what log analysers read, and nothing that a client sends ends it early.
func TestCombinedLog(t *testing.T) {
	var out lockedBuffer
	s := httptest.NewServer(accessLog(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Status", "forebay; hit; ttl=9; detail=near")
		w.Write([]byte("hello"))
	}), accessLogging{"combined", 1}, &out))
	defer s.Close()
	r, _ := http.NewRequest("GET", s.URL+"/a%0Ab?secret=1", nil)
	r.Header.Set("User-Agent", `x" "y\`)
	r.Header.Set("Referer", "http://from.test/")
	r.SetBasicAuth("an na", "secret")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	s.Close()
	line := out.b.String()
	want := regexp.MustCompile(`^127\.0\.0\.1 - an_na \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /a%0Ab HTTP/1\.1" 200 5 "http://from\.test/" "x\\" \\"y\\\\" \d+\.\d{3} "forebay; hit; ttl=9; detail=near"\n$`)
	if !want.MatchString(line) || strings.Contains(line, "secret") {
		t.Errorf("%s", line)
	}
}

// The public listener answers health checks where the flag says so; the log has the form and the level of its flags; and
// profiles are on the operators' side.
func TestServingFlags(t *testing.T) {
	gateway, operators, _ := start(t, "serve", "--origin", startOrigin(t), "--health-path", "/up", "--log-format", "json", "--log-level", "debug", "--access-log", "combined")
	for url, want := range map[string]string{gateway + "/up": `"status":"ok"`, operators + "/debug/pprof/goroutine?debug=1": "goroutine profile", gateway + "/health": "origin /health"} {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %.200s", url, res.StatusCode, body)
		}
	}
	res, err := http.Get(gateway + "/debug/pprof/heap")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); strings.Contains(string(body), "heap profile") {
		t.Error("the public listener has profiles")
	}
	var b bytes.Buffer
	if code := run(t.Context(), []string{"serve", "--origin", "http://127.0.0.1:1", "--log-level", "loud"}, &b, &b); code != exitUsage || !strings.Contains(b.String(), "debug") {
		t.Errorf("%d %s", code, b.String())
	}
}

// A record says what the cache made of the request; a sample leaves records out, but for what the server failed.
func TestAccessLogOfTheGateway(t *testing.T) {
	gateway, admin, out := start(t, "serve", "--origin", startOrigin(t), "--cache", "GET /a=1h", "--access-log", "json")
	fetch(t, gateway+"/a")
	loaded(t, admin)
	fetch(t, gateway+"/a")
	var records []map[string]any
	eventually(t, "there are no records", func() bool {
		records = nil
		for line := range strings.Lines(out.String()) {
			var r map[string]any
			if json.Unmarshal([]byte(line), &r) == nil && r["path"] == "/a" {
				records = append(records, r)
			}
		}
		return len(records) == 2
	})
	miss, hit := records[0], records[1]
	key, _ := miss["key"].(string)
	if miss["cache_status"] != "forebay; fwd=uri-miss; stored" || miss["route"] != "GET /a" || miss["class"] != "http" || len(key) != 16 || miss["origin"] == nil {
		t.Errorf("a miss: %v", miss)
	}
	if status, _ := hit["cache_status"].(string); !strings.HasPrefix(status, "forebay; hit") || hit["key"] != miss["key"] || hit["origin"] != nil {
		t.Errorf("a hit: %v", hit)
	}
	for status, want := range map[int]bool{200: true, 404: true, 500: false} {
		if skips(0, status) != want {
			t.Errorf("%d: skipped %t", status, !want)
		}
	}
}
