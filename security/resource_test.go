package security

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A frames is a connection of HTTP/2 of which each frame is one's own.
type frames struct {
	t    testing.TB
	conn net.Conn
	*http2.Framer
	head bytes.Buffer
	hp   *hpack.Encoder
}

func (g *gate) frames(settings ...http2.Setting) *frames {
	g.t.Helper()
	f := &frames{t: g.t, conn: g.dial()}
	io.WriteString(f.conn, http2.ClientPreface)
	f.Framer = http2.NewFramer(f.conn, f.conn)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.hp = hpack.NewEncoder(&f.head)
	if err := f.WriteSettings(settings...); err != nil {
		g.t.Fatal(err)
	}
	return f
}

// ask opens a stream; fields are names and values.
func (f *frames) ask(stream uint32, end bool, fields ...string) {
	f.t.Helper()
	f.head.Reset()
	for i := 0; i < len(fields); i += 2 {
		f.hp.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.head.Bytes(), EndHeaders: true, EndStream: end}); err != nil {
		f.t.Fatal(err)
	}
}

// status reads until a stream is answered, or reset: then it is 0.
func (f *frames) status(stream uint32) string {
	f.t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if frame.StreamID == stream {
				return frame.PseudoValue("status")
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return "reset"
			}
		case *http2.GoAwayFrame:
			return "closed"
		}
	}
}

// A tunnel cannot be asked for through frames either, nor anything be smuggled behind one: row A1.
func TestFrames(t *testing.T) {
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.URL.Path)
	})
	g := serve(t, 0, "--origin", o.URL)
	tests := []struct {
		name   string
		fields []string
		body   string
		want   string // refused; passed: it reaches the origin, as one request; or either
	}{
		{"CONNECT", []string{":method", "CONNECT", ":authority", "a:80"}, "GET /evil HTTP/1.1\r\nX: ", "refused"},
		{"CONNECT, a POST behind it", []string{":method", "CONNECT", ":authority", "a:80"}, "POST /evil HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n", "refused"},
		{"extended CONNECT", []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/evil", ":authority", "a"}, "x", "refused"},
		{"TRACE", []string{":method", "TRACE", ":scheme", "http", ":path", "/evil", ":authority", "a"}, "", "refused"},
		{"an opaque path", []string{":method", "GET", ":scheme", "http", ":path", "x:attacker", ":authority", "a"}, "", "refused"},
		{"a path without a slash", []string{":method", "GET", ":scheme", "http", ":path", "evil", ":authority", "a"}, "", "refused"},
		{"a method with a space", []string{":method", "GET /evil HTTP/1.1", ":scheme", "http", ":path", "/", ":authority", "a"}, "", "refused"},
		{"a path with a line end", []string{":method", "GET", ":scheme", "http", ":path", "/ HTTP/1.1\r\nX: y", ":authority", "a"}, "", "refused"},
		{"a host with a line end", []string{":method", "GET", ":scheme", "http", ":path", "/x", ":authority", "a\r\nX: y"}, "", "refused"},
		{"two hosts", []string{":method", "GET", ":scheme", "http", ":path", "/x", ":authority", "a,b"}, "", "refused"},
		{"a value with a line end", []string{":method", "GET", ":scheme", "http", ":path", "/x", ":authority", "a", "x-a", "b\r\nX: y"}, "", "refused"},
		{"a name with a colon", []string{":method", "GET", ":scheme", "http", ":path", "/x", ":authority", "a", "x:a", "b"}, "", "refused"},
		{"Transfer-Encoding", []string{":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "a", "transfer-encoding", "chunked"}, "0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n", "refused"},
		{"Connection", []string{":method", "GET", ":scheme", "http", ":path", "/x", ":authority", "a", "connection", "x-a"}, "", "refused"},
		{"less than Content-Length", []string{":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "a", "content-length", "50"}, "short", "refused"},
		// It may be answered before the frame that is too much has come, which then goes nowhere.
		{"more than Content-Length", []string{":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "a", "content-length", "0"}, "GET /evil HTTP/1.1\r\n\r\n", "either"},
		{"a body of its own", []string{":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "a"}, "GET /evil HTTP/1.1\r\n\r\n", "passed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := g.frames()
			f.ask(1, test.body == "", test.fields...)
			if test.body != "" {
				f.WriteData(1, true, []byte(test.body))
			}
			if status := f.status(1); (status == "200") != (test.want == "passed") && test.want != "either" {
				t.Errorf("answered %s", status)
			}
			if a := g.get("/innocent"); a.status != 200 || a.body != "/innocent" {
				t.Errorf("then somebody else got %d %q", a.status, a.body)
			}
		})
	}
	for _, seen := range o.asked() {
		if strings.Contains(seen, "evil") || strings.Contains(seen, "attacker") {
			t.Errorf("the origin was asked %s", seen)
		}
	}
}

// A client that opens streams and reads nothing takes no more than the bound: row B2.
func TestStreamsThatNobodyReads(t *testing.T) {
	const bound = 64 << 20
	body := bytes.Repeat([]byte("x"), 8<<20)
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Write(body)
	})
	tests := []struct {
		name string
		more int64 // beside the bound: connections, windows, what the collector has not freed yet
		hold func(g *gate)
	}{
		{"HTTP/2 with a window of nothing", 64 << 20, func(g *gate) {
			for c := range 2 { // as many streams as one connection may have, and more
				f := g.frames(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				go io.Copy(io.Discard, f.conn)
				for i := range uint32(100) {
					f.ask(1+2*i, true, ":method", "GET", ":scheme", "http", ":path", fmt.Sprintf("/big?x=%d-%d", c, i), ":authority", "api.test")
				}
			}
		}},
		{"HTTP/1.1 that reads nothing", 96 << 20, func(g *gate) {
			for i := range 150 {
				c := g.dial()
				c.(*net.TCPConn).SetReadBuffer(4096)
				fmt.Fprintf(c, "GET /big?x=%d HTTP/1.1\r\nHost: api.test\r\n\r\n", i)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := serve(t, 0, "--origin", o.URL, "--near-bytes", "64MiB")
			g.get("/warm")
			idle := g.resident()
			test.hold(g)
			most := int64(0)
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				most = max(most, g.resident())
			}
			t.Logf("idle %d MiB, at most %d MiB", idle>>20, most>>20)
			if most > idle+bound+test.more {
				t.Errorf("%d MiB, idle %d", most>>20, idle>>20)
			}
			if a := g.get("/after"); a.status != 200 || len(a.body) != len(body) {
				t.Errorf("then somebody else gets %d, %d bytes, %v", a.status, len(a.body), a.err)
			}
		})
	}
}

// Loads that nobody waits for any more end, and what is cached is answered throughout: row B1.
func TestAbandonedLoads(t *testing.T) {
	var hanging atomic.Int64
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			hanging.Add(1)
			defer hanging.Add(-1)
			select {
			case <-r.Context().Done():
			case <-time.After(30 * time.Second):
			}
			return
		}
		w.Header().Set("Cache-Control", "max-age=600")
		io.WriteString(w, "cached")
	})
	descriptors, all := sized(512, 4096), sized(1500, 6000)
	g := serve(t, descriptors, "--origin", o.URL)
	g.get("/cached")
	var slowest atomic.Int64
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			begun := time.Now()
			if a := g.get("/cached"); a.status != 200 || !a.shared() {
				t.Errorf("a cached answer: %d %q %v", a.status, a.how(), a.err)
			}
			slowest.Store(max(slowest.Load(), int64(time.Since(begun))))
		}
	})
	for i := range all {
		c, err := net.Dial("tcp", g.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /hang?%d HTTP/1.1\r\nHost: api.test\r\n\r\n", i)
		c.Close()
		if i%50 == 49 {
			time.Sleep(30 * time.Millisecond) // some 1,500 a second: clients, origin and gateway share the machine
		}
	}
	for end := time.Now().Add(10 * time.Second); hanging.Load() > 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	close(stop)
	watching.Wait()
	t.Logf("slowest cached answer %s", time.Duration(slowest.Load()))
	if n := hanging.Load(); n > 0 {
		t.Errorf("%d loads go on that nobody waits for", n)
	}
}

