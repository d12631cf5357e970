package security

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
)

// echoing answers with everything that it was sent.
func echoing(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var names []string
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	w.Header().Set("Cache-Control", "max-age=60")
	fmt.Fprintf(w, "%s %s host=%s body=%q\n", r.Method, r.RequestURI, r.Host, body)
	for _, name := range names {
		if name != "Via" && name != "X-Forwarded-For" {
			fmt.Fprintf(w, "%s: %s\n", name, strings.Join(r.Header[name], "|"))
		}
	}
	for name, lines := range r.Trailer {
		fmt.Fprintf(w, "trailer %s: %s\n", name, strings.Join(lines, "|"))
	}
}

// What is not a request is refused before anything reads it: rows A1, A5, A9 and A10.
func TestRefusedRequests(t *testing.T) {
	const host = "Host: api.test\r\n"
	tests := []struct {
		name, raw, reason string
		status            int
	}{
		{"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", "method", 405},
		{"CONNECT with a path", "CONNECT /x HTTP/1.1\r\n" + host + "\r\n", "method", 405},
		{"TRACE", "TRACE / HTTP/1.1\r\n" + host + "\r\n", "method", 405},
		{"TRACK", "TRACK / HTTP/1.1\r\n" + host + "\r\n", "method", 405},
		{"PRI", "PRI / HTTP/1.1\r\n" + host + "\r\n", "method", 501},
		{"a method without end", strings.Repeat("A", 33) + " / HTTP/1.1\r\n" + host + "\r\n", "method", 400},
		{"an opaque target", "GET x:attacker HTTP/1.1\r\n" + host + "\r\n", "target", 400},
		{"another scheme", "GET ftp://api.test/ HTTP/1.1\r\n" + host + "\r\n", "target", 421},
		{"a target with a password", "GET http://u:p@api.test/ HTTP/1.1\r\n" + host + "\r\n", "target", 400},
		{"an asterisk", "GET * HTTP/1.1\r\n" + host + "\r\n", "target", 400},
		{"two hosts in one", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "host", 400},
		{"an invalid port", "GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n", "host", 400},
		{"a port too large", "GET / HTTP/1.1\r\nHost: a:70000\r\n\r\n", "host", 400},
		{"an empty host", "GET / HTTP/1.1\r\nHost: \r\n\r\n", "host", 400},
		{"a host with an empty label", "GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", "host", 400},
		{"an invalid address", "GET / HTTP/1.1\r\nHost: [::zz]\r\n\r\n", "host", 400},
		{"length and coding", "POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "framing", 400},
		{"coding and length", "POST / HTTP/1.1\r\n" + host + "transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n", "framing", 400},
		{"a coding in HTTP/1.0", "POST / HTTP/1.0\r\n" + host + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "framing", 400},
	}
	for name, raw := range map[string]string{
		"space before the colon": "GET / HTTP/1.1\r\n" + host + "X-A : 1\r\n\r\n",
		"no Host":                "GET / HTTP/1.1\r\n\r\n",
		"two Hosts":              "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"a host with a user":     "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
		"no request at all":      "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
		"two lengths":            "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
	} {
		tests = append(tests, struct {
			name, raw, reason string
			status            int
		}{name, raw, "400", 400})
	}
	tests = append(tests, struct {
		name, raw, reason string
		status            int
	}{"another expectation", "GET / HTTP/1.1\r\n" + host + "Expect: 200-ok\r\n\r\n", "417", 417}, struct {
		name, raw, reason string
		status            int
	}{"an unknown coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: x\r\n\r\n", "501", 501})
	o := startOrigin(t, echoing)
	g := serve(t, 0, "--origin", o.URL)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := g.raw(test.raw)
			if a.err != nil || a.status != test.status || a.how() != "forebay; detail=refused-"+test.reason || !strings.Contains(a.body, `"detail":"`) {
				t.Errorf("%d %q %q %v", a.status, a.how(), a.body, a.err)
			}
		})
	}
	if seen := o.asked(); len(seen) != 0 {
		t.Errorf("the origin was asked %q", seen)
	}
	counted := g.stats().Classes["http"].NotStored
	for _, reason := range []string{"method", "target", "host", "framing", "400", "417", "501"} {
		if counted["refused: "+reason] == 0 {
			t.Errorf("%s is not counted: %v", reason, counted)
		}
	}
}

