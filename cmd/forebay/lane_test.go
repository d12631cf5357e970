package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// laneOrigin answers every path with something that is its own and never changes.
func laneOrigin(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Date", "Tue, 01 Dec 2026 08:00:00 GMT")
		h.Set("Etag", `"`+r.URL.Path+`"`)
		h.Set("Cache-Control", "public, max-age=9000000")
		if r.URL.Path == "/language" {
			h.Set("Vary", "Accept-Language")
		}
		size := 100
		if r.URL.Path == "/large" {
			size = 60 << 10
		}
		body := strings.Repeat(r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Accept-Language")+" "+r.Header.Get("Authorization")+"\n", size/20)
		h.Set("Content-Length", fmt.Sprint(len(body)))
		if r.Method != http.MethodHead {
			io.WriteString(w, body)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// say sends pieces on one connection, then a request that closes it, and returns all that comes.
func say(t testing.TB, addr string, pieces ...string) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(addr, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, p := range append(pieces, "GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") {
		if _, err := io.WriteString(c, p); err != nil {
			break // it may close early
		}
		if len(pieces) > 1 {
			time.Sleep(time.Millisecond)
		}
	}
	var all []byte
	for closed := false; ; { // a client that has closed has gone, and its answers are cut
		c.SetReadDeadline(time.Now().Add(2 * time.Second))
		more, err := io.ReadAll(c)
		all = append(all, more...)
		switch {
		case err == nil || strings.Contains(err.Error(), "reset"):
			return moving.ReplaceAllString(string(all), "$1")
		case closed:
			t.Fatalf("%q: %v", pieces, err)
		}
		c.(*net.TCPConn).CloseWrite()
		closed = true
	}
}

// moving is what of an answer differs from one second to the next.
var moving = regexp.MustCompile(`(\r\nAge: |hit; ttl=|\r\nDate: )(-?\d+|[A-Z][^\r]*)`)

func get(path string, fields ...string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: a\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
}

// lanes are two gateways in front of one origin, of which one has a lane.
func lanes(t testing.TB, args ...string) (with, without, admin string) {
	t.Helper()
	origin := laneOrigin(t)
	args = append([]string{"serve", "--origin", origin}, args...)
	with, admin, _ = start(t, args...)
	without, _, _ = start(t, append(args, "--lane", "off")...)
	return with, without, admin
}

// laneAnswers is how many requests a lane has answered.
func laneAnswers(t *testing.T, admin string) (n, differ int) {
	t.Helper()
	_, metrics := fetch(t, admin+"/metrics")
	for name, to := range map[string]*int{"forebay_lane_answers_total": &n, "forebay_lane_differing_total": &differ} {
		if found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(metrics); found != nil {
			var f float64
			fmt.Sscan(found[1], &f)
			*to = int(f)
		}
	}
	return n, differ
}

func TestLaneAnswersWhatNetHTTPDoes(t *testing.T) {
	t.Parallel()
	with, without, admin := lanes(t, "--cache", "GET /ruled=1h")
	tests := []struct {
		name, request string
		lane          bool
	}{
		{"plain", get("/plain"), true},
		{"a rule's route", get("/ruled", "User-Agent: x", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), true},
		{"HEAD", "HEAD /plain HTTP/1.1\r\nHost: a\r\n\r\n", true},
		{"with a credential", get("/plain", "Authorization: Bearer one"), true},
		{"with another", get("/plain", "Authorization: Bearer two"), true},
		{"varies", get("/language", "Accept-Language: fr"), true},
		{"validates", get("/plain", `If-None-Match: "/plain"`), true},
		{"large", get("/large"), true},
		{"keep-alive", get("/plain", "Connection: keep-alive"), true},
		{"no body", get("/plain", "Content-Length: 0"), true},
		{"another form of the host", "GET /plain HTTP/1.1\r\nHost: A:80\r\n\r\n", true},
		{"an absolute target", "GET http://a/plain HTTP/1.1\r\nHost: b\r\n\r\n", false},
		{"closes", get("/plain", "Connection: close"), false},
		{"a range", get("/plain", "Range: bytes=1-2"), false},
		{"wants a new one", get("/plain", "Cache-Control: no-cache"), false},
		{"wants what is stored", get("/plain", "Cache-Control: only-if-cached"), false},
		{"an upgrade that is not made", get("/plain", "Connection: upgrade", "Upgrade: h2c"), true},
		{"HTTP/1.0", "GET /plain HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", false},
		{"a repeated singleton", get("/plain", "User-Agent: a", "User-Agent: b"), false},
		{"a body", get("/plain", "Content-Length: 5") + "GET /", false},
		{"POST", "POST /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			many := slices.Repeat([]string{test.request}, 70) // the sample takes 50 in a second
			for range 2 {
				say(t, with, many...)
				say(t, without, many...)
			}
			before, _ := laneAnswers(t, admin)
			want := say(t, without, many...)
			if got := say(t, with, many...); got != want {
				t.Fatalf("with a lane\n%.600q\nwithout\n%.600q", got, want)
			}
			after, differ := laneAnswers(t, admin)
			if test.lane != (after > before) || differ > 0 {
				t.Errorf("%d of 70 were answered in the lane, %d differ", after-before, differ)
			}
		})
	}
}

// What is like a known request and is not it, and what stands before and behind one, is read as net/http reads it.
func TestLaneHasNoReadingOfItsOwn(t *testing.T) {
	t.Parallel()
	with, without, admin := lanes(t, "--cache", "GET /ruled=1h")
	plain, ruled := get("/plain"), get("/ruled")
	for range 80 {
		say(t, with, plain, plain, ruled, ruled)
		say(t, without, plain, ruled)
	}
	tests := [][]string{
		{plain + plain + plain + plain},
		{plain + get("/other") + plain},
		{plain + "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /" + plain},
		{plain + "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + plain},
		{"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + plain},
		{"G", "ET /plain HTTP/1.1\r\nHost: a\r\n\r\n" + plain},
		{plain[:len(plain)-1], "\n" + plain},
		{plain[:len(plain)-2], "\r\n", plain},
		{plain + "X", plain},
		{plain + "GE", "T /plain HTTP/1.1\r\nHost: a\r\n\r\n"},
		{plain + "\r\n" + plain},
		{"\r\n" + plain, plain},
		{"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "\n", plain},
		{"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "\r\n" + plain},
		{strings.ReplaceAll(plain, "\r\n", "\n") + plain},
		{strings.Replace(plain, "\r\n\r\n", "\n\r\n", 1) + plain},
		{strings.Replace(plain, "\r\n\r\n", "\r\n\n", 1) + plain},
		{strings.Replace(plain, "Host: a\r\n", "Host: a\r\n \r\n", 1) + plain},
		{strings.Replace(plain, "Host: a\r\n", "Host: a\r\nX: b\r\n c\r\n", 1) + plain},
		{strings.Replace(plain, "Host: a\r\n", "Host : a\r\n", 1)},
		{strings.Replace(plain, "Host: a\r\n", "Host: a\r\nHost: b\r\n", 1)},
		{strings.Replace(plain, "Host: a\r\n", "", 1)},
		{strings.Replace(plain, "\r\nHost", "\r\nUser-Agent: \x00\r\nHost", 1)},
		{strings.Replace(plain, "\r\nHost", "\r\nUser-Agent: a\rb\r\nHost", 1)},
		{strings.Replace(plain, "\r\nHost", "\r\nUser-Agent : a\r\nHost", 1)},
		{strings.Replace(plain, "\r\nHost", "\r\nuser-AGENT:\ta \r\nHost", 1), plain},
		{strings.Replace(plain, "\r\nHost", "\r\nUser-Agent: a\r\nUser-agent: a\r\nHost", 1)},
		{strings.Replace(plain, "/plain", "/pl%61in", 1), strings.Replace(plain, "/plain", "//plain", 1), strings.Replace(plain, "/plain", "/plain?", 1)},
		{strings.Replace(plain, "GET", "get", 1)},
		{strings.Replace(plain, " HTTP", "  HTTP", 1)},
		{get("/plain", "Connection: close") + plain},
		{get("/plain", "Expect: 100-continue") + plain},
		{get("/plain", "X: "+strings.Repeat("y", 5000)) + plain},
		{strings.Repeat(plain, 300)},
		{plain, get("/plain", "Connection: Host"), plain},
		{"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabX", plain, plain},
		{"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabGET /", plain, plain},
		{get("/ruled", "User-Agent: a"), get("/ruled", "User-Agent: b")},
		{get("/ruled", "User-Agent: a", "User-Agent: a")},
		{get("/ruled", "User-Agent: a", "Referer: b", "user-agent: a")},
		{get("/ruled", "User-Agent: a\x01")},
		{get("/ruled", "User-Agent: a long one with\x7f in it")},
		{get("/ruled", "User-Agent: a\ttab")},
		{get("/ruled", "User-Agent: a\rX: b")},
		{get("/ruled", "User-Agent: ä\xff")},
		{get("/ruled", "Traceparent: x", "Traceparent: y")},
	}
	for _, pieces := range tests {
		want := say(t, without, pieces...)
		if got := say(t, with, pieces...); got != want {
			t.Errorf("%.200q\nwith a lane\n%.900q\nwithout\n%.900q", pieces, got, want)
		}
	}
	if n, differ := laneAnswers(t, admin); n == 0 || differ > 0 {
		t.Errorf("%d were answered in the lane, %d differ", n, differ)
	}
}

// A request and the end of its connection may come in one segment: then the poller says nothing of the end.
func TestLaneClosesWhatClientsHaveClosed(t *testing.T) {
	t.Parallel()
	with, _, _ := lanes(t)
	for range 80 {
		say(t, with, get("/plain"))
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			c, err := net.Dial("tcp", strings.TrimPrefix(with, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(10 * time.Second))
			in := bufio.NewReader(c)
			for range 3 { // warm
				io.WriteString(c, get("/plain"))
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, res.Body)
			}
			io.WriteString(c, get("/plain"))
			c.(*net.TCPConn).CloseWrite()
			if _, err := io.Copy(io.Discard, in); err != nil {
				t.Error("it is not closed:", err)
			}
		})
	}
	all.Wait()
}

// A client that reads slowly gets everything, and holds up nobody else.
func TestLaneWaitsForSlowReaders(t *testing.T) {
	t.Parallel()
	with, without, _ := lanes(t)
	for range 60 {
		say(t, with, get("/large"))
		say(t, without, get("/large"))
	}
	want := say(t, without, get("/large"))
	body := want[:strings.LastIndex(want, "HTTP/1.1 ")]
	c, err := net.Dial("tcp", strings.TrimPrefix(with, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	const n = 500 // more than sockets hold
	go io.WriteString(c, strings.Repeat(get("/large"), n))
	time.Sleep(300 * time.Millisecond)
	if got := say(t, with, get("/large")); got != want {
		t.Error("another client is not served meanwhile")
	}
	in := bufio.NewReader(c)
	for i := range n {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		got, err := io.ReadAll(res.Body)
		if err != nil || !strings.HasSuffix(body, string(got)) || len(got) < 30<<10 {
			t.Fatalf("answer %d: %d bytes, %v", i, len(got), err)
		}
	}
}

// What is invalidated, or replaced, is never given again.
func TestLaneForgetsWhatChanges(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	version := 1
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Cache-Control", "public, max-age=600")
		w.Header().Set("Etag", fmt.Sprintf(`"%d"`, version))
		fmt.Fprintf(w, "version %d%s", version, strings.Repeat("!", version))
	}))
	t.Cleanup(s.Close)
	gateway, admin, _ := start(t, "serve", "--origin", s.URL)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	ask := func(fields ...string) string {
		r, _ := http.NewRequest("GET", gateway+"/x", nil)
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.Header.Get("Etag") + " " + strings.TrimRight(string(body), "!")
	}
	is := func(version int) string { return fmt.Sprintf(`"%d" version %d`, version, version) }
	for round := range 6 {
		want := is(round + 1)
		for range 70 {
			if got := ask(); got != want {
				t.Fatalf("round %d: %q, want %q", round, got, want)
			}
		}
		mu.Lock()
		version++
		mu.Unlock()
		if round%2 == 0 {
			var b bytes.Buffer
			if code := run(t.Context(), []string{"purge", "--node", admin, "--url", gateway + "/x"}, &b, &b); code != 0 {
				t.Fatal(b.String())
			}
		} else if got := ask("Cache-Control", "no-cache"); got != is(round+2) {
			t.Fatalf("a reload got %q", got)
		}
	}
	if n, differ := laneAnswers(t, admin); n == 0 || differ > 0 {
		t.Errorf("%d were answered in the lane, %d differ", n, differ)
	}
}

// Statistics count what the lane answers.
func TestLaneIsCounted(t *testing.T) {
	t.Parallel()
	with, _, admin := lanes(t, "--cache", "GET /ruled=1h")
	const n = 400
	fetch(t, with+"/ruled")
	var all sync.WaitGroup
	for range 7 { // faster than the sample, on a slow machine too
		all.Go(func() {
			for range (n - 1) / 7 {
				if res, err := http.Get(with + "/ruled"); err != nil {
					t.Error(err)
				} else {
					io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			}
		})
	}
	all.Wait()
	if answered, _ := laneAnswers(t, admin); answered == 0 {
		t.Errorf("the lane answered %d", answered)
	}
	_, stats := fetch(t, admin+"/api/cache-stats")
	if !strings.Contains(stats, fmt.Sprintf(`"near_hits":%d`, n-1)) {
		t.Errorf("near hits: %s", stats)
	}
	_, routes := fetch(t, admin+"/api/routes")
	if !strings.Contains(routes, fmt.Sprintf(`"requests":%d,"outcomes":{"miss":1,"near":%d}`, n, n-1)) {
		t.Errorf("routes: %s", routes)
	}
	_, metrics := fetch(t, admin+"/metrics")
	if !strings.Contains(metrics, fmt.Sprintf(`forebay_http_requests_total{outcome="near",route="GET /ruled",status="2xx"} %d`, n-1)) {
		t.Errorf("metrics: %s", metrics)
	}
}

// FuzzLane sends what a fuzzer makes of requests that are known, cut in two, to gateways with a lane and without.
func FuzzLane(f *testing.F) {
	f.Add(get("/plain")+get("/plain"), 10)
	f.Add(get("/plain", "User-Agent: x", "X-Request-Id: 7")+"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nGET", 60)
	f.Add(get("/plain", "Authorization: Bearer x")+"\r\n"+get("/language", "Accept-Language: de"), 90)
	f.Add("HEAD /plain HTTP/1.1\r\nHost: a\r\n\r\n", 3)
	with, without, _ := lanes(f)
	f.Fuzz(func(t *testing.T, input string, cut int) {
		if len(input) > 16<<10 || strings.Contains(input, "Cache-Control") || strings.Contains(input, "HTTP/2") {
			return
		}
		cut = min(max(cut, 0), len(input))
		for range 3 {
			want := say(t, without, input[:cut], input[cut:])
			if got := say(t, with, input[:cut], input[cut:]); got != want {
				t.Fatalf("%q\nwith a lane\n%.900q\nwithout\n%.900q", input, got, want)
			}
		}
	})
}
