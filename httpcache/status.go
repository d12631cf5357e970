// Package httpcache is the HTTP side of the cache. So far it says, in the words of HTTP, how an
// answer came about.
package httpcache

import (
	"strconv"
	"strings"
	"time"

	"github.com/forebay-cache/forebay"
)

// Status renders an outcome as the value of a Cache-Status header (RFC 9211).
func Status(o forebay.Outcome) string {
	var b strings.Builder
	b.WriteString("forebay; ")
	switch o.Status {
	case forebay.Hit:
		b.WriteString("hit; ttl=" + seconds(o.TTL) + "; detail=" + o.Tier.String())
	case forebay.StaleHit:
		b.WriteString("hit; ttl=" + seconds(o.TTL) + "; detail=stale")
	case forebay.Bypass:
		b.WriteString("fwd=bypass; detail=" + o.Reason.String())
	case forebay.Coalesced:
		b.WriteString("fwd=uri-miss; collapsed")
	case forebay.Miss:
		b.WriteString("fwd=" + forward(o.Reason))
		if o.Stored {
			b.WriteString("; stored")
		}
	}
	if o.Unconfirmed {
		b.WriteString("; unconfirmed")
	}
	return b.String()
}

// forward names why a request went to the origin (RFC 9211, section 2.2).
func forward(r forebay.Reason) string {
	switch r {
	case forebay.Expired:
		return "stale"
	case forebay.Refreshed:
		return "request"
	}
	return "uri-miss"
}

// seconds rounds towards the past: a ttl never promises more than there is.
func seconds(d time.Duration) string {
	s := d / time.Second
	if d < 0 && d%time.Second != 0 {
		s--
	}
	return strconv.FormatInt(int64(s), 10)
}
