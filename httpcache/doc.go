// Package httpcache is a shared HTTP cache (RFC 9111) as net/http middleware, on the tiers, the log
// and the flights of package forebay.
//
// A request goes one way: route (which rule), ask (what it wants), key, find (what is stored), decide
// (pure: what may be done), then serve, or load: the next handler is called once for all callers
// meanwhile, and everybody reads its answer from the first byte.
package httpcache