// A live stream is not a load: it holds no slot, ends with its last reader, and a newcomer gets one of its
// own, from its first event: row B4.
func TestLiveStreams(t *testing.T) {
	var streaming atomic.Int64
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/s/events" {
			io.WriteString(w, "ok")
			return
		}
		streaming.Add(1)
		defer streaming.Add(-1)
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; ; i++ {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	g := serve(t, 0, "--config", config(t, "origin: "+o.URL+"\nclasses:\n  live: {ttl: 1m, max_loads: 8}\nroutes:\n  - {match: GET /s/, class: live}\n"))
	var readers []net.Conn
	for i := range 20 {
		c := g.dial()
		fmt.Fprintf(c, "GET /s/events HTTP/1.1\r\nHost: api.test\r\nCookie: sid=%d\r\n\r\n", i)
		text := make([]byte, 1024)
		n, _ := c.Read(text)
		more, _ := c.Read(text[n:])
		if !strings.Contains(string(text[:n+more]), "data: 0") {
			t.Fatalf("reader %d: %q", i, text[:n+more])
		}
		readers = append(readers, c)
	}
	if a := g.get("/s/other"); a.status != 200 || a.body != "ok" {
		t.Errorf("another URL of the class: %d %q", a.status, a.body)
	}
	for _, c := range readers {
		c.Close()
	}
	for end := time.Now().Add(5 * time.Second); streaming.Load() > 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if n := streaming.Load(); n > 0 {
		t.Errorf("%d streams go on that nobody reads", n)
	}
}

