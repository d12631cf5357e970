package forebay_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"
)

func BenchmarkOtter(b *testing.B) {
	c := otter.Must(&otter.Options[string, []item]{MaximumSize: 100000, ExpiryCalculator: otter.ExpiryWriting[string, []item](time.Minute)})
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("organisation-", i)
		c.Set(keys[i], items(20))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.GetIfPresent(keys[i%1000])
	}
}
