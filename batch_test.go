package forebay_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
)

// Very many come to their end: each thousand is a call with a timeout of its own, and so it is without keys.
func TestGetManyInThousands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = time.Second
		c := open(t, forebay.Options{Classes: []forebay.Class{{Name: "items", LoadTimeout: timeout}, {Name: "mine", Private: true, LoadTimeout: timeout}}})
		calls := 0
		many := forebay.BatchBy(func(ctx context.Context, ids []int) ([]forebay.Result[int], error) {
			calls++
			select {
			case <-time.After(timeout - time.Millisecond):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			out := make([]forebay.Result[int], len(ids))
			for i, id := range ids {
				out[i].Value = -id
			}
			return out, nil
		})
		one := func(context.Context, int) (int, error) { t.Error("one was asked for"); return 0, nil }
		ids := make([]int, 3500)
		for i := range ids {
			ids[i] = i
		}
		for _, class := range []string{"items", "mine", "items/late"} {
			f, err := forebay.Wrap(c, class, one, many)
			if err != nil {
				t.Fatal(err)
			}
			if class == "items/late" {
				c.Close()
			}
			calls = 0
			results, err := f.GetMany(context.Background(), ids)
			if err != nil {
				t.Errorf("%s: %v", class, err)
			}
			for i, r := range results {
				if r.Value != -i {
					t.Fatalf("%s: %d is answered with %d", class, i, r.Value)
				}
			}
			if calls != 4 {
				t.Errorf("%s: %d calls for 3,500", class, calls)
			}
		}
	})
}

// Close ends, whatever loads do: those without a timeout have the default one then.
func TestCloseWhileALoadHasNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, forebay.Options{Classes: []forebay.Class{{Name: "endless", LoadTimeout: -1}}})
		block := make(chan struct{})
		defer close(block)
		f := wrap(t, c, "endless", func(context.Context, string) (string, error) { <-block; return "", nil }) // deaf to its context
		answered := make(chan error, 1)
		go func() { _, err := f.Get(context.Background(), "k"); answered <- err }()
		synctest.Wait()
		begun := time.Now()
		c.Close()
		if took := time.Since(begun); took != 30*time.Second {
			t.Errorf("closed after %s", took)
		}
		if err := <-answered; !errors.Is(err, forebay.ErrLoadTimeout) || !strings.Contains(err.Error(), "closed") {
			t.Error(err)
		}
	})
}
