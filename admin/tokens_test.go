package admin_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay/admin"
)

// Several tokens have names and roles: who reads sees keys and changes nothing, and what is done bears its name.
func TestTokensWithRoles(t *testing.T) {
	c, f := open(t)
	f.Get(context.Background(), "x")
	a := admin.New(c, quiet(admin.Options{Token: "alice/operate:one,grafana/read:two"}))
	t.Cleanup(a.Close)
	h := a.Handler()
	for _, test := range []struct {
		method, path, body, token string
		want                      int
	}{
		{"GET", "/api/keys", "", "one", 200}, {"GET", "/api/keys", "", "two", 200}, {"GET", "/api/keys", "", "three", 401}, {"GET", "/api/keys", "", "", 401},
		{"GET", "/api/keys", "", "alice/operate:one", 401}, {"GET", "/api/keys", "", "one,grafana/read:two", 401},
		{"POST", "/api/invalidate", `{"class":"c"}`, "two", 403}, {"POST", "/api/drill", `{"tier":"redis","for":"1s"}`, "two", 403},
		{"POST", "/api/invalidate", `{"class":"c"}`, "one", 200}, {"POST", "/api/invalidate", `{"class":"c"}`, "", 401},
	} {
		if w := request(h, test.method, test.path, test.body, "Authorization", "Bearer "+test.token); w.Code != test.want {
			t.Errorf("%s %s with %q: %d %s", test.method, test.path, test.token, w.Code, w.Body)
		}
	}
	items := request(h, "GET", "/api/activity", "", "Authorization", "Bearer two").Body.String()
	if !strings.Contains(items, `"by":"alice, `) {
		t.Errorf("who did it: %s", items)
	}
	var o admin.Overview
	if err := json.Unmarshal(request(h, "GET", "/api/overview", "", "Authorization", "Bearer two").Body.Bytes(), &o); err != nil || !o.May.Operate || o.May.Change || o.May.Why == "" {
		t.Errorf("%v %+v", err, o.May)
	}
	signIn := request(h, "POST", "/api/sign-in", `{"token":"two"}`)
	cookie, _, _ := strings.Cut(signIn.Header().Get("Set-Cookie"), ";")
	for path, want := range map[string]int{"/api/keys": 200, "/api/invalidate": 403} {
		method, body := "GET", ""
		if want == 403 {
			method, body = "POST", `{"class":"c"}`
		}
		if w := request(h, method, path, body, "Cookie", cookie); w.Code != want {
			t.Errorf("signed in, %s: %d %s", path, w.Code, w.Body)
		}
	}
}

// A token of any other form is one token, commas and colons included.
func TestOnePlainToken(t *testing.T) {
	c, _ := open(t)
	for _, text := range []string{"secret", "a,b", "alice/operate:one,b", "x/write:y", "a:b/read"} {
		a := admin.New(c, quiet(admin.Options{Token: text}))
		for given, want := range map[string]int{text: 200, "one": 401, "y": 401, "b": 401, "": 401} {
			if w := request(a.Handler(), "GET", "/api/keys", "", "Authorization", "Bearer "+given); w.Code != want {
				t.Errorf("%q given %q: %d", text, given, w.Code)
			}
		}
		a.Close()
	}
}

// A URL is invalidated where requests are cached; the receipt says what it covered.
func TestInvalidateURL(t *testing.T) {
	c, f := open(t)
	f.Get(context.Background(), "x")
	ask := func(o admin.Options, body string) *httptest.ResponseRecorder {
		o.Loopback = true
		a := admin.New(c, quiet(o))
		defer a.Close()
		return request(a.Handler(), "POST", "/api/invalidate", body)
	}
	if w := ask(admin.Options{}, `{"url":"http://a.test/x"}`); w.Code != 422 || !strings.Contains(w.Body.String(), "ask a gateway") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	tagged := admin.Options{URLTag: func(u *url.URL) string { return "uri:" + u.Host + u.Path }}
	for body, want := range map[string]int{
		`{"url":"http://a.test/x"}`: 200, `{"url":"/x"}`: 422, `{"url":"http://a.test/x","tag":"t"}`: 422, `{"url":"http://a.test/x","all":true}`: 422,
	} {
		if w := ask(tagged, body); w.Code != want {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	var r admin.Receipt
	if w := ask(admin.Options{}, `{"class":"c"}`); json.Unmarshal(w.Body.Bytes(), &r) != nil || r.Entries != 1 || r.Bytes == 0 || r.Nodes != 1 {
		t.Errorf("%s", w.Body)
	}
}
