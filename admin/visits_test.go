package admin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay/admin"
)

// A browser gives the token once; its cookie stands for it, on this site alone.
func TestSigningIn(t *testing.T) {
	c, _ := open(t)
	a := admin.New(c, quiet(admin.Options{Token: "secret"}))
	defer a.Close()
	h := a.Handler()
	if w := request(h, "POST", "/api/sign-in", `{"token":"wrong"}`); w.Code != 401 || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("a wrong token: %d %v", w.Code, w.Header())
	}
	w := request(h, "POST", "/api/sign-in", `{"token":"secret"}`, "X-Forwarded-Proto", "https")
	cookie := w.Header().Get("Set-Cookie")
	for _, part := range []string{"HttpOnly", "SameSite=Strict", "Secure", "Max-Age=43200"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("the cookie lacks %s: %s", part, cookie)
		}
	}
	if w.Code >= 300 || strings.Contains(cookie, "secret") {
		t.Fatalf("%d %s", w.Code, cookie)
	}
	cookie, _, _ = strings.Cut(cookie, ";")
	for _, test := range []struct {
		name, method, path string
		headers            []string
		code               int
	}{
		{"reads keys", "GET", "/api/keys", []string{"Cookie", cookie}, 200},
		{"invalidates", "POST", "/api/invalidate", []string{"Cookie", cookie, "Sec-Fetch-Site", "same-origin"}, 200},
		{"from another site", "POST", "/api/invalidate", []string{"Cookie", cookie, "Sec-Fetch-Site", "cross-site"}, 403},
		{"with another cookie", "GET", "/api/keys", []string{"Cookie", cookie + "x"}, 401},
		{"with none", "GET", "/api/keys", nil, 401},
		{"signs in from another site", "POST", "/api/sign-in", []string{"Sec-Fetch-Site", "cross-site"}, 403},
	} {
		if w := request(h, test.method, test.path, `{"all":true}`, test.headers...); w.Code != test.code {
			t.Errorf("%s: %d %s, want %d", test.name, w.Code, w.Body, test.code)
		}
	}
	var items []admin.Item
	if err := json.Unmarshal(request(h, "GET", "/api/activity", "", "Authorization", "Bearer secret").Body.Bytes(), &items); err != nil {
		t.Fatal(err)
	}
	said := ""
	for _, i := range items {
		if i.Kind == "audit" {
			said += i.Text + " by " + i.By + "; "
		}
	}
	const by = "192.0.2.1:1234" // the address of httptest's requests
	if said != "a sign-in was refused by "+by+"; signed in by "+by+"; invalidated by "+by+"; " {
		t.Errorf("audit: %s", said)
	}
}

func TestWhatACallerMay(t *testing.T) {
	c, _ := open(t)
	for _, test := range []struct {
		name    string
		o       admin.Options
		public  bool
		operate bool
		signIn  bool
		why     string
	}{
		{"loopback", admin.Options{Loopback: true}, false, true, false, ""},
		{"elsewhere", admin.Options{}, false, false, false, "FOREBAY_ADMIN_TOKEN"},
		{"with a token to give", admin.Options{Token: "secret"}, false, false, true, "sign in"},
		{"the public listener", admin.Options{Loopback: true, Address: "http://127.0.0.1:9191"}, true, false, false, "http://127.0.0.1:9191"},
	} {
		a := admin.New(c, quiet(test.o))
		defer a.Close()
		h := a.Handler()
		if test.public {
			mux := http.NewServeMux()
			a.Register(mux)
			h = mux
		}
		var o admin.Overview
		if err := json.Unmarshal(request(h, "GET", "/api/overview", "").Body.Bytes(), &o); err != nil {
			t.Fatal(err)
		}
		if o.May.Operate != test.operate || o.May.SignIn != test.signIn || !strings.Contains(o.May.Why, test.why) {
			t.Errorf("%s: %+v", test.name, o.May)
		}
	}
}

// Attempts to sign in are bounded for each address, and do not push out what happened.
func TestManySignIns(t *testing.T) {
	c, _ := open(t)
	a := admin.New(c, quiet(admin.Options{Token: "secret"}))
	defer a.Close()
	h := a.Handler()
	request(h, "POST", "/api/invalidate", `{"all":true}`, "Authorization", "Bearer secret")
	limited := 0
	for range 2000 {
		switch w := request(h, "POST", "/api/sign-in", `{"token":"wrong"}`); w.Code {
		case 401:
		case 429:
			if limited++; w.Header().Get("Retry-After") == "" {
				t.Fatal("no Retry-After")
			}
		default:
			t.Fatalf("%d", w.Code)
		}
	}
	if limited < 1900 {
		t.Errorf("%d of 2000 attempts were refused for their number", limited)
	}
	items := request(h, "GET", "/api/activity", "", "Authorization", "Bearer secret").Body.String()
	if strings.Count(items, "a sign-in was refused") != 1 || !strings.Contains(items, `"count":2000`) || !strings.Contains(items, "invalidated") {
		t.Errorf("%.2000s", items)
	}
}

// Readers of the public listener do not take the seats of operators, nor do unknown ones the last on theirs.
func TestSeats(t *testing.T) {
	c, _ := open(t)
	a := admin.New(c, quiet(admin.Options{Token: "secret"}))
	mux := http.NewServeMux()
	a.Register(mux)
	public, operators := httptest.NewServer(mux), httptest.NewServer(a.Handler())
	defer public.Close()
	defer operators.Close()
	defer a.Close()
	client := &http.Client{Transport: &http.Transport{}}
	watch := func(s *httptest.Server, token string) int {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/api/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res.StatusCode
	}
	for _, s := range []*httptest.Server{public, operators} {
		last := 200
		for range 257 {
			if last = watch(s, ""); last != 200 {
				break
			}
		}
		if last != 503 {
			t.Errorf("the last of many readers: %d", last)
		}
		if code := watch(operators, "secret"); code != 200 {
			t.Errorf("an operator: %d", code)
		}
	}
}
