package admin

import (
	"testing"
	"time"
)

func TestBucketsHoldTheirDurations(t *testing.T) {
	for d := time.Microsecond; d < time.Minute; d = d*11/10 + 1 {
		if end := upper(bucket(d)); end < d || float64(end) > float64(d)*1.3+2000 {
			t.Fatalf("%s is in the bucket that ends at %s", d, end)
		}
	}
}
