package gateway

import (
	"net"
	"time"

	"golang.org/x/time/rate"
)

// SampleAll has every request sampled.
func SampleAll(g *Gateway) { g.front.Load().advice.sampler.limit.SetLimit(rate.Inf) }

// LookUpBy has names looked up by a resolver, so often, until the function returned is called.
func LookUpBy(r *net.Resolver, every time.Duration) func() {
	was, often := resolver, nameEvery
	resolver, nameEvery = r, every
	return func() { resolver, nameEvery = was, often }
}
