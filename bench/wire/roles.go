package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"
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

// passOn is a reverse proxy with as many connections as it is asked on.
func passOn(addr, origin string) error {
	to, err := url.Parse("http://" + origin)
	if err != nil {
		return err
	}
	p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	return http.ListenAndServe(addr, p)
}

// fromRedis is the least that a shared tier can do: a GET for each request, and what was found as the answer.
func fromRedis(addr, redis string) error {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{redis}, DisableCache: true, ForceSingleClient: true})
	if err != nil {
		return err
	}
	for i := range urls {
		if err := client.Do(context.Background(), client.B().Set().Key("/1024/"+strconv.Itoa(i)).Value(string(kilobyte)).Build()).Error(); err != nil {
			return err
		}
	}
	return http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, err := client.Do(r.Context(), client.B().Get().Key(r.URL.Path).Build()).AsBytes()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		h := w.Header()
		h["Content-Type"], h["Cache-Control"], h["Etag"] = []string{"application/json"}, []string{"public, max-age=3600"}, []string{`"abcdef0123456789"`}
		h["Age"], h["Cache-Status"], h["Content-Length"] = []string{"12"}, []string{"x; hit; ttl=812"}, []string{"1024"}
		w.Write(found)
	}))
}

// askHeads asks with HEAD on 64 connections, and says how often it was answered, as wrk does.
func askHeads(addr, span string) error {
	length, err := time.ParseDuration(span)
	if err != nil {
		return err
	}
	var answered atomic.Int64
	var asking errgroup.Group
	end := time.Now().Add(length)
	for range 64 {
		asking.Go(func() error {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return err
			}
			defer c.Close()
			answer := make([]byte, 4096)
			for i := 0; time.Now().Before(end); i++ {
				if _, err := fmt.Fprintf(c, "HEAD /1024/%d HTTP/1.1\r\nHost: %s\r\n\r\n", i%urls, addr); err != nil {
					return err
				}
				n, err := c.Read(answer) // a head comes in one piece
				if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) || !bytes.HasSuffix(answer[:n], []byte("\r\n\r\n")) {
					return fmt.Errorf("not one head: %w: %q", err, answer[:n])
				}
				answered.Add(1)
			}
			return nil
		})
	}
	err = asking.Wait()
	fmt.Printf("%d requests in %s\n", answered.Load(), span)
	return err
}

var kilobyte = body(1024)

// fromMap is the least that a cache on net/http can do: it has one answer, with the fields of a cache.
func fromMap(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"], h["Etag"] = []string{"application/json"}, []string{"public, max-age=3600"}, []string{`"abcdef0123456789"`}
	h["Age"], h["Cache-Status"], h["Content-Length"] = []string{"12"}, []string{"x; hit; ttl=812"}, []string{"1024"}
	w.Write(kilobyte)
}

func fastFromMap(c *fasthttp.RequestCtx) {
	h := &c.Response.Header
	h.SetContentType("application/json")
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("Etag", `"abcdef0123456789"`)
	h.Set("Age", "12")
	h.Set("Cache-Status", "x; hit; ttl=812")
	c.Response.SetBodyRaw(kilobyte)
}
