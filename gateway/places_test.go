package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/httpcache"
)

// Whatever becomes of a request, its place at the origin is free again.
func TestEveryPlaceIsGivenBack(t *testing.T) {
	g, url := front(t, gateway.Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/whole":
			fmt.Fprint(w, "good")
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/cut":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "half")
		case "/gone":
			panic(http.ErrAbortHandler)
		case "/long", "/events":
			if r.URL.Path == "/events" {
				w.Header().Set("Content-Type", "text/event-stream")
			}
			for r.Context().Err() == nil {
				fmt.Fprint(w, "data: x\n\n")
				http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond)
			}
		default: // an upgrade
			conn, both, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(both, strings.ReplaceAll(r.Header.Get("X-Answer"), "|", "\r\n")+"\r\n\r\n")
			both.Flush()
			io.Copy(io.Discard, conn)
		}
	}))
	host := strings.TrimPrefix(url, "http://")
	send := func(head string, read int) {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(2 * time.Second))
		fmt.Fprint(conn, head+"\r\nHost: a.test\r\n\r\n")
		if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
			io.CopyN(io.Discard, res.Body, int64(read))
		}
	}
	const ws = "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Answer: "
	for range 3 {
		for _, path := range []string{"/whole", "/empty", "/cut", "/gone", "/long", "/events"} {
			send("GET "+path+" HTTP/1.1", 10)
			if path != "/long" && path != "/events" { // net/http's server does not see such a client leave
				send("HEAD "+path+" HTTP/1.1", 0)
			}
			send("POST "+path+" HTTP/1.1\r\nContent-Length: 0", 10)
		}
		for _, answer := range []string{
			"HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: websocket", "HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: other",
			"HTTP/1.1 101 Switching Protocols|Upgrade: websocket", "HTTP/1.1 101 Switching Protocols", "HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: we\x01b", "nonsense",
		} {
			send(ws+answer, 0)
		}
		send("GET /unasked HTTP/1.1\r\nX-Answer: HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: websocket", 0)
	}
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		taken := ""
		for _, l := range g.Limits() {
			if strings.HasPrefix(l.Name, "origin_") && l.Used > 0 {
				taken += fmt.Sprintf(" %s %d", l.Name, l.Used)
			}
		}
		if taken == "" {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("still taken:%s", taken)
		}
	}
}

// A client that asks for a new URL each time is told to wait, and has what is stored; others are as before.
func TestMissesOfOneClient(t *testing.T) {
	var calls atomic.Int64
	config := gateway.Config{Limits: gateway.Limits{Misses: 2}, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Rules: []httpcache.Rule{{Match: "GET /", TTL: time.Minute}}}
	_, url := front(t, config, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		io.WriteString(w, r.URL.RequestURI())
	}))
	ask := func(client, path string) *http.Response {
		r, err := http.NewRequest("GET", url+path, nil)
		r.Header.Set("X-Forwarded-For", client)
		res, _ := fetch(t, r, err)
		return res
	}
	refused := 0
	for i := range 60 {
		res := ask("192.0.2.1", fmt.Sprint("/x?bust=", i))
		if res.StatusCode == 429 {
			refused++
			if res.Header.Get("Retry-After") != "1" || !strings.Contains(res.Header.Get("Cache-Status"), "refused-misses") {
				t.Errorf("%v", res.Header)
			}
		}
	}
	if refused < 30 || calls.Load() > 30 {
		t.Errorf("%d of 60 refused, %d calls", refused, calls.Load())
	}
	for range 40 {
		if res := ask("192.0.2.1", "/x?bust=0"); res.StatusCode != 200 {
			t.Fatalf("a hit: %d", res.StatusCode)
		}
	}
	if res := ask("192.0.2.2", "/x?bust=59"); res.StatusCode != 200 {
		t.Errorf("another client: %d", res.StatusCode)
	}
}
