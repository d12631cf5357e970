package redistest_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/redistest"
)

func TestSetClock(t *testing.T) {
	s := redistest.StartTimed(t)
	at := func() time.Duration {
		seconds, err := strconv.ParseInt(s.Do("EVAL", "return redis.call('TIME')[1]", "0"), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return time.Until(time.Unix(seconds, 0)).Round(time.Minute)
	}
	for _, off := range []time.Duration{0, time.Hour, -time.Hour} {
		s.SetClock(off)
		if got := at(); got != off {
			t.Errorf("%s: it is off by %s", off, got)
		}
	}
}
