package framing

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestScanner(t *testing.T) {
	const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n"
	const plain = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\nGET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"
	const both = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	tests := []struct {
		name, raw string
		odd       bool
	}{
		{"plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
		{"chunked", chunked, false},
		{"a body that looks like a head", plain, false},
		{"length and coding", both, true},
		{"coding and length", "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nCONTENT-LENGTH: 0\r\n\r\n", true},
		{"HTTP/1.0 with a coding", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true},
		{"behind others", "GET / HTTP/1.1\r\nHost: a\r\n\r\n" + chunked + plain + both, true},
		{"two codings", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", true},
		{"bare line feeds", "POST / HTTP/1.1\nContent-Length: 5\nTransfer-Encoding: chunked\n\n", true},
	}
	for _, test := range tests {
		for _, step := range []int{1, 7, 1 << 20} {
			var s scanner
			for rest := []byte(test.raw); len(rest) > 0; {
				n := min(step, len(rest))
				s.write(rest[:n])
				rest = rest[n:]
			}
			if s.odd != test.odd {
				t.Errorf("%s, %d bytes at a time: odd %v", test.name, step, s.odd)
			}
		}
	}
}

// However a connection is cut into reads, the scanner says the same; and it never grows without bound.
func FuzzScanner(f *testing.F) {
	f.Add("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 3)
	f.Add("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n", 1)
	f.Fuzz(func(t *testing.T, raw string, step int) {
		var whole, cut scanner
		whole.write([]byte(raw))
		for rest := []byte(raw); len(rest) > 0; {
			n := min(max(step, 1), len(rest))
			cut.write(rest[:n])
			rest = rest[n:]
		}
		if whole.odd != cut.odd || whole.state != cut.state || len(cut.line) > maxHead {
			t.Errorf("at once %v %d, in steps of %d %v %d", whole.odd, whole.state, step, cut.odd, cut.state)
		}
	})
}

func TestHandler(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	s := &http.Server{Handler: Handler(next, refuse), ConnContext: ConnContext}
	go s.Serve(Listener(l))
	t.Cleanup(func() { s.Close() })
	for raw, want := range map[string]int{
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab":                                                      200,
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n":                           200,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n":      400,
		"POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n": 400,
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, raw+"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
		all, _ := bufio.NewReader(c), 0
		res, err := http.ReadResponse(all, nil)
		if err != nil || res.StatusCode != want {
			t.Errorf("%q: %v, %v", raw, res, err)
		} else if io.Copy(io.Discard, res.Body); want == 400 {
			if rest, _ := io.ReadAll(all); strings.Contains(string(rest), "HTTP/1.1") {
				t.Errorf("%q: answered further: %q", raw, rest)
			}
		}
		c.Close()
	}
}
