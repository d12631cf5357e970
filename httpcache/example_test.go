package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

func ExampleNew() {
	cache, err := forebay.Open(context.Background(), forebay.Options{})
	if err != nil {
		panic(err)
	}
	defer cache.Close()
	pages, err := httpcache.New(cache, httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /greeting", TTL: time.Minute}}})
	if err != nil {
		panic(err)
	}
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("the handler works")
		io.WriteString(w, "hello")
	})
	server := httptest.NewServer(pages.Handler(slow))
	defer server.Close()
	for range 2 {
		res, err := http.Get(server.URL + "/greeting")
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Println(string(body), res.Header.Get("Cache-Status")[:12])
	}
	// Output:
	// the handler works
	// hello forebay; fwd
	// hello forebay; hit
}
