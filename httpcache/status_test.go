package httpcache_test

import (
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

func TestStatus(t *testing.T) {
	for _, test := range []struct {
		outcome forebay.Outcome
		want    string
	}{
		{forebay.Outcome{Status: forebay.Hit, TTL: 812*time.Second + 999*time.Millisecond}, "forebay; hit; ttl=812; detail=near"},
		{forebay.Outcome{Status: forebay.Hit, Tier: forebay.TierShared, TTL: time.Second}, "forebay; hit; ttl=1; detail=shared"},
		{forebay.Outcome{Status: forebay.Hit, TTL: time.Second, Unconfirmed: true}, "forebay; hit; ttl=1; detail=near; unconfirmed"},
		{forebay.Outcome{Status: forebay.StaleHit, TTL: -2500 * time.Millisecond}, "forebay; hit; ttl=-3; detail=stale"},
		{forebay.Outcome{Status: forebay.Miss, Reason: forebay.ReasonAbsent, Stored: true}, "forebay; fwd=uri-miss; stored"},
		{forebay.Outcome{Status: forebay.Miss, Reason: forebay.ReasonInvalidated}, "forebay; fwd=uri-miss"},
		{forebay.Outcome{Status: forebay.Miss, Reason: forebay.ReasonExpired, Stored: true}, "forebay; fwd=stale; stored"},
		{forebay.Outcome{Status: forebay.Coalesced}, "forebay; fwd=uri-miss; collapsed"},
		{forebay.Outcome{Status: forebay.Bypass, Reason: forebay.ReasonNoCaller}, "forebay; fwd=bypass; detail=no-caller"},
	} {
		if got := httpcache.Status(test.outcome); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.outcome, got, test.want)
		}
	}
}
