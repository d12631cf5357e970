package main

import "fmt"

var cases = []kase{
	{name: "1 KiB, 64 connections", path: "/1024/", contenders: []contender{raw, forebay, withoutL, nginx, haproxy, varnish, squid, h2o, netHTTP, fast}},
	{name: "100 B", path: "/100/", contenders: []contender{nginx, forebay}},
	{name: "16 KiB", path: "/16384/", contenders: []contender{nginx, forebay}},
	{name: "256 KiB", path: "/262144/", contenders: []contender{nginx, forebay}},
	{name: "1 KiB, 1,000 connections", path: "/1024/", connections: 1000, contenders: []contender{raw, forebay, nginx}},
	{name: "1 KiB, 10,000 connections", path: "/1024/", connections: 10000, contenders: []contender{raw, forebay, nginx}},
	{name: "1 KiB, 16 requests at a time on each connection", path: "/1024/", pipeline: 16, contenders: []contender{nginx, forebay}},
	{name: "with a credential", path: "/1024/", fields: `["Authorization"]="Bearer abc"`, contenders: []contender{{name: "forebay, without one", begin: forebay.begin, as: func(c *kase) { c.fields = "" }}, forebay}},
	{name: "HEAD", method: "HEAD", path: "/1024/", contenders: []contender{forebay, nginx}},
	{name: "varies on Accept-Language", path: "/1024/vary", fields: `["Accept-Language"]="fr"`, contenders: []contender{nginx, forebay}},
	{name: "304", path: "/1024/", fields: `["If-None-Match"]='"abcdef0123456789"'`, contenders: []contender{nginx, forebay}},
	{name: "with the fields of a browser and a trace", path: "/1024/", fields: `["User-Agent"]="Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36", ["Accept"]="application/json", ["Accept-Language"]="en", ["Traceparent"]="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`, contenders: []contender{nginx, forebay}},
	{name: "compressed, 16 KiB", path: "/16384/", fields: `["Accept-Encoding"]="gzip"`, contenders: []contender{{name: "forebay, a body of as many bytes", begin: forebay.begin, as: func(c *kase) { c.path, c.fields = fmt.Sprintf("/%d/", gzipped(16384)), "" }}, coded}},
	{name: "POST, 2 KiB, against a GET through net/http", path: "/1024/", body: string(body(2048)), fields: `["Content-Type"]="application/json"`, contenders: []contender{
		{name: "forebay without its lane, GET", begin: withoutL.begin, as: func(c *kase) { c.body = "" }},
		{name: "forebay, POST", begin: beginAsked, as: func(c *kase) { c.method = "POST" }}}},
	{name: "server-sent events, 100 of 40 bytes", path: "/events/", contenders: []contender{nginx, events}},
	{name: "hit of the shared tier", path: "/1024/", contenders: []contender{bareRedis, sharedHit, strictHit}},
	{name: "miss, 1 KiB", path: "/1024/", urls: -1, contenders: []contender{reverse, forebay, nginx}},
	{name: "miss, 1 MiB", path: "/1048576/", urls: -1, contenders: []contender{reverse, forebay, nginx}},
	{name: "TLS, HTTP/1.1", path: "/1024/", tls: true, contenders: []contender{nginxTLS, forebayTLS}},
	{name: "TLS, HTTP/2", path: "/1024/", tls: true, h2: true, contenders: []contender{nginxTLS, forebayTLS}},
}
