package main

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"

	"github.com/redis/rueidis"
	"github.com/valyala/fasthttp"
)

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