// What stands behind a refused request on its connection is nobody's request.
func TestNothingIsSmuggled(t *testing.T) {
	o := startOrigin(t, echoing)
	g := serve(t, 0, "--origin", o.URL)
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n"
	for name, raw := range map[string]string{
		"CONNECT with a body": "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 4\r\n\r\nabcd",
		"CONNECT":             "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
		"length and coding":   "POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.0 and coding": "POST / HTTP/1.0\r\nHost: api.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		c := g.dial()
		io.WriteString(c, raw+smuggled)
		c.SetReadDeadline(time.Now().Add(2 * time.Second))
		all, _ := io.ReadAll(c)
		if strings.Count(string(all), "HTTP/1.") != 1 || strings.Contains(string(all), "200 OK") {
			t.Errorf("%s: answered %q", name, all)
		}
	}
	for _, seen := range o.asked() {
		if strings.Contains(seen, "smuggled") {
			t.Errorf("the origin was asked %s", seen)
		}
	}
}

// One spelling of a host, of a target: rows A5 and A8.
func TestOneSpelling(t *testing.T) {
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.URL.Path)
	})
	g := serve(t, 0, "--origin", o.URL, "--profile", "rfc")
	ask := func(target, host string) answer {
		return g.raw("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
	}
	ask("/a", "api.test")
	for _, same := range [][2]string{{"/a", "API.test"}, {"/a", "api.test:80"}, {"/a", "api.test."}, {"/a", "api.test:"}, {"/a", "Api.Test.:080"},
		{"http://api.test/a", "api.test"}, {"http://API.TEST:80/a", "x"}, {"HTTP://api.test/a", "api.test"}} {
		if a := ask(same[0], same[1]); !strings.Contains(a.how(), "; hit") {
			t.Errorf("%s at %s: %q", same[0], same[1], a.how())
		}
	}
	for _, other := range [][2]string{{"/a", "api.test:81"}, {"/a", "api.test:443"}, {"/A", "api.test"}, {"https://api.test:81/a", "x"}} {
		if a := ask(other[0], other[1]); a.status == 200 && strings.Contains(a.how(), "; hit") && other[1] != "x" {
			t.Errorf("%s at %s: %q", other[0], other[1], a.how())
		}
	}
	if a := ask("http://api.test", "api.test"); a.body != "/" {
		t.Errorf("absolute-form without a path: %d %q", a.status, a.body)
	}
	g.raw("DELETE /a HTTP/1.1\r\nHost: API.test:80\r\nConnection: close\r\n\r\n")
	if a := ask("/a", "api.test"); strings.Contains(a.how(), "; hit") {
		t.Errorf("an invalidation of another spelling: %q", a.how())
	}
}

// What Connection names is gone before anything reads it: row A2.
func TestConnectionNamesAField(t *testing.T) {
	for _, profile := range []string{"safe", "rfc"} {
		for _, vary := range []string{"", "X-Tenant", "Accept-Language"} {
			o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				if vary != "" {
					w.Header().Set("Vary", vary)
				}
				fmt.Fprintf(w, "%s %s", r.Header.Get("X-Tenant"), r.Header.Get("Accept-Language"))
			})
			g := serve(t, 0, "--config", config(t, "origin: "+o.URL+"\nprofile: "+profile+"\nroutes:\n  - {match: GET /ruled, ttl: 1m, headers: [X-Tenant]}\n"))
			for _, path := range []string{"/ruled", "/free"} {
				if vary == "" && profile == "rfc" && path == "/free" {
					continue // the origin does not say what it depends on
				}
				for _, named := range []string{"X-Tenant, Accept-Language", "close, x-tenant,accept-language", "X-Tenant\r\nConnection: Accept-Language"} {
					g.raw("GET " + path + " HTTP/1.1\r\nHost: api.test\r\nX-Tenant: acme\r\nAccept-Language: de\r\nConnection: " + named + "\r\n\r\n")
				}
				want := "acme de"
				if vary == "X-Tenant" && profile == "rfc" {
					continue
				}
				if profile == "rfc" && vary != "Accept-Language" {
					continue
				}
				if a := g.get(path, "X-Tenant: acme", "Accept-Language: de"); a.body != want {
					t.Errorf("%s, Vary %q, %s: %q (%s)", profile, vary, path, a.body, a.how())
				}
			}
		}
	}
}

