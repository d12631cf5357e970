package forebay

import "time"

// A CallOption changes one call of [Func.Do].
type CallOption func(*call)

// A call is what one call wants otherwise than its class.
type call struct {
	bypass, refresh, onlyIfCached bool
	ttl                           time.Duration
}

func callOf(opts []CallOption) (c call) {
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	return c
}

// WithBypass asks the origin for this caller alone: nothing is looked up, shared or stored.
func WithBypass() CallOption { return func(c *call) { c.bypass = true } }

// WithRefresh loads whatever is stored, and stores the answer, as [Func.Refresh] does.
func WithRefresh() CallOption { return func(c *call) { c.refresh = true } }

// WithOnlyIfCached never loads: where nothing is stored that may be served, the error is [ErrNotCached]. Something stale that may be
// served is, and loaded behind.
func WithOnlyIfCached() CallOption { return func(c *call) { c.onlyIfCached = true } }

// WithTTL keeps what this call loads for so long, instead of what class and [KeepBy] say; negative: not at all. An answer that is
// stored already, or that another caller loads, stays as it is.
func WithTTL(ttl time.Duration) CallOption { return func(c *call) { c.ttl = ttl } }
