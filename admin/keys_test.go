package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
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
