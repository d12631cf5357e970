package hits_test

import (
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay/internal/hits"
)

// Nothing is lost, however many count at once and however large the sums become.
func TestCounter(t *testing.T) {
	c := hits.New()
	const goroutines, each, saved = 8, 20_000, 3 * time.Hour
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for range each {
				c.Add(saved)
			}
		})
	}
	all.Wait()
	if n, total := c.Sum(); n != goroutines*each || total != goroutines*each*saved {
		t.Errorf("%d hits, %s", n, total)
	}
}
