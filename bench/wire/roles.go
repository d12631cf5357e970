package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// roleVariable makes this program one of the servers: "origin", "net/http" or "fasthttp". Its address is in addrVariable.
const (
	roleVariable = "FOREBAY_WIRE_ROLE"
	addrVariable = "FOREBAY_WIRE_ADDR"
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
	}
	return errors.New("no role " + role)
}

// body is JSON of n bytes.
func body(n int) []byte {
	return bytes.Repeat([]byte(`{"id":1,"name":"partner","org":"acme"},`), n/39+1)[:n]
}

// origin answers /SIZE/… with a body of that size that may be kept for an hour.
func origin(w http.ResponseWriter, r *http.Request) {
	size, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
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
	w.Write(body(n))
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
