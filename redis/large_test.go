package redis_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/internal/redistest"
)

// What is too large for the shared tier stays near, and is counted; it keeps nobody from anything.
func TestLargeValues(t *testing.T) {
	s, o := redistest.Start(t), &shop{}
	a := start(t, s.URL(), o)
	blob := func(n *node, name string) *forebay.Func[int, []byte] {
		f, err := forebay.Wrap(n.cache, "loose/"+name, func(_ context.Context, size int) ([]byte, error) {
			b := make([]byte, size)
			rand.Read(b)
			return b, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := blob(a, "blob")
	small, _ := f.Get(ctx, 1<<20-1000)
	for i := range 10 {
		if _, err := f.Get(ctx, 10<<20+i); err != nil {
			t.Fatal(err)
		}
		get(t, a.loose, "k")
	}
	eventually(t, 10*time.Second, "all are counted", func() bool { return a.cache.Stats().Shared.TooLarge == 10 })
	stats := a.cache.Stats()
	if sh := stats.Shared; sh.TooLarge != 10 || sh.Dropped+sh.Failed != 0 || stats.Mode != forebay.TwoTier {
		t.Errorf("%d too large, %d dropped, %d failed, %s", sh.TooLarge, sh.Dropped, sh.Failed, stats.Mode)
	}
	if again, err := f.Get(ctx, 10<<20); err != nil || len(again) != 10<<20 {
		t.Error(err)
	}
	b := start(t, s.URL(), o)
	if got, err := blob(b, "blob").Get(ctx, 1<<20-1000); err != nil || string(got) != string(small) {
		t.Error("what is not too large did not reach the other node", err)
	}
	c := start(t, s.URL(), o, func(opt *forebay.Options) { opt.SharedMax = 1000 })
	blob(c, "few").Get(ctx, 2000)
	eventually(t, 5*time.Second, "the option counts", func() bool { return c.cache.Stats().Shared.TooLarge == 1 })
}
