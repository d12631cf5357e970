package gateway_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/gateway"
	"golang.org/x/net/dns/dnsmessage"
)

// startDNS answers every question for an address with the one that is set.
func startDNS(t *testing.T, addr *atomic.Value) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) == 0 {
				continue
			}
			m.Response = true
			if m.Questions[0].Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 1},
					Body:   &dnsmessage.AResource{A: [4]byte(net.ParseIP(addr.Load().(string)).To4())},
				}}
			}
			m.Additionals = nil
			if out, err := m.Pack(); err == nil {
				conn.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// A server's name may lead elsewhere while it is asked all the time: then it is asked there.
func TestNamesChange(t *testing.T) {
	serve := func(addr string) *httptest.Server {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(30 * time.Millisecond) // so that the connection is hardly ever idle
			fmt.Fprint(w, l.Addr())
		}))
		s.Listener.Close()
		s.Listener = l
		s.Start()
		t.Cleanup(s.Close)
		return s
	}
	first := serve("127.0.0.1:0")
	_, port, _ := net.SplitHostPort(first.Listener.Addr().String())
	second := serve("127.0.0.2:" + port)
	var addr atomic.Value
	addr.Store("127.0.0.1")
	defer gateway.LookUpBy(startDNS(t, &addr), 20*time.Millisecond)()
	g, err := gateway.Open(t.Context(), gateway.Options{Config: gateway.Config{Origin: "http://api.test:" + port}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	s := httptest.NewServer(g)
	defer s.Close()
	if _, body := get(t, s.URL+"/a"); body != first.Listener.Addr().String() {
		t.Fatal(body)
	}
	time.Sleep(50 * time.Millisecond)
	addr.Store("127.0.0.2")
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, body := get(t, s.URL+"/a"); body == second.Listener.Addr().String() {
			break
		} else if time.Now().After(end) {
			t.Fatal("it is still asked at ", body)
		}
	}
}
