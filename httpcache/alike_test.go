package httpcache

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/canon"
)

// The invariant of [passage]: two requests that share an entry are forwarded byte for byte alike, but for
// the fields that are listed there. The requests are bytes, as a client sends them: odd framing, repeated
// fields, hop-by-hop fields, HTTP/1.0.
func FuzzForwardedAlike(f *testing.F) {
	for seed := range uint64(16) {
		f.Add(seed, seed*31)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		random := rand.New(rand.NewPCG(a, b))
		profile := []Profile{Safe, RFC}[random.IntN(2)]
		cache, err := forebay.Open(t.Context(), forebay.Options{NearBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		h, err := New(cache, Options{Profile: profile, Rules: []Rule{
			{Match: "GET /ruled", TTL: time.Minute, Headers: []string{"X-Plan"}},
			{Match: "POST /query", TTL: time.Minute, Headers: []string{"X-Plan"}, BodyKey: &BodyKey{Ignore: []string{"id"}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		byKey := map[string]string{}
		raws := map[string]string{}
		for range 60 {
			raw := randomBytes(random)
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
			if err != nil {
				continue // net/http refuses it
			}
			r, refused := canonical(r)
			if refused != nil {
				continue
			}
			asked := h.ask(r)
			if asked.bypass != "" {
				continue
			}
			key := asked.key
			if profile == RFC { // an origin that varies on everything
				key += h.selectedBy([]string{"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cookie", "Origin", "User-Agent", "X-Other", "X-Plan", "Content-Type", "Via", "Te", "Upgrade", "Tracestate"}, asked)
			}
			sent := forwardedAs(h, asked)
			if before, there := byKey[key]; there && before != sent {
				t.Fatalf("profile %s:\n%q\n%q\nshare an entry, and are forwarded as\n%s\n%s", profile, raws[key], raw, before, sent)
			}
			byKey[key], raws[key] = sent, raw
		}
	})
}

// forwardedAs is what the origin gets of a request that others may share.
func forwardedAs(h *Cache, a *ask) string {
	header := h.forwarded(a)
	delete(header, traceField)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s host=%s", a.method, a.r.URL.RequestURI(), a.r.Host)
	if a.method == http.MethodPost {
		canonical, _ := canon.JSON(a.body, a.route.ignore)
		fmt.Fprintf(&b, " %s %q", canonical, a.r.Header["Content-Type"])
	} else if a.method != http.MethodGet {
		body, _ := io.ReadAll(a.r.Body)
		fmt.Fprintf(&b, " %q %q", body, a.r.Header["Content-Type"])
	}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		fmt.Fprintf(&b, "\n%s: %q", name, header[name])
	}
	return b.String()
}

func randomBytes(random *rand.Rand) string {
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	var b strings.Builder
	method := pick("GET", "GET", "GET", "HEAD", "POST", "QUERY", "get", "PRI", "CONNECT")
	target := pick("/ruled", "/free", "/free?", "/free?a=1", "/query", "http://a.test/free", "http://A.test:80/ruled", "HTTP://a.test", "*", "x:y", "//a/b", "/%66ree", "/free#x")
	fmt.Fprintf(&b, "%s %s HTTP/1.%s\r\n", method, target, pick("1", "1", "1", "0"))
	fmt.Fprintf(&b, "Host: %s\r\n", pick("a.test", "a.test", "A.test", "a.test:80", "a.test.", "b.test", "a,b", ""))
	fields := map[string][]string{
		"Accept":          {"a/b", "a/b;q=0.5, c/d", "c/d,a/b;q=0.50", "a/b;q=.5", `a/b;x="1,2"`, ""},
		"Accept-Encoding": {"gzip", "gzip, br", "br,gzip", "identity", "", "gzip;q=0"},
		"Accept-Language": {"de", "de, en", "en,de", "de,"},
		"Authorization":   {"Bearer a", "Bearer b", "bearer a"},
		"Cookie":          {"a=1", "a=1; b=2", "b=2"},
		"Origin":          {"https://a", "https://a,", "null"},
		"User-Agent":      {"x", "", "y, z", "y,z"},
		"X-Plan":          {"gold", "gold ", "gold,", ",gold", "a, b", "a,b"},
		"X-Other":         {"1", "2", `{"a": 1, "b": 2}`, `{"a":1,"b":2}`},
		"Connection":      {"close", "keep-alive", "X-Plan", "x-plan, Cookie", "Authorization", "Upgrade", "Accept"},
		"Upgrade":         {"h2c", "websocket"},
		"Te":              {"trailers", "gzip"},
		"Range":           {"bytes=0-1", "bytes=0-1,3-4", "x=1"},
		"If-Range":        {`"a"`},
		"Content-Type":    {"application/json", "Application/JSON", "text/plain"},
		"Cache-Control":   {"no-cache", "max-age=0", "x=evil"},
		"Via":             {"1.1 x", "1.1 y"},
		"Tracestate":      {"a=1"},
		"Traceparent":     {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "evil"},
		"Max-Forwards":    {"1"},
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		for random.IntN(6) == 0 {
			fmt.Fprintf(&b, "%s: %s\r\n", pick(name, strings.ToLower(name)), pick(fields[name]...))
		}
	}
	if method == "POST" || method == "QUERY" {
		body := pick(`{"n":1}`, `{"n": 1}`, `{"id":7,"n":1}`, `{"n":2}`, "[]")
		if random.IntN(3) == 0 {
			fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		} else {
			fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
		}
		return b.String()
	}
	b.WriteString("\r\n")
	return b.String()
}
