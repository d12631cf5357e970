package admin_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/shared"
)

// openNode is a node whose requests are keyed by their host, path and query.
func openNode(t *testing.T, tier shared.Tier, name string) (*admin.Admin, func(url string), *forebay.Cache) {
	t.Helper()
	c, err := forebay.Open(t.Context(), forebay.Options{Shared: tier, Node: name})
	if err != nil {
		t.Fatal(err)
	}
	f, err := forebay.Wrap(c, "page", func(_ context.Context, url string) (string, error) { return "page of " + url, nil },
		forebay.KeepBy(func(_ context.Context, url, _ string) forebay.Keep { return forebay.Keep{Tags: []string{"org"}} }))
	if err != nil {
		t.Fatal(err)
	}
	explain := func(r *http.Request) admin.Explanation {
		key := f.Key(r.Host + r.URL.RequestURI())
		e, stored := c.Entry(key)
		value := []byte("page of " + r.Host + r.URL.RequestURI())
		return admin.Explanation{Key: key, Class: e.Class, Stored: stored, Tags: e.Tags, Would: "miss", Start: value, Size: int64(len(value))}
	}
	a := admin.New(c, quiet(admin.Options{Shared: tier, Loopback: true, Explain: func(r *http.Request) admin.Explanation {
		e := explain(r)
		e.Class = "page"
		return e
	}}))
	h := a.Measure(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		f.Get(r.Context(), r.Host+r.URL.RequestURI())
	}))
	t.Cleanup(func() {
		a.Close()
		c.Close()
	})
	return a, func(url string) { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", url, nil)) }, c
}

func explainTo(t *testing.T, a *admin.Admin, question string) (e admin.Explanation) {
	t.Helper()
	w := request(a.Handler(), "POST", "/api/explain", question, "Content-Type", "application/json")
	if err := json.Unmarshal(w.Body.Bytes(), &e); w.Code != 200 || err != nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return e
}

// An explanation knows what the other nodes hold, what touched the entry last, and which part of an almost equal request
// differs; the value is shown to who asks for it.
func TestExplainAround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := shared.NewMemory()
		a, getA, cache := openNode(t, tier, "a")
		b, getB, _ := openNode(t, tier, "b")
		time.Sleep(5 * time.Second) // they hear each other
		const question = `{"url":"http://x.test/p?org=1"}`
		getB("http://x.test/p?org=1")
		time.Sleep(time.Second)
		e := explainTo(t, a, question)
		if len(e.Nodes) != 2 || !e.Nodes[0].Self || e.Nodes[0].Stored || e.Nodes[1].Name != "b" || !e.Nodes[1].Stored || e.Nodes[1].AgeSeconds < 1 || e.Nodes[1].TTLSeconds < 280 {
			t.Errorf("nodes %+v", e.Nodes)
		}
		if e.Value != nil || e.Invalidated != nil || e.Nearest != nil {
			t.Errorf("%+v", e)
		}
		getA("http://x.test/p?org=1")
		getA("http://x.test/p?org=2&page=1")
		e = explainTo(t, a, `{"url":"http://x.test/p?org=1","value":true}`)
		if e.Value == nil || e.Value.Text != "page of x.test/p?org=1" || e.Value.Cut || e.LoadMS == nil {
			t.Errorf("value %+v", e.Value)
		}
		e = explainTo(t, a, `{"url":"http://x.test/p?org=2"}`)
		if n := e.Nearest; n == nil || len(n.Differs) != 1 || n.Differs[0].Name != "query" || n.Differs[0].Value == "" || n.Key == "" {
			t.Errorf("nearest %+v", n)
		}
		e = explainTo(t, a, `{"url":"http://y.test/p?org=1"}`)
		if n := e.Nearest; n == nil || len(n.Differs) != 1 || n.Differs[0] != (admin.KeyPart{Name: "host", Value: "x.test"}) {
			t.Errorf("another host: %+v", n)
		}
		cache.Invalidate(t.Context(), forebay.Tag("somebody else"))
		request(b.Handler(), "POST", "/api/invalidate", `{"class":"page"}`, "Content-Type", "application/json")
		cache.Invalidate(t.Context(), forebay.Key("page:other"))
		time.Sleep(5 * time.Second)
		e = explainTo(t, b, question)
		if i := e.Invalidated; i == nil || i.Target != "class page" || i.By == "" || e.Stored || e.Nodes[1].Stored {
			t.Errorf("invalidated %+v, nodes %+v", i, e.Nodes)
		}
		if e := explainTo(t, a, question); e.Invalidated == nil || e.Invalidated.Target != "class page" {
			t.Errorf("on the node that heard of it: %+v", e.Invalidated)
		}
		did := ""
		for _, i := range a.Activity() {
			if i.Kind == "audit" {
				did += i.Node + ": " + i.Text + " " + i.Target
			}
		}
		if did != "b: invalidated class page" {
			t.Errorf("a tells of what operators did on b: %q", did)
		}
	})
}

// A node that hangs is said to say nothing, and the explanation comes.
func TestExplainWithADeafNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := shared.NewMemory()
		a, _, _ := openNode(t, tier, "a")
		b, _, _ := openNode(t, tier, "b")
		time.Sleep(5 * time.Second)
		b.Close()
		begun := time.Now()
		e := explainTo(t, a, `{"url":"http://x.test/p"}`)
		if len(e.Nodes) != 2 || e.Nodes[1].Error == "" || time.Since(begun) > 4*time.Second {
			t.Errorf("after %s: %+v", time.Since(begun), e.Nodes)
		}
	})
}

func TestValueOfBytes(t *testing.T) {
	c, _ := open(t)
	for _, test := range []struct {
		name, start  string
		size         int64
		text, base64 string
		cut          bool
	}{
		{"text", "grün", 5, "grün", "", false},
		{"cut in a character", "gr\xc3", 5, "gr", "", true},
		{"bytes", "\xff\x00", 2, "", "/wA=", false},
		{"nothing", "", 0, "", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := admin.New(c, quiet(admin.Options{Loopback: true, Explain: func(*http.Request) admin.Explanation {
				return admin.Explanation{Stored: true, Start: []byte(test.start), Size: test.size}
			}}))
			defer a.Close()
			e := explainTo(t, a, `{"url":"http://x.test/","value":true}`)
			if e.Value.Text != test.text || e.Value.Base64 != test.base64 || e.Value.Cut != test.cut {
				t.Errorf("%+v", e.Value)
			}
		})
	}
}

// What happened before a restart is there after it; a file that cannot be read is put aside.
func TestActivityIsKept(t *testing.T) {
	c, _ := open(t)
	file := filepath.Join(t.TempDir(), "activity.json")
	for i := range 3 {
		a := admin.New(c, quiet(admin.Options{Loopback: true, ActivityFile: file}))
		if n := len(a.Activity()); n != 2*i {
			t.Errorf("start %d: %d items", i, n)
		}
		request(a.Handler(), "POST", "/api/invalidate", `{"tag":"a"}`, "Content-Type", "application/json")
		items := a.Activity()
		if last := items[len(items)-1]; last.By == "" || last.Seq != uint64(len(items)) {
			t.Errorf("%+v", last)
		}
		a.Close()
	}
	if err := os.WriteFile(file, []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	a := admin.New(c, admin.Options{ActivityFile: file, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer a.Close()
	if n := len(a.Activity()); n != 0 || !strings.Contains(log.String(), "cannot be read") {
		t.Errorf("%d items; %s", n, log.String())
	}
	if text, err := os.ReadFile(file + ".unreadable"); err != nil || string(text) != "{broken" {
		t.Errorf("%q %v", text, err)
	}
}