// Idle connections make room for those that ask.
func TestIdleConnections(t *testing.T) {
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	descriptors, idle := sized(256, 4096), sized(600, 10_000) // half of the descriptors are for connections
	g := serve(t, descriptors, "--origin", o.URL)
	for i := range idle {
		c := g.dial()
		if i%3 == 2 {
			continue // says nothing
		}
		io.WriteString(c, "GET /x HTTP/1.1\r\nHost: api.test\r\n\r\n")
		io.ReadFull(c, make([]byte, 16))
	}
	begun := time.Now()
	if a := g.get("/x"); a.status != 200 {
		t.Errorf("%d %v", a.status, a.err)
	}
	t.Logf("%d descriptors of %d after %d connections; then an answer in %s", g.descriptors(), descriptors, idle, time.Since(begun))
	if n := g.descriptors(); n > descriptors*7/8 {
		t.Errorf("%d descriptors", n)
	}
}

// Clients that read slowly get their answers, and others are not held up.
func TestSlowReaders(t *testing.T) {
	body := strings.Repeat("x", 256<<10)
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		io.WriteString(w, body)
	})
	g := serve(t, 0, "--origin", o.URL)
	g.get("/x")
	idle := g.resident()
	var reading sync.WaitGroup
	stop := make(chan struct{})
	for range sized(100, 1000) {
		c := g.dial()
		c.(*net.TCPConn).SetReadBuffer(4096)
		c.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(c, "GET /x HTTP/1.1\r\nHost: api.test\r\n\r\n")
		reading.Go(func() {
			p := make([]byte, 256)
			for {
				if _, err := c.Read(p); err != nil {
					t.Errorf("a slow reader: %v", err)
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(250 * time.Millisecond): // 1 KiB/s
				}
			}
		})
	}
	slowest, most := time.Duration(0), int64(0)
	for end := time.Now().Add(time.Duration(sized(4, 30)) * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		begun := time.Now()
		if a := g.get("/x"); a.status != 200 || len(a.body) != len(body) {
			t.Errorf("another client: %d, %d bytes, %v", a.status, len(a.body), a.err)
		}
		slowest, most = max(slowest, time.Since(begun)), max(most, g.resident())
	}
	close(stop)
	reading.Wait()
	t.Logf("another client waited %s at most; %d MiB, idle %d", slowest, most>>20, idle>>20)
}

// An origin that is down is one line of the log, however many ask and however long their paths are: row B6.
func TestOneLineForAnOriginThatIsDown(t *testing.T) {
	g := serve(t, 0, "--origin", "http://127.0.0.1:"+strconv.Itoa(redistest.FreePort(t)))
	before := len(g.log.String())
	for range 50 {
		if a := g.get("/" + strings.Repeat("x", 7000)); a.status != 502 {
			t.Errorf("%d", a.status)
		}
	}
	if said := g.log.String()[before:]; strings.Count(said, "\n") > 1 || len(said) > 1000 {
		t.Errorf("%d lines, %d bytes: %.300s", strings.Count(said, "\n"), len(said), said)
	}
	o := startOrigin(t, echoing)
	g = serve(t, 0, "--origin", o.URL)
	before = len(g.log.String())
	for _, body := range []string{"zz\r\n", "5\r\nabc", "5\r\nabcdefgh\r\n0\r\n\r\n", "ffffffffffffffffffff\r\n"} {
		c := g.dial()
		io.WriteString(c, "POST /x HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n"+body)
		c.(*net.TCPConn).CloseWrite()
		text, _ := io.ReadAll(c)
		if !strings.HasPrefix(string(text), "HTTP/1.1 400") {
			t.Errorf("a body of %q: %.200q", body, text)
		}
	}
	if said := g.log.String()[before:]; said != "" {
		t.Errorf("the log says %s", said)
	}
}

// A client's no-cache does not make a cached URI as dear as one that is not, and changes have a rate: row B8.
func TestRates(t *testing.T) {
	var loads atomic.Int64
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		loads.Add(1)
		w.Header().Set("Cache-Control", "max-age=600")
	})
	g := serve(t, 0, "--config", config(t, "origin: "+o.URL+"\nlimits: {changes: 5}\nroutes: [{match: POST /query, ttl: 1m, body_key: {}}, {match: GET /live/, bypass: true}]\n"))
	for i := range 51 {
		if a := g.get("/x", []string{"Cache-Control: no-cache", "Pragma: no-cache", "Cache-Control: max-age=0"}[i%3]); a.status != 200 {
			t.Errorf("%d", a.status)
		}
	}
	if n := loads.Load(); n > 10 || n < 3 {
		t.Errorf("%d loads", n)
	}
	for range 80 { // a query, which changes nothing
		if a := g.raw("POST /query HTTP/1.1\r\nHost: api.test\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"); a.status != 200 {
			t.Fatalf("a query by POST: %d", a.status)
		}
	}
	for range 80 { // passed on for one caller, and a GET all the same
		if a := g.get("/live/"); a.status != 200 || a.shared() {
			t.Fatalf("a GET that is passed on: %d", a.status)
		}
	}
	statuses := map[int]int{}
	for i := range 80 {
		statuses[g.raw(fmt.Sprintf("POST /y%d HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", i)).status]++
	}
	if statuses[200] < 50 || statuses[503] == 0 {
		t.Errorf("%v", statuses)
	}
	if a := g.get("/x"); !a.shared() {
		t.Errorf("what was cached: %q", a.how())
	}
}
