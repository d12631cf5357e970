package main

import (
	"context"
	"log"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/mcpcache"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// installCache puts the cache in front of everything that the protocol's own conformance server has. mcp.mjs builds it
// into that server.
func installCache(server *mcp.Server) {
	cache, err := forebay.Open(context.Background(), forebay.Options{Classes: []forebay.Class{{Name: "all", TTL: time.Minute}}})
	if err != nil {
		log.Fatal(err)
	}
	var rules []mcpcache.Rule
	// All of its tools but those that change something: test_trigger_….
	for _, tools := range strings.Fields("test_a* test_e* test_i* test_l* test_m* test_r* test_s* test_tool* test_x*") {
		rules = append(rules, mcpcache.Rule{Name: tools, Class: "all"})
	}
	for _, method := range []string{"resources/read", "prompts/get", "tools/list", "prompts/list", "resources/list", "resources/templates/list"} {
		rules = append(rules, mcpcache.Rule{Method: method, Name: "*", Class: "all"})
	}
	c, err := mcpcache.New(cache, mcpcache.Options{Rules: rules})
	if err != nil {
		log.Fatal(err)
	}
	c.Install(server)
}
