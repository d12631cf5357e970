package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/internal/redistest"
	"github.com/forebay-cache/forebay/redis"
)

// Callers with different credentials ask for the same paths, several at once: nobody ever sees another's
// answer, and each gets its own again.
func TestIsolation(t *testing.T) {
	t.Run("near only", func(t *testing.T) { isolation(t, forebay.Options{}) })
	t.Run("two nodes with Redis", func(t *testing.T) {
		server := redistest.Start(t)
		tier, err := redis.Open(t.Context(), redis.Options{URL: server.URL(), Budget: 500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tier.Close() })
		isolation(t, forebay.Options{Shared: tier, Secret: []byte("the nodes' secret")})
		if found := server.Do("KEYS", "*caller*"); found != "*0" {
			t.Errorf("keys name callers: %q", found)
		}
	})
}

func isolation(t *testing.T, c forebay.Options) {
	const callers, paths = 1000, 3
	o := httpcache.Options{Profile: httpcache.Safe, Rules: []httpcache.Rule{{Match: "GET /ruled", TTL: time.Minute}}}
	origin := func(w http.ResponseWriter, r *http.Request) {
		cookie, _ := r.Cookie("session")
		if cookie == nil {
			cookie = &http.Cookie{}
		}
		w.Header().Set("Cache-Control", "public, max-age=60")
		fmt.Fprintf(w, "for %s%s%s%s", r.Header.Get("Authorization"), cookie.Value, r.Header.Get("X-Api-Key"), r.URL.Query().Get("token"))
	}
	sites := []*site{newSiteOn(t, c, o, origin)}
	if c.Shared != nil {
		sites = append(sites, newSiteOn(t, c, o, origin)) // another node
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	who := make(chan int)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for i := range who {
				for j := range paths * 2 {
					if err := askAs(client, sites[(i+j)%len(sites)].url, i, j%paths); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := range callers {
		who <- i
	}
	close(who)
	all.Wait()
	asked := int64(0)
	for _, s := range sites {
		asked += s.calls.Load()
	}
	if asked < callers*paths || asked >= callers*paths*2 {
		t.Errorf("the origin was asked %d times for %d answers", asked, callers*paths)
	}
}

// askAs asks as one of many callers, who names himself in one of four ways.
func askAs(client *http.Client, base string, i, path int) error {
	token := fmt.Sprintf("caller-%d", i/4)
	target := base + []string{"/ruled", "/free", "/free/below"}[path]
	want := "for " + token
	if i%4 == 3 {
		target += "?token=" + token
	}
	req, err := http.NewRequest("GET", target, nil)
	if err != nil {
		return err
	}
	req.Host = "site.example" // the nodes are one site
	switch i % 4 {
	case 0:
		req.Header.Set("Authorization", "Bearer "+token)
		want = "for Bearer " + token
	case 1:
		req.SetBasicAuth(token, "x")
		want = "for " + req.Header.Get("Authorization")
	case 2:
		req.AddCookie(&http.Cookie{Name: "session", Value: token})
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || strings.TrimSpace(string(body)) != want {
		return fmt.Errorf("caller %d at %s got %q, want %q (%v; %s)", i, target, body, want, err, res.Header.Get("Cache-Status"))
	}
	return nil
}