// Every field of a request is either part of what is compared, or does not reach the origin: row A13.
func TestReflectingOrigin(t *testing.T) {
	o := startOrigin(t, echoing)
	g := serve(t, 0, "--config", config(t, "origin: "+o.URL+"\nroutes:\n  - {match: GET /ruled, ttl: 1m}\n"))
	fields := []string{"Origin: https://evil.test", "Accept: text/evil", "Accept-Language: evil", "Accept-Encoding: evil", "Accept-Charset: evil",
		"User-Agent: evil", "Referer: https://evil.test/", "Via: 1.1 evil", "From: evil", "X-Forwarded-Host: evil", "X-Forwarded-Proto: evil", "X-Evil: evil",
		"X-Request-Id: evil", "Tracestate: evil=1", "Baggage: evil=1", "Traceparent: evil", "Dnt: evil", "Sec-Fetch-Mode: evil", "Priority: evil",
		"Cache-Control: evil", "Cache-Control: no-cache, evil", "Pragma: evil", "Range: evil=0-1", "Range: bytes=0-1, evil", "If-None-Match: \"evil\"", "If-Modified-Since: evil",
		"If-Range: \"evil\"", "Te: evil", "Te: trailers, evil", "Upgrade: evil", "Connection: Upgrade\r\nUpgrade: evil", "Max-Forwards: evil", "Expect: evil", "Date: evil", "Save-Data: evil",
		"Content-Type: text/evil", "Content-Encoding: evil", "Keep-Alive: evil", "Proxy-Connection: evil", "Proxy-Authorization: evil", "Trailer: evil", "Surrogate-Capability: evil",
		"Forwarded: host=evil", "X_Forwarded_Host: evil", "X-Original-Url: /evil", "Http2-Settings: evil", "Incremental: evil", "Upgrade-Insecure-Requests: evil", "X-Amzn-Trace-Id: evil"}
	for i, field := range fields {
		for _, path := range []string{"/ruled", "/free"} {
			uri := fmt.Sprintf("%s?n=%d", path, i)
			g.get(uri, field)
			if a := g.get(uri); strings.Contains(a.body, "evil") {
				t.Errorf("%s, %s: the next client gets %q", path, field, a.body)
			}
		}
	}
}

// Fields that claim what only a proxy may say do not reach the origin, in a head or behind a body: row A7.
func TestClaims(t *testing.T) {
	o := startOrigin(t, echoing)
	g := serve(t, 0, "--origin", o.URL)
	claims := []string{"X-Forwarded-For", "X_Forwarded_For", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Forwarded-Uri", "X-Forwarded-User",
		"X-Forwarded-Anything", "Forwarded", "Proxy", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "X-Remote-User", "Remote-User",
		"X-Client-IP", "Client-IP", "X-Cluster-Client-IP", "X.Forwarded.For", "X-Auth-Request-Email", "X-Authenticated-User", "Fastly-Client-IP", "X-Envoy-External-Address",
		"Ssl-Client-Cert", "X-Amzn-Oidc-Identity", "X-Goog-Authenticated-User-Email", "X-Ms-Client-Principal", "X-Middleware-Subrequest", "X-Consumer-Username"}
	for _, method := range []string{"GET", "POST"} {
		for _, claim := range claims {
			a := g.raw(method + " /x HTTP/1.1\r\nHost: api.test\r\n" + claim + ": 6.6.6.6\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			if a.status != 200 || strings.Contains(a.body, "6.6.6.6") {
				t.Errorf("%s with %s: %d %q", method, claim, a.status, a.body)
			}
		}
	}
	for _, claim := range append(claims, "Authorization", "Cookie", "Host", "Content-Type", "Transfer-Encoding") {
		a := g.raw("POST /x HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nTrailer: " + claim + ", X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + claim + ": 6.6.6.6\r\nX-Sum: 7\r\n\r\n")
		if strings.Contains(a.body, "6.6.6.6") || a.status == 200 && !strings.Contains(a.body, "trailer X-Sum: 7") {
			t.Errorf("%s as a trailer: %d %q", claim, a.status, a.body)
		}
	}
}

// A trusted proxy's word goes on, and is extended.
func TestTrustedProxy(t *testing.T) {
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "for=%s proto=%s host=%s fwd=%s real=%s", r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"),
			r.Header.Get("X-Forwarded-Host"), r.Header.Get("Forwarded"), r.Header.Get("X-Real-Ip"))
	})
	g := serve(t, 0, "--origin", o.URL, "--trusted-proxies", "127.0.0.0/8")
	post := func(fields ...string) string {
		return g.raw("POST /x HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nContent-Length: 0\r\n" + lines(fields) + "\r\n").body
	}
	if got := post("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: www.example.com", "X-Real-IP: 192.0.2.7"); got != "for=192.0.2.7, 127.0.0.1 proto=https host=www.example.com fwd= real=192.0.2.7" {
		t.Error(got)
	}
	if got := post("Forwarded: for=192.0.2.7;proto=https;host=www.example.com"); got != "for=127.0.0.1 proto=https host=www.example.com fwd=for=192.0.2.7;proto=https;host=www.example.com, for=127.0.0.1 real=" {
		t.Error(got)
	}
	g.get("/load", "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https")
	if a := g.get("/load", "X-Forwarded-For: 192.0.2.8", "X-Forwarded-Proto: https"); a.body != "for= proto=https host=api.test fwd= real=" || !a.shared() {
		t.Errorf("%q %q", a.body, a.how())
	}
	if a := g.get("/load", "X-Forwarded-Proto: http"); a.shared() {
		t.Errorf("another scheme: %q", a.how())
	}
}

