// Package mcpcache caches what an MCP server answers: the calls of tools that a rule names, resources, prompts and
// lists. It is middleware for servers made with the protocol's Go SDK, and for clients of servers in any language.
//
//	c, err := mcpcache.New(cache, mcpcache.Options{Rules: []mcpcache.Rule{{Name: "get_*", Class: "tools"}}})
//	…
//	c.Install(server)
//
// Nothing is cached without a rule: a tool may change something, and its own annotations are hints that nobody has
// checked. Each caller has entries of its own, unless a rule says that its results are the same for all.
//
// Stored are complete results alone. A result that says it is an error, one that asks the client for more input, a task,
// and the answer to a request that carries such input (MCP 2026-07-28, server/utilities/caching and
// basic/patterns/mrtr) are handed to whom they are for.
//
// One call runs for all that ask for the same at once; each gets its progress by its own token, and may go without the
// others. Results are invalidated like everything in the cache, by key, class, pattern and tag: see [Cache.ToolTag].
package mcpcache
