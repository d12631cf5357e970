package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/shared"
)

// A mutedLog is a tier whose log cannot be read while it is muted.
type mutedLog struct {
	*shared.Memory
	muted atomic.Bool
}

func (m *mutedLog) Read(ctx context.Context, head shared.Stamp) (shared.Reading, error) {
	if m.muted.Load() {
		return shared.Reading{}, errors.New("muted")
	}
	return m.Memory.Read(ctx, head)
}

func (m *mutedLog) GetAndRead(ctx context.Context, key string, head shared.Stamp) ([]byte, shared.Reading, error) {
	if m.muted.Load() {
		return nil, shared.Reading{}, errors.New("muted")
	}
	return m.Memory.GetAndRead(ctx, key, head)
}

// What a strict class loads because it cannot be confirmed is a miss of its key, once a request, and says why:
// also for who waited for a load that had begun too early.
func TestKeysThatCannotBeConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := &mutedLog{Memory: shared.NewMemory()}
		c, err := forebay.Open(t.Context(), forebay.Options{Shared: tier, SelfTest: -1, Classes: []forebay.Class{{Name: "strict", Strict: true}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		started, goOn := make(chan struct{}, 3), make(chan struct{}, 3)
		f, err := forebay.Wrap(c, "strict", func(context.Context, string) (string, error) {
			started <- struct{}{}
			<-goOn
			return "value", nil
		})
		if err != nil {
			t.Fatal(err)
		}
		a := admin.New(c, quiet(admin.Options{Token: "token"}))
		defer a.Close()
		h := a.Measure(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.Get(r.Context(), "k")
		}))
		goOn <- struct{}{}
		f.Get(t.Context(), "k") // it is stored
		<-started
		tier.muted.Store(true)
		done := make(chan struct{}, 2)
		for range 2 {
			time.Sleep(time.Millisecond) // what began before it came will not do
			go func() {
				request(h, "GET", "/", "")
				done <- struct{}{}
			}()
			synctest.Wait() // the first loads; the second waits for it, because it began too early
		}
		<-started
		close(goOn)
		<-done
		<-done
		var keys admin.Keys
		mux := http.NewServeMux()
		a.RegisterAll(mux)
		if err := json.Unmarshal(request(mux, "GET", "/api/keys", "", "Authorization", "Bearer token").Body.Bytes(), &keys); err != nil {
			t.Fatal(err)
		}
		if len(keys.Missing) != 1 || keys.Missing[0].Why != "unconfirmed" || keys.Missing[0].Count != 2 {
			t.Errorf("%+v %s", keys, request(mux, "GET", "/api/keys", "", "Authorization", "Bearer token").Body)
		}
	})
}

type loud struct{ N int }

// MarshalJSON panics.
func (loud) MarshalJSON() ([]byte, error) { panic("not me") }

// The value of an entry is shown to who asks for it, and a type that panics takes nothing with it.
func TestEntryValues(t *testing.T) {
	c, f := open(t)
	g, err := forebay.Wrap(c, "unused", func(_ context.Context, n int) (loud, error) { return loud{n}, nil })
	if err != nil {
		t.Fatal(err)
	}
	a := admin.New(c, quiet(admin.Options{Loopback: true}))
	defer a.Close()
	h := a.Measure(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f.Do(r.Context(), r.URL.Query().Get("p")) }))
	for _, p := range []string{"a", "b", "b", strings.Repeat("x", 70_000)} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?p="+p, nil))
	}
	g.Get(t.Context(), 1)
	ask := func(query string) (e admin.Entries) {
		w := request(a.Handler(), "GET", "/api/entries?"+query, "")
		if err := json.Unmarshal(w.Body.Bytes(), &e); w.Code != 200 || err != nil {
			t.Fatalf("%s: %d %s", query, w.Code, w.Body)
		}
		return e
	}
	if e := ask("key=c:a,&value=true"); e.Value == nil || e.Value.Text != `"value of a"` || e.Value.Cut {
		t.Errorf("%+v", e.Value)
	}
	if e := ask("key=c:a,"); e.Value != nil {
		t.Errorf("shown unasked: %+v", e.Value)
	}
	if e := ask("value=true&" + url.Values{"key": {g.Key(1)}}.Encode()); e.Value == nil || !strings.Contains(e.Value.Text, "panics") {
		t.Errorf("%+v", e.Value)
	}
	if e := ask("key=c:gone,&value=true"); e.Value != nil || e.Count != 0 {
		t.Errorf("%+v", e)
	}
	e := ask("sort=asked")
	if e.Entries[0].Key != "c:b," || e.Entries[0].Asked != 2 || e.Entries[len(e.Entries)-1].Asked != 0 {
		t.Errorf("%+v", e.Entries)
	}
	long := ""
	for _, one := range e.Entries {
		if len(one.Key) > 1000 || strings.Contains(one.Key, "xxxx") {
			long = one.Key
		}
	}
	if long != "" {
		if v := ask("value=true&" + url.Values{"key": {long}}.Encode()).Value; v == nil || !v.Cut || len(v.Text) != 64<<10 {
			t.Errorf("a long one: %v", v)
		}
	}
	if w := request(a.Handler(), "GET", "/api/entries?value=true", ""); w.Code != 422 {
		t.Errorf("the value of no key: %d", w.Code)
	}
}