// Values that look alike are not: rows A3, A4 and A11.
func TestAlikeIsNotEqual(t *testing.T) {
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := w.Header()
		h.Set("Cache-Control", "max-age=60")
		h.Set("Vary", "Origin, Accept, Accept-Language, Accept-Encoding")
		if r.Header.Get("Origin") == "https://app.example" {
			h.Set("Access-Control-Allow-Origin", "https://app.example")
		}
		fmt.Fprintf(w, "%q %q %q %q", r.Header["Accept"], r.Header["Accept-Language"], r.Header["Content-Type"], body)
	})
	g := serve(t, 0, "--config", config(t, "origin: "+o.URL+"\nprofile: rfc\nroutes:\n  - {match: POST /query, ttl: 1m, body_key: {ignore: [meta.trace, 'a\\.b']}}\n"))
	for _, odd := range []string{"https://app.example,", ",https://app.example", "https://app.example ,", "https://app.example, ", "https://app.example;q=1", "HTTPS://app.example"} {
		g.get("/cors", "Origin: "+odd)
	}
	if a := g.get("/cors", "Origin: https://app.example"); a.header.Get("Access-Control-Allow-Origin") != "https://app.example" {
		t.Errorf("the app gets %q", a.header)
	}
	for _, pair := range [][2]string{{"a;q=0.5", "a;q=.5"}, {"a;q=1", "a;q=1.0001"}, {"a;q=0", "a;q=-0"}, {"a;q=0.1", "a;q=1e-1"}, {"a, b", `"a, b"`}} {
		g.get("/accept?"+fmt.Sprint(len(pair[0])), "Accept: "+pair[1])
		one, other := g.get("/pair", "Accept: "+pair[0]), g.get("/pair", "Accept: "+pair[1])
		if one.body == other.body && other.shared() {
			t.Errorf("%q is taken for %q", pair[1], pair[0])
		}
	}
	post := func(body string, fields ...string) answer {
		return g.raw(fmt.Sprintf("POST /query HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s", len(body), lines(fields), body))
	}
	post(`{"n":1}`, "Content-Type: application/json", "Content-Type: text/plain")
	if a := post(`{"n":1}`, "Content-Type: application/json"); strings.Contains(a.body, "text/plain") {
		t.Errorf("two types: the next gets %q", a.body)
	}
	json := "Content-Type: application/json"
	post(`{"meta":{"trace":1},"n":2}`, json)
	if a := post(`{"meta":{"trace":2},"n":2}`, json); !a.shared() {
		t.Errorf("an ignored member: %q", a.how())
	}
	post(`{"meta.trace":1,"n":3}`, json)
	if a := post(`{"meta.trace":2,"n":3}`, json); a.shared() {
		t.Errorf("a member with a dot in its name: %q", a.how())
	}
	post(`{"a.b":1,"n":4}`, json)
	if a := post(`{"a.b":2,"n":4}`, json); !a.shared() {
		t.Errorf("an ignored member with a dot in its name: %q", a.how())
	}
}

