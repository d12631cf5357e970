package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/gateway"
	"github.com/forebay-cache/forebay/httpcache"
)

// An echo tells what requests reached it.
type echo struct {
	mu   sync.Mutex
	seen []string
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	e.seen = append(e.seen, fmt.Sprintf("%s %s %q", r.Method, r.URL, body))
	e.mu.Unlock()
	if r.URL.Path == "/free" {
		w.Header().Set("Cache-Control", "max-age=60")
	}
	fmt.Fprintf(w, "%s %s host=%s auth=%s cookie=%s x=%s body=%q", r.Method, r.URL, r.Header.Get("X-Forwarded-Host"),
		r.Header.Get("Authorization"), r.Header.Get("Cookie"), r.Header.Get("X-Evil"), body)
}

func (e *echo) requests() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.seen...)
}

// What two parsers could read differently is refused, or reaches the origin as the one thing that the
// gateway read; and nothing smuggled reaches it at all.
func TestRawRequests(t *testing.T) {
	tests := []struct {
		name, raw string
		status    string // of the first answer
		reaches   string // what the origin may see of it; "" nothing
	}{
		{"Content-Length and Transfer-Encoding: the coding counts", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 45\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n", "200", "POST /a \"\""},
		{"two different Content-Lengths", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "400", ""},
		{"Content-Length with a sign", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello", "400", ""},
		{"an unknown transfer coding", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501", ""},
		{"bare LF in a chunk's size", "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", "", ""},
		{"a folded field", "GET /a HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n 2\r\n\r\n", "200", "GET /a \"\""}, // its lines are joined
		{"space before the colon", "GET /a HTTP/1.1\r\nHost: x\r\nX-A : 1\r\n\r\n", "400", ""},
		{"no Host", "GET /a HTTP/1.1\r\n\r\n", "400", ""},
		{"two Hosts", "GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400", ""},
		{"a control character in a field", "GET /a HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n", "400", ""},
		{"fields that are too large", "GET /a HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 2<<20) + "\r\n\r\n", "431", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			origin := &echo{}
			_, url := front(t, gateway.Config{}, origin)
			conn, r := dial(t, url)
			go io.WriteString(conn, test.raw)
			if res, err := http.ReadResponse(r, nil); err == nil {
				if test.status != "" && !strings.HasPrefix(res.Status, test.status) {
					t.Errorf("answered %s", res.Status)
				}
				res.Body.Close()
			} else if test.status != "" {
				t.Errorf("answered %v", err)
			}
			conn.Close()
			for _, seen := range origin.requests() {
				if seen != test.reaches && !(test.reaches == "" && strings.HasPrefix(seen, "POST /a") && test.status == "") {
					t.Errorf("the origin saw %s", seen)
				}
			}
		})
	}
}

// send makes one request on a connection of its own, byte by byte as given.
func send(t *testing.T, url, raw string) (*http.Response, string) {
	t.Helper()
	conn, r := dial(t, url)
	io.WriteString(conn, raw)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// What one client sends never shapes what another gets.
func TestPoisoning(t *testing.T) {
	attacks := []struct{ name, fields string }{
		{"a forwarded host", "X-Forwarded-Host: evil\r\n"},
		{"another spelling of it", "X-Host: evil\r\nForwarded: host=evil\r\nX-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\n"},
		{"another method", "X-HTTP-Method-Override: DELETE\r\nX-HTTP-Method: DELETE\r\nX-Method-Override: DELETE\r\n"},
		{"a field of its own", "X-Evil: evil\r\n"},
		{"a field named as hop-by-hop", "Connection: Authorization, Cookie, Host, X-Forwarded-Host\r\n"},
		{"a body", "Content-Length: 4\r\nX-Evil: evil\r\n"},
		{"a chunked body", "Transfer-Encoding: chunked\r\nX-Evil: evil\r\n"},
	}
	for _, path := range []string{"/ruled", "/free"} {
		for _, attack := range attacks {
			t.Run(path+" "+attack.name, func(t *testing.T) {
				_, url := front(t, gateway.Config{Rules: []httpcache.Rule{{Match: "GET /ruled", TTL: time.Minute}}}, &echo{})
				body := ""
				switch {
				case strings.Contains(attack.fields, "Content-Length"):
					body = "evil"
				case strings.Contains(attack.fields, "Transfer-Encoding"):
					body = "4\r\nevil\r\n0\r\n\r\n"
				}
				send(t, url, "GET "+path+" HTTP/1.1\r\nHost: site.example\r\n"+attack.fields+"\r\n"+body)
				_, got := send(t, url, "GET "+path+" HTTP/1.1\r\nHost: site.example\r\n\r\n")
				if want := fmt.Sprintf("GET %s host=site.example auth= cookie= x= body=%q", path, ""); got != want {
					t.Errorf("the next client got %q, want %q", got, want)
				}
			})
		}
	}
}

// A credential that a client names as hop-by-hop is gone at the origin, but not out of the key.
func TestHopByHopCredential(t *testing.T) {
	_, url := front(t, gateway.Config{Rules: []httpcache.Rule{{Match: "GET /ruled", TTL: time.Minute}}}, &echo{})
	ask := func(fields string) string {
		_, body := send(t, url, "GET /ruled HTTP/1.1\r\nHost: x\r\n"+fields+"\r\n")
		return body
	}
	mine := ask("Authorization: Bearer a\r\n")
	ask("Authorization: Bearer a\r\nConnection: Authorization\r\n")
	if again := ask("Authorization: Bearer a\r\n"); again != mine || !strings.Contains(again, "auth=Bearer a") {
		t.Errorf("then %q", again)
	}
	if others := ask("Authorization: Bearer b\r\n"); !strings.Contains(others, "auth=Bearer b") {
		t.Errorf("another got %q", others)
	}
}

// Keys are tuples: no part of one request can look like another part of a different one.
func TestKeyConfusion(t *testing.T) {
	_, url := front(t, gateway.Config{Rules: []httpcache.Rule{{Match: "GET /", TTL: time.Minute, Headers: []string{"X-A", "X-B"}}}}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s|%s|%s|%s", r.Header.Get("X-Forwarded-Host"), r.URL, r.Header.Get("X-A"), r.Header.Get("X-B"))
	}))
	seen := map[string]string{}
	for _, host := range []string{"a", "a.b"} {
		for _, uri := range []string{"/", "/?", "/?x", "/?x=", "/?x=1&x=2", "/?x=2&x=1", "/x", "/X", "/%78", "/x/", "/x;y", "/x,y", "/x%2Cy", "/x?y,z"} {
			for _, fields := range []string{"", "X-A: 1\r\n", "X-B: 1\r\n", "X-A: 1,X-B\r\n", "X-A: 1\r\nX-B: 1\r\n", "X-A: \r\nX-B: 11\r\n"} {
				_, body := send(t, url, "GET "+uri+" HTTP/1.1\r\nHost: "+host+"\r\n"+fields+"\r\n")
				seen[host+" "+uri+" "+fields] = body
			}
		}
	}
	for ask, want := range seen {
		parts := strings.SplitN(ask, " ", 3)
		if _, got := send(t, url, "GET "+parts[1]+" HTTP/1.1\r\nHost: "+parts[0]+"\r\n"+parts[2]+"\r\n"); got != want || !strings.HasPrefix(got, parts[0]+"|"+parts[1]+"|") {
			t.Errorf("%q got %q, first %q", ask, got, want)
		}
	}
}

func TestCookiesAreNotStored(t *testing.T) {
	n := 0
	_, url := front(t, gateway.Config{Rules: []httpcache.Rule{{Match: "GET /", TTL: time.Minute, Override: true}}}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		w.Header().Set("Set-Cookie", fmt.Sprintf("session=%d", n))
	}))
	for want := 1; want <= 3; want++ {
		if res, _ := get(t, url); res.Header.Get("Set-Cookie") != fmt.Sprintf("session=%d", want) {
			t.Errorf("caller %d got %q", want, res.Header.Get("Set-Cookie"))
		}
	}
}
