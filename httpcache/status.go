package httpcache

import (
	"strconv"
	"time"

	"github.com/forebay-cache/forebay"
)

// Status renders an outcome as the value of a Cache-Status header (RFC 9211).
func Status(o forebay.Outcome) string {
	return string(appendStatus(nil, o))
}

func appendStatus(b []byte, o forebay.Outcome) []byte {
	b = append(b, "forebay; "...)
	switch o.Status {
	case forebay.Hit:
		b = append(appendTTL(b, o.TTL), "; detail="...)
		b = append(b, o.Tier.String()...)
	case forebay.StaleHit:
		b = append(appendTTL(b, o.TTL), "; detail=stale"...)
	case forebay.Bypass:
		b = append(append(b, "fwd=bypass; detail="...), o.Reason.String()...)
	case forebay.Coalesced:
		b = append(b, "fwd=uri-miss; collapsed"...)
	case forebay.Miss:
		b = append(append(b, "fwd="...), forward(o.Reason)...)
		if o.Stored {
			b = append(b, "; stored"...)
		}
	}
	if o.Unconfirmed {
		b = append(b, "; unconfirmed"...)
	}
	return b
}

// forward names why a request went to the origin (RFC 9211, section 2.2).
func forward(r forebay.Reason) string {
	switch r {
	case forebay.ReasonExpired:
		return "stale"
	case forebay.ReasonRefreshed:
		return "request"
	}
	return "uri-miss"
}

// appendTTL rounds towards the past: a ttl never promises more than there is.
func appendTTL(b []byte, d time.Duration) []byte {
	s := d / time.Second
	if d < 0 && d%time.Second != 0 {
		s--
	}
	return strconv.AppendInt(append(b, "hit; ttl="...), int64(s), 10)
}