// A rule's field counts in both profiles, and what is encoded goes to clients that take it: A14 and A15.
func TestRuleFieldsAndCodings(t *testing.T) {
	for _, profile := range []string{"safe", "rfc"} {
		o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && r.URL.Path == "/zip" {
				w.Header().Set("Content-Encoding", "gzip")
			}
			fmt.Fprint(w, r.Header.Get("X-Plan"))
		})
		g := serve(t, 0, "--config", config(t, "origin: "+o.URL+"\nprofile: "+profile+"\nroutes:\n  - {match: GET /plan, ttl: 1m, headers: [X-Plan]}\n"))
		g.get("/plan", "X-Plan: silver")
		if a := g.get("/plan", "X-Plan: gold"); a.body != "gold" {
			t.Errorf("%s: gold gets %q", profile, a.body)
		}
		g.get("/zip", "Accept-Encoding: gzip")
		for _, refuses := range []string{"Accept-Encoding: identity", "Accept-Encoding: gzip;q=0", "X-Other: none"} {
			if a := g.get("/zip", refuses); a.shared() && a.header.Get("Content-Encoding") != "" {
				t.Errorf("%s: %s gets %q", profile, refuses, a.header.Get("Content-Encoding"))
			}
		}
		if a := g.get("/zip", "Accept-Encoding: gzip"); !a.shared() {
			t.Errorf("%s: gzip again: %q", profile, a.how())
		}
	}
}

// A loop ends at its first turn, and Max-Forwards is obeyed: row B5.
func TestLoop(t *testing.T) {
	port := strconv.Itoa(redistest.FreePort(t))
	o := "http://127.0.0.1:" + port
	g := serve(t, 0, "--origin", o, "--addr", "127.0.0.1:"+port)
	before := g.descriptors()
	for _, method := range []string{"GET", "POST", "PUT", "OPTIONS"} {
		if a := g.raw(method + " /x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"); a.status != 508 {
			t.Errorf("%s: %d %q", method, a.status, a.body)
		}
	}
	if after := g.descriptors(); after > before+20 {
		t.Errorf("%d descriptors, %d before", after, before)
	}
	e := startOrigin(t, echoing)
	g = serve(t, 0, "--origin", e.URL)
	if a := g.raw("OPTIONS /x HTTP/1.1\r\nHost: api.test\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n"); a.status != 204 || a.header.Get("Allow") == "" {
		t.Errorf("Max-Forwards 0: %d %v", a.status, a.header)
	}
	if a := g.raw("OPTIONS /x HTTP/1.1\r\nHost: api.test\r\nMax-Forwards: 3\r\nConnection: close\r\n\r\n"); !strings.Contains(a.body, "Max-Forwards: 2") {
		t.Errorf("Max-Forwards 3: %q", a.body)
	}
}

// An upgrade passes to websocket alone, unless a route says otherwise.
func TestUpgrades(t *testing.T) {
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			fmt.Fprint(w, "no upgrade")
			return
		}
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(both, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\nhello", r.Header.Get("Upgrade"))
		both.Flush()
	})
	g := serve(t, 0, "--config", config(t, "origin: "+o.URL+"\nroutes:\n  - {match: GET /chat, upgrade: [chat]}\n  - {match: GET /none, upgrade: []}\n"))
	for _, test := range []struct {
		path, protocol string
		passes         bool
	}{{"/x", "websocket", true}, {"/x", "WebSocket", true}, {"/x", "h2c", false}, {"/x", "chat", false}, {"/chat", "chat", true}, {"/chat", "websocket", false}, {"/none", "websocket", false}, {"/x", "websocket, h2c", false}} {
		c := g.dial()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\nUpgrade: %s\r\n\r\n", test.path, test.protocol)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || (res.StatusCode == 101) != test.passes {
			t.Errorf("%s at %s: %v, %v", test.protocol, test.path, res, err)
		}
	}
}
