package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// roleVariable makes this program one of the servers, whose address is in addrVariable, or what asks there for heads.
const (
	roleVariable   = "FOREBAY_WIRE_ROLE"
	addrVariable   = "FOREBAY_WIRE_ADDR"
	originVariable = "FOREBAY_WIRE_ORIGIN"
	redisVariable  = "FOREBAY_WIRE_REDIS"
	spanVariable   = "FOREBAY_WIRE_SPAN"
)

func play(role string) error {
	addr := os.Getenv(addrVariable)
	switch role {
	case "origin":
		return http.ListenAndServe(addr, http.HandlerFunc(origin))
	case "net/http":
		return http.ListenAndServe(addr, http.HandlerFunc(fromMap))
	case "fasthttp":
		return fasthttp.ListenAndServe(addr, fastFromMap)
	case "proxy":
		return passOn(addr, os.Getenv(originVariable))
	case "redis":
		return fromRedis(addr, os.Getenv(redisVariable))
	case "heads":
		return askHeads(addr, os.Getenv(spanVariable))
	}
	return errors.New("no role " + role)
}

// body is JSON of n bytes.
func body(n int) []byte {
	out := append([]byte{'"'}, bytes.Repeat([]byte(`id: 1, name: partner, organisation: acme; `), n/42+1)[:n-1]...)
	out[n-1] = '"'
	return out
}

// origin answers /SIZE/… with a body of that size that may be kept for an hour.
func origin(w http.ResponseWriter, r *http.Request) {
	size, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if size == "events" {
		sendEvents(w)
		return
	}
	n, err := strconv.Atoi(size)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("Etag", `"abcdef0123456789"`)
	h.Set("Content-Length", size)
	if strings.HasPrefix(r.URL.Path, "/1024/vary") {
		h.Set("Vary", "Accept-Language")
	}
	if n > 64<<10 { // it is on the core of the load
		w.Write(large[:n]) // its end does not matter
		return
	}
	w.Write(body(n))
}

var large = body(1 << 20)

func sendEvents(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	for range 100 {
		io.WriteString(w, "data: "+strings.Repeat("x", 32)+"\n\n")
	}
	io.WriteString(w, "data: [DONE]\n\n")
}

// gzipped is how long a body is when it is compressed.
func gzipped(n int) int {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(body(n))
	z.Close()
	return out.Len()
}
