package edge_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/edge"
	"github.com/forebay-cache/forebay/shared"
)

// A response with more tags than its CDN takes is reached by a purge of any of them.
func TestWhatHasTooManyTagsIsReached(t *testing.T) {
	tags := make([]string, 60)
	for i := range tags {
		tags[i] = fmt.Sprint("tag-", i)
	}
	h := http.Header{}
	if edge.Profiles["cloudfront"].Keep(h, edge.Response{Class: "c", Key: "c:k", Tags: tags, Lifetime: time.Minute}) {
		t.Error("60 tags are said to fit into 50")
	}
	has := strings.Split(h.Get("Cache-Tag"), ",")
	synctest.Test(t, func(t *testing.T) {
		cdn := &fakeCDN{}
		n := newNode(t, shared.NewMemory(), cdn, "a")
		defer n.close()
		n.settled(t)
		for _, tag := range []string{tags[0], tags[59]} {
			before := len(cdn.made())
			n.purged(t, n.invalidate(t, forebay.Tag(tag)), edge.Purged)
			for _, c := range cdn.made()[before:] {
				if !slices.ContainsFunc(c.tags, func(one string) bool { return slices.Contains(has, one) }) {
					t.Errorf("a purge of %s, %v, does not reach it: %v", tag, c.tags, has)
				}
			}
		}
	})
}

// No CDN keeps what sets a cookie, whatever else is said of it.
func TestCookiesAreNotKept(t *testing.T) {
	for vendor, p := range edge.Profiles {
		h := http.Header{"Set-Cookie": {"a=b"}, "Cache-Control": {"public, max-age=60"}}
		p.Keep(h, edge.Response{Class: "c", Key: "c:k", Lifetime: time.Minute})
		if said := fmt.Sprint(h); !strings.Contains(said, "no-store") && !strings.Contains(said, "private") || h.Get("Cache-Tag")+h.Get("Surrogate-Key") != "" {
			t.Errorf("%s: %s", vendor, said)
		}
	}
}
