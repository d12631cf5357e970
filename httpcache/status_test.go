package httpcache_test

import (
	"net/http"
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

// Every call of the origin is counted, as a load or as passed on, with its failures; and the trace of a request that
// was passed on has it.
func TestEveryCallOfTheOriginIsCounted(t *testing.T) {
	s := newSite(t, httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /bypass", Bypass: true}}}, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/kept":
			w.Header().Set("Cache-Control", "max-age=60")
		case r.URL.Query().Has("fail"):
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.Header().Set("Cache-Control", "private")
		}
	})
	for range 20 {
		for _, path := range []string{"/kept", "/private", "/bypass", "/bypass?fail"} {
			s.get(path)
		}
		s.do("POST", "/private", "x")
	}
	var calls, failed uint64
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && calls != uint64(s.calls.Load()); time.Sleep(time.Millisecond) {
		calls, failed = 0, 0
		for _, c := range s.cache.Stats().Classes {
			n, f := c.OriginCalls()
			calls, failed = calls+n, failed+f
		}
	}
	if want := uint64(s.calls.Load()); calls != want || want != 1+4*20 || failed != 20 {
		t.Errorf("%d calls counted, %d failed; the origin had %d", calls, failed, want)
	}
}
