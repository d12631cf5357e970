package httpcache_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

func TestMissThenHit(t *testing.T) {
	var n atomic.Int64
	s := newSite(t, httpcache.Options{}, saying(&n, "Cache-Control", "max-age=60", "Etag", `"v1"`))
	first, second := s.get("/a?b=c"), s.get("/a?b=c")
	if first.how() != "forebay; fwd=uri-miss; stored" || first.header.Get("Age") != "" {
		t.Errorf("first: %q, Age %q", first.how(), first.header.Get("Age"))
	}
	if !strings.HasPrefix(second.how(), "forebay; hit; ttl=5") || second.body != "answer 1" || second.header.Get("Age") != "0" {
		t.Errorf("second: %q, %q, Age %q", second.how(), second.body, second.header.Get("Age"))
	}
	if head := s.do("HEAD", "/a?b=c", ""); head.body != "" || head.header.Get("Content-Length") != "8" || !strings.Contains(head.how(), "hit") {
		t.Errorf("HEAD: %q, %v", head.how(), head.header)
	}
	s.wantCalls(1)
	if other := s.get("/a?b=d"); other.body != "answer 2" {
		t.Errorf("another query: %q", other.body)
	}
}

func TestWhatIsStored(t *testing.T) {
	const long = "max-age=60"
	rule := []httpcache.Rule{{Match: "GET /ruled", TTL: time.Minute}, {Match: "GET /override", TTL: time.Minute, Override: true}, {Match: "GET /bypass", Bypass: true}}
	tests := []struct {
		name    string
		profile httpcache.Profile
		path    string
		status  int
		fields  []string
		request []string
		hit     bool
	}{
		{"explicit", "rfc", "/", 200, []string{"Cache-Control", long}, nil, true},
		{"nothing said", "rfc", "/", 200, nil, nil, false},
		{"nothing said, by rule", "rfc", "/ruled", 200, nil, nil, true},
		{"nothing said, by rule, but an error", "rfc", "/ruled", 404, nil, nil, false},
		{"no-store, in spite of the rule", "safe", "/ruled", 200, []string{"Cache-Control", "no-store"}, nil, false},
		{"no-store, overridden", "safe", "/override", 200, []string{"Cache-Control", "no-store"}, nil, true},
		{"private, overridden", "safe", "/override", 200, []string{"Cache-Control", "private"}, nil, true},
		{"a cookie is not overridden", "safe", "/override", 200, []string{"Set-Cookie", "a=b"}, nil, false},
		{"bypass", "rfc", "/bypass", 200, []string{"Cache-Control", long}, nil, false},
		{"private", "rfc", "/", 200, []string{"Cache-Control", "private, " + long}, nil, false},
		{"private fields only", "rfc", "/", 200, []string{"Cache-Control", `private="X-A", ` + long}, nil, true},
		{"Vary: *", "rfc", "/", 200, []string{"Cache-Control", long, "Vary", "*"}, nil, false},
		{"cookie, safe", "safe", "/", 200, []string{"Cache-Control", long, "Set-Cookie", "a=b"}, nil, false},
		{"cookie, rfc", "rfc", "/", 200, []string{"Cache-Control", long, "Set-Cookie", "a=b"}, nil, true},
		{"error, safe", "safe", "/", 404, []string{"Cache-Control", long}, nil, false},
		{"error, rfc", "rfc", "/", 404, []string{"Cache-Control", long}, nil, true},
		{"authorization, rfc", "rfc", "/", 200, []string{"Cache-Control", long}, []string{"Authorization", "Bearer a"}, false},
		{"authorization, public, rfc", "rfc", "/", 200, []string{"Cache-Control", "public, " + long}, []string{"Authorization", "Bearer a"}, true},
		{"authorization, safe: an entry of one's own", "safe", "/", 200, []string{"Cache-Control", long}, []string{"Authorization", "Bearer a"}, true},
		{"targeted", "rfc", "/", 200, []string{"Cache-Control", "no-store", "CDN-Cache-Control", long}, nil, true},
		{"must-understand, understood", "rfc", "/", 200, []string{"Cache-Control", "must-understand, no-store, " + long}, nil, true},
		{"must-understand, not understood", "rfc", "/", 299, []string{"Cache-Control", "must-understand, " + long}, nil, false},
		{"heuristic", "rfc", "/", 200, []string{"Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"}, nil, true},
		{"the client says no-store", "rfc", "/", 200, []string{"Cache-Control", long}, []string{"Cache-Control", "no-store"}, false},
		{"Pragma: no-cache", "rfc", "/", 200, []string{"Cache-Control", long}, []string{"Pragma", "no-cache"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, httpcache.Options{Profile: test.profile, Rules: rule}, func(w http.ResponseWriter, r *http.Request) {
				for i := 0; i < len(test.fields); i += 2 {
					w.Header().Add(test.fields[i], test.fields[i+1])
				}
				w.WriteHeader(test.status)
				io.WriteString(w, "x")
			})
			s.get(test.path, test.request...)
			second := s.get(test.path, test.request...)
			if hit := strings.Contains(second.how(), "; hit"); hit != test.hit || (s.calls.Load() == 1) != test.hit {
				t.Errorf("%q after %d calls", second.how(), s.calls.Load())
			}
		})
	}
}

func TestValidation(t *testing.T) {
	version := atomic.Int64{}
	version.Store(1)
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		tag := fmt.Sprintf(`"v%d"`, version.Load())
		w.Header().Set("Etag", tag)
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("X-Call", "new")
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("X-Call", "old")
		fmt.Fprintf(w, "version %d", version.Load())
	})
	s.get("/")
	again := s.get("/")
	if again.body != "version 1" || again.how() != "forebay; fwd=stale; fwd-status=304; stored" || again.header.Get("X-Call") != "new" {
		t.Errorf("validated: %q, %q, %q", again.how(), again.body, again.header.Get("X-Call"))
	}
	if a := s.get("/", "If-None-Match", `"v1"`); a.status != 304 || a.body != "" {
		t.Errorf("validated for a client that has it: %d", a.status)
	}
	version.Store(2)
	if a := s.get("/", "If-None-Match", `"v1"`); a.status != 200 || a.body != "version 2" {
		t.Errorf("changed: %d, %q", a.status, a.body)
	}
	s.wantCalls(4)
}

// A 304 may say that a response varies, and then what is stored is one variant (RFC 9111, section 3.2).
func TestA304ThatAddsVary(t *testing.T) {
	for _, profile := range []httpcache.Profile{httpcache.Safe, httpcache.RFC} {
		s := newSite(t, httpcache.Options{Profile: profile}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"1"`)
			language := r.Header.Get("Accept-Language")
			if r.Header.Get("If-None-Match") != "" {
				w.Header().Set("Cache-Control", "max-age=60")
				w.Header().Set("Vary", "Accept-Language")
				if language == "de" {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				w.Header().Set("Etag", `"2"`)
			} else {
				w.Header().Set("Cache-Control", "no-cache")
			}
			io.WriteString(w, language)
		})
		s.get("/", "Accept-Language", "de")
		s.get("/", "Accept-Language", "de")
		for _, language := range []string{"fr", "de", "fr"} {
			if a := s.get("/", "Accept-Language", language); a.body != language {
				t.Errorf("%v: who asks for %s gets %q (%s)", profile, language, a.body, a.how())
			}
		}
	}
}

func TestClientsConditions(t *testing.T) {
	const modified = "Mon, 02 Jan 2006 15:04:05 GMT"
	var n atomic.Int64
	s := newSite(t, httpcache.Options{}, saying(&n, "Cache-Control", "max-age=60", "Etag", `W/"a,b"`, "Last-Modified", modified))
	s.get("/")
	tests := []struct {
		name, field, value string
		status             int
	}{
		{"tag", "If-None-Match", `W/"a,b"`, 304},
		{"weak comparison", "If-None-Match", `"a,b"`, 304},
		{"one of several", "If-None-Match", `"x", W/"a,b"`, 304},
		{"any", "If-None-Match", "*", 304},
		{"another", "If-None-Match", `"a"`, 200},
		{"since then", "If-Modified-Since", modified, 304},
		{"since then, in the older form", "If-Modified-Since", "Monday, 02-Jan-06 15:04:05 GMT", 304},
		{"since before", "If-Modified-Since", "Sun, 01 Jan 2006 15:04:05 GMT", 200},
		{"no date", "If-Modified-Since", "yesterday", 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if a := s.get("/", test.field, test.value); a.status != test.status || !strings.Contains(a.how(), "hit") {
				t.Errorf("%d, %q", a.status, a.how())
			}
		})
	}
	if a := s.get("/", "If-Match", `"x"`); !strings.Contains(a.how(), "fwd=bypass") { // for the origin alone
		t.Errorf("If-Match: %q", a.how())
	}
}

func TestVariants(t *testing.T) {
	var n atomic.Int64
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Language, X-Plan")
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "%s %s %d", r.Header.Get("Accept-Language"), r.Header.Get("X-Plan"), n.Add(1))
	})
	de := s.get("/", "Accept-Language", "de, en;q=0.5").body
	s.get("/", "Accept-Language", "fr")
	s.get("/", "Accept-Language", "fr", "X-Plan", "gold")
	s.wantCalls(3)
	for _, same := range []string{"de, en;q=0.5", "de,en; q=0.5", "en;q=0.50, DE", "de;q=1.0, en;q=0.50"} {
		if a := s.get("/", "Accept-Language", same); a.body != de {
			t.Errorf("%q: %q, %q", same, a.body, a.how())
		}
	}
	if a := s.get("/", "Accept-Language", "de"); a.how() != "forebay; fwd=vary-miss; stored" {
		t.Errorf("a new variant: %q", a.how())
	}
	s.do("DELETE", "/", "")
	if a := s.get("/", "Accept-Language", "fr"); strings.Contains(a.how(), "hit") {
		t.Errorf("a variant survived an unsafe request: %q", a.how())
	}
}

// A request that comes while another variant is on its way does not get that one, whose Vary comes only with it.
func TestWhoWaitsForAnotherVariant(t *testing.T) {
	begun, goOn := make(chan struct{}, 2), make(chan struct{})
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-goOn
		w.Header().Set("Vary", "Accept-Language")
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, r.Header.Get("Accept-Language"))
	})
	var both sync.WaitGroup
	for i, language := range []string{"de", "fr"} {
		both.Go(func() {
			if a := s.get("/", "Accept-Language", language); a.body != language {
				t.Errorf("who asked for %s got %q (%s)", language, a.body, a.how())
			}
		})
		if i == 0 {
			<-begun // the second one comes while the first is loaded
		}
	}
	s.waiting(1)
	close(goOn)
	both.Wait()
	s.wantCalls(2)
}

func TestRanges(t *testing.T) {
	const text = "0123456789abcdefghij"
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Etag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	})
	t.Run("of a whole one", func(t *testing.T) {
		s.get("/whole")
		tests := []struct {
			name, field, ifRange string
			status               int
			want                 string
		}{
			{"first ten", "bytes=0-9", "", 206, text[:10]},
			{"from ten", "bytes=10-", "", 206, text[10:]},
			{"last three", "bytes=-3", "", 206, text[17:]},
			{"past the end", "bytes=18-99", "", 206, text[18:]},
			{"beyond the end", "bytes=20-", "", 416, ""},
			{"still the same", "bytes=0-1", `"v1"`, 206, "01"},
			{"another by now", "bytes=0-1", `"v0"`, 200, text},
			{"several: the whole", "bytes=0-1,4-5", "", 200, text},
			{"another unit", "lines=0-1", "", 200, text},
		}
		calls := s.calls.Load()
		for _, test := range tests {
			fields := []string{"Range", test.field}
			if test.ifRange != "" {
				fields = append(fields, "If-Range", test.ifRange)
			}
			if a := s.get("/whole", fields...); a.status != test.status || a.body != test.want || !strings.Contains(a.how(), "hit") {
				t.Errorf("%s: %d %q %q %q", test.name, a.status, a.body, a.how(), a.header.Get("Content-Range"))
			}
		}
		s.wantCalls(calls)
	})
	t.Run("a part of what has changed is not sent", func(t *testing.T) {
		if a := s.get("/changed", "Range", "bytes=0-4", "If-Range", `"v0"`); a.status != 200 || a.body != text {
			t.Errorf("%d %q %q", a.status, a.body, a.how())
		}
		if a := s.get("/unchanged", "Range", "bytes=0-4", "If-Range", `"v1"`); a.status != 206 || a.body != text[:5] {
			t.Errorf("%d %q %q", a.status, a.body, a.how())
		}
	})
	t.Run("parts are stored, joined and completed", func(t *testing.T) {
		s.get("/parts", "Range", "bytes=0-4")
		if a := s.get("/parts", "Range", "bytes=1-3"); a.status != 206 || a.body != "123" || !strings.Contains(a.how(), "hit") || a.header.Get("Content-Range") != "bytes 1-3/20" {
			t.Errorf("inside a part: %d %q %q %q", a.status, a.body, a.how(), a.header.Get("Content-Range"))
		}
		if a := s.get("/parts", "Range", "bytes=5-9"); a.how() != "forebay; fwd=partial; stored" || a.body != "56789" {
			t.Errorf("the next part: %q %q", a.body, a.how())
		}
		if a := s.get("/parts", "Range", "bytes=3-7"); a.body != "34567" || !strings.Contains(a.how(), "hit") {
			t.Errorf("across both: %q %q", a.body, a.how())
		}
		if a := s.get("/parts"); a.status != 200 || a.body != text || s.last().Header.Get("Range") != "bytes=10-" || s.last().Header.Get("If-Range") != `"v1"` {
			t.Errorf("completed: %d %q, asked for %q", a.status, a.body, s.last().Header.Get("Range"))
		}
		if a := s.get("/parts"); a.body != text || !strings.Contains(a.how(), "hit") {
			t.Errorf("completed, again: %q %q", a.body, a.how())
		}
	})
}

func TestUnsafeMethodsInvalidate(t *testing.T) {
	var n atomic.Int64
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "GET" {
			saying(&n, "Cache-Control", "max-age=60", "Cache-Groups", `"news", "all"`)(w, r)
			return
		}
		for _, name := range []string{"Location", "Content-Location", "Cache-Group-Invalidation"} {
			if v := r.Header.Get("Say-" + name); v != "" {
				w.Header().Set(name, v)
			}
		}
		if r.Header.Get("Fail") != "" {
			w.WriteHeader(500)
		}
	})
	tests := []struct {
		name, method, path string
		fields             []string
		gone               bool
	}{
		{"its own URI", "PUT", "/a?x=1", nil, true},
		{"an unknown method", "M-SEARCH", "/a?x=1", nil, true},
		{"another URI", "PUT", "/a?x=2", nil, false},
		{"a failure", "PUT", "/a?x=1", []string{"Fail", "1"}, false},
		{"a safe method", "OPTIONS", "/a?x=1", nil, false},
		{"Location", "POST", "/b", []string{"Say-Location", "/a?x=1"}, true},
		{"Content-Location, relative", "POST", "/b", []string{"Say-Content-Location", "a?x=1"}, true},
		{"Location elsewhere", "POST", "/b", []string{"Say-Location", "http://elsewhere.example/a?x=1"}, false},
		{"a group", "POST", "/b", []string{"Say-Cache-Group-Invalidation", `"news"`}, true},
		{"a group in another case", "POST", "/b", []string{"Say-Cache-Group-Invalidation", `"News"`}, false},
		{"a group, on a safe method", "OPTIONS", "/b", []string{"Say-Cache-Group-Invalidation", `"news"`}, false},
		{"no list of strings", "POST", "/b", []string{"Say-Cache-Group-Invalidation", `news`}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.get("/a?x=1")
			s.do(test.method, test.path, "", test.fields...)
			if a := s.get("/a?x=1"); strings.Contains(a.how(), "hit") == test.gone {
				t.Errorf("then: %q", a.how())
			}
		})
	}
}

func TestTags(t *testing.T) {
	var n atomic.Int64
	s := newSite(t, httpcache.Options{}, saying(&n, "Cache-Control", "max-age=60", "Cache-Tag", "one, two", "Surrogate-Key", "three four", "Cache-Groups", `"five"`))
	for _, tag := range []string{"one", "two", "three", "four", "five"} {
		s.get("/")
		if _, err := s.cache.Invalidate(t.Context(), forebay.Tag(tag)); err != nil {
			t.Fatal(err)
		}
		if a := s.get("/"); strings.Contains(a.how(), "hit") {
			t.Errorf("after the tag %s: %q", tag, a.how())
		}
	}
	s.get("/")
	if _, err := s.cache.Expire(t.Context(), forebay.Tag("one")); err != nil {
		t.Fatal(err)
	}
	if a := s.get("/"); a.how() != "forebay; fwd=stale; stored; detail=invalidated" {
		t.Errorf("expired by tag: %q", a.how())
	}
}

// stalely answers with something that is stale at once, as told by its fields.
func stalely(t *testing.T, cacheControl string, o httpcache.Options) (*site, *atomic.Int64, *atomic.Int64) {
	var n, status atomic.Int64
	s := newSite(t, o, func(w http.ResponseWriter, r *http.Request) {
		switch code := status.Load(); code {
		case 0:
			saying(&n, "Cache-Control", cacheControl)(w, r)
		case -1:
			httpcache.Fail(w, errors.New("away"))
		default:
			w.WriteHeader(int(code))
		}
	})
	s.get("/")
	return s, &n, &status
}

func TestStale(t *testing.T) {
	t.Run("while it is loaded once behind", func(t *testing.T) {
		s, n, _ := stalely(t, "max-age=0, stale-while-revalidate=60", httpcache.Options{})
		a := s.get("/")
		if a.body != "answer 1" || !strings.HasSuffix(a.how(), "detail=stale") {
			t.Errorf("%q, %q", a.body, a.how())
		}
		for n.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
	})
	t.Run("if the origin answers with an error", func(t *testing.T) {
		s, _, status := stalely(t, "max-age=0, stale-if-error=60", httpcache.Options{})
		status.Store(503)
		if a := s.get("/"); a.status != 200 || a.body != "answer 1" || !strings.HasSuffix(a.how(), "detail=stale; fwd=stale; fwd-status=503") {
			t.Errorf("%d, %q, %q", a.status, a.body, a.how())
		}
		status.Store(404)
		if a := s.get("/"); a.status != 404 {
			t.Errorf("a 404 is an answer: %d", a.status)
		}
	})
	t.Run("not if nobody allows it", func(t *testing.T) {
		s, _, status := stalely(t, "max-age=0, stale-while-revalidate=0, stale-if-error=0, x", httpcache.Options{})
		status.Store(503)
		if a := s.get("/"); a.status != 503 {
			t.Errorf("%d, %q", a.status, a.how())
		}
	})
	t.Run("if the origin is away", func(t *testing.T) {
		s, _, status := stalely(t, "max-age=0, stale-if-error=60", httpcache.Options{})
		status.Store(-1)
		if a := s.get("/"); a.status != 200 || a.body != "answer 1" {
			t.Errorf("%d, %q", a.status, a.how())
		}
		if a := s.get("/other"); a.status != 502 || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("with nothing stored: %d, %q", a.status, a.body)
		}
	})
	t.Run("if the load takes longer than the class waits", func(t *testing.T) {
		var slow atomic.Bool
		ended := make(chan struct{})
		s := newSiteOn(t, forebay.Options{Classes: []forebay.Class{{Name: "http", Wait: 20 * time.Millisecond}}}, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
			if slow.Load() {
				<-ended
			}
			w.Header().Set("Cache-Control", "max-age=0, stale-if-error=60")
			io.WriteString(w, "answer")
		})
		defer close(ended)
		s.get("/")
		slow.Store(true)
		begun := time.Now() // the load itself would end after 30 s
		if a := s.get("/"); a.body != "answer" || !strings.Contains(a.how(), "detail=stale") || time.Since(begun) > 10*time.Second {
			t.Errorf("%q, %q, after %s", a.body, a.how(), time.Since(begun))
		}
	})
	t.Run("if the answer breaks off", func(t *testing.T) {
		whole, half := strings.Repeat("whole", 20_000), strings.Repeat("half ", 10_000)
		var broken atomic.Bool
		s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=0, stale-if-error=60")
			if !broken.Load() {
				io.WriteString(w, whole)
				return
			}
			io.WriteString(w, half)
			http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond) // longer than a head waits for the first of its body
			panic(http.ErrAbortHandler)
		})
		s.get("/")
		broken.Store(true)
		if a := s.get("/"); a.err != nil || a.body != whole || !strings.Contains(a.how(), "detail=stale") {
			t.Errorf("%d bytes, %v, %q", len(a.body), a.err, a.how())
		}
		if a := s.get("/other"); a.err == nil {
			t.Errorf("with nothing stored: %d bytes of %d were taken for whole", len(a.body), len(whole))
		}
	})
	t.Run("not if the answer is too large to be stored", func(t *testing.T) {
		const large, part = 100 << 10, 512 // two parts fill what may be stored, to the byte
		var size atomic.Int64
		s := newSite(t, httpcache.Options{MaxBody: 1 << 10}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=0, stale-if-error=60")
			for n := int64(0); n < size.Load(); n += part {
				if n == 2*part {
					time.Sleep(20 * time.Millisecond) // until it is waited for
				}
				io.WriteString(w, strings.Repeat("x", part))
			}
		})
		size.Store(part)
		s.get("/")
		size.Store(large)
		if a := s.get("/"); a.err != nil || len(a.body) != large {
			t.Errorf("%d bytes, %v", len(a.body), a.err)
		}
	})
	t.Run("only if cached", func(t *testing.T) {
		var n atomic.Int64
		s := newSite(t, httpcache.Options{}, saying(&n, "Cache-Control", "max-age=60"))
		if a := s.get("/", "Cache-Control", "only-if-cached"); a.status != 504 {
			t.Errorf("%d", a.status)
		}
		s.get("/")
		if a := s.get("/", "Cache-Control", "only-if-cached"); a.status != 200 {
			t.Errorf("%d", a.status)
		}
	})
}

func TestQuery(t *testing.T) {
	var n atomic.Int64
	s := newSite(t, httpcache.Options{Profile: httpcache.Safe, Rules: []httpcache.Rule{
		{Match: "POST /chat", TTL: time.Minute, BodyKey: &httpcache.BodyKey{Ignore: []string{"id", "meta.trace", "turns.*.id"}, MaxBytes: 200}},
	}}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method == "QUERY" {
			w.Header().Set("Cache-Control", "max-age=60")
		}
		fmt.Fprintf(w, "%d %s", n.Add(1), body)
	})
	const json = "application/json"
	ask := func(method, path, body string, fields ...string) answer {
		return s.do(method, path, body, append([]string{"Content-Type", json}, fields...)...)
	}
	first := ask("POST", "/chat", `{"q": 1.0, "id": 7, "turns": [{"id": 1, "t": "a"}], "meta": {"trace": "x", "k": 1}}`)
	tests := []struct {
		name, method, path, body string
		hit                      bool
	}{
		{"the order and the space do not count", "POST", "/chat", `{"meta":{"k":1},"turns":[{"t":"a"}],"q":1.0}`, true},
		{"ignored fields do not count", "POST", "/chat", `{"q":1.0,"id":8,"turns":[{"t":"a","id":5}],"meta":{"k":1,"trace":"y"}}`, true},
		{"a number counts as it is written", "POST", "/chat", `{"q":1,"turns":[{"t":"a"}],"meta":{"k":1}}`, false},
		{"a name twice bypasses", "POST", "/chat", `{"q":1.0,"q":1.0}`, false},
		{"no JSON bypasses", "POST", "/chat", `q=1.0`, false},
		{"two values bypass", "POST", "/chat", `{} {}`, false},
		{"lone surrogates bypass", "POST", "/chat", `{"q":"\ud800"}`, false},
		{"too large bypasses", "POST", "/chat", `{"q":"` + strings.Repeat("x", 200) + `"}`, false},
		{"an unruled POST is not a query", "POST", "/other", `{"q":1.0}`, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := ask(test.method, test.path, test.body)
			if hit := strings.Contains(a.how(), "hit"); hit != test.hit || hit && a.body != first.body {
				t.Errorf("%q %q", a.how(), a.body)
			}
			if !test.hit && !strings.HasSuffix(a.body, test.body) {
				t.Errorf("the origin got %q", a.body)
			}
			if b := ask(test.method, test.path, test.body); strings.Contains(test.name, "bypass") && strings.Contains(b.how(), "hit") {
				t.Errorf("again: %q", b.how())
			}
		})
	}
	t.Run("a query that bypasses changes nothing", func(t *testing.T) {
		before := ask("POST", "/chat", `{"q":"kept"}`)
		ask("POST", "/chat", `{"q":"`+strings.Repeat("x", 200)+`"}`)
		if a := ask("POST", "/chat", `{"q":"kept"}`); a.body != before.body || !strings.Contains(a.how(), "hit") {
			t.Errorf("%q %q", a.how(), a.body)
		}
	})
	t.Run("QUERY", func(t *testing.T) {
		a := ask("QUERY", "/q", `{"a":1,"b":2}`)
		if b := ask("QUERY", "/q", `{"b":2, "a":1}`); b.body != a.body || !strings.Contains(b.how(), "hit") {
			t.Errorf("%q then %q", a.how(), b.how())
		}
		if c := s.do("QUERY", "/q", `{"a":1,"b":2}`, "Content-Type", "text/plain"); strings.Contains(c.how(), "hit") {
			t.Errorf("another type: %q", c.how())
		}
	})
}

func TestSafeRoutesForwardOnlyWhatIsKeyed(t *testing.T) {
	s := newSite(t, httpcache.Options{Profile: httpcache.Safe, Rules: []httpcache.Rule{{Match: "GET /ruled", TTL: time.Minute, Headers: []string{"x-plan"}}}},
		func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			for name, lines := range r.Header {
				fmt.Fprintln(w, name, lines)
			}
		})
	evil := []string{"X-Forwarded-Host", "evil", "X-Host", "evil", "X-Anything", "evil", "Referer", "evil", "Origin", "evil", "User-Agent", "evil", "X-Original-Url", "/evil"}
	if a := s.get("/ruled", evil...); strings.Contains(a.body, "evil") {
		t.Errorf("on a ruled route the origin saw:\n%s", a.body)
	}
	s.get("/ruled", "X-Plan", "gold")
	s.get("/ruled", "Accept", "text/plain")
	s.wantCalls(3)
	if a := s.get("/ruled", "X-Plan", "gold", "X-Anything", "evil"); !strings.Contains(a.body, "X-Plan [gold]") || !strings.Contains(a.how(), "hit") {
		t.Errorf("keyed: %q\n%s", a.how(), a.body)
	}
	s.get("/free", "X-Anything", "evil")
	if a := s.get("/free"); strings.Contains(a.body, "evil") || strings.Contains(a.how(), "hit") {
		t.Errorf("elsewhere an unknown field is part of the key: %q\n%s", a.how(), a.body)
	}
}

func TestUnfit(t *testing.T) {
	var n atomic.Int64
	s := newSite(t, httpcache.Options{Profile: httpcache.Safe, Class: "own"}, saying(&n, "Cache-Control", "max-age=60"))
	for name, ask := range map[string]func() answer{
		"a GET with a body": func() answer { return s.do("GET", "/", "body") },
		"a dot segment":     func() answer { return s.get("/a/%2e%2e/b") },
		"a backslash":       func() answer { return s.get("/a%5cb") },
		"a null":            func() answer { return s.get("/a%00") },
		"a long URI":        func() answer { return s.get("/?" + strings.Repeat("x", 9000)) },
	} {
		t.Run(name, func(t *testing.T) {
			ask()
			if a := ask(); !strings.Contains(a.how(), "fwd=bypass") {
				t.Errorf("%q", a.how())
			}
		})
	}
}

func TestOneLoadForAll(t *testing.T) {
	var n atomic.Int64
	release := make(chan struct{})
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		<-release
		saying(&n, "Cache-Control", "max-age=60")(w, r)
	})
	var all sync.WaitGroup
	var joined atomic.Int64
	for range 50 {
		all.Go(func() {
			if a := s.get("/"); strings.Contains(a.how(), "collapsed") {
				joined.Add(1)
			}
		})
	}
	s.waiting(49)
	close(release)
	all.Wait()
	s.wantCalls(1)
	if n := joined.Load(); n != 49 {
		t.Errorf("%d of 49 joined", n)
	}
}

// What is not stored must not be waited for: the second wave goes side by side.
func TestWhatIsNotStoredIsNotWaitedFor(t *testing.T) {
	var now, most atomic.Int64
	var second atomic.Bool
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		if second.Load() { // until all of them are here
			for end := time.Now().Add(5 * time.Second); most.Load() < 10 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			}
		}
		w.Header().Set("Cache-Control", "no-store")
	})
	s.get("/")
	second.Store(true)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if a := s.get("/"); a.how() != "forebay; fwd=uri-miss; detail=not-stored" {
				t.Errorf("it was waited for: %q", a.how())
			}
		})
	}
	all.Wait()
	if most.Load() < 10 {
		t.Errorf("at most %d at once", most.Load())
	}
}

func TestInterimResponsesAndTrailers(t *testing.T) {
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
	})
	for _, how := range []string{"fwd=uri-miss; stored", "hit"} {
		if a := s.get("/"); a.body != "body" || a.header.Get("Trailer-X-Sum") != "42" || !strings.Contains(a.how(), how) {
			t.Errorf("%s: %q, trailer %q", a.how(), a.body, a.header.Get("Trailer-X-Sum"))
		}
	}
}

func TestHeadFreshens(t *testing.T) {
	var tag atomic.Value
	tag.Store(`"v1"`)
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", tag.Load().(string))
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("X-Method", r.Method)
		if r.Method == "GET" {
			io.WriteString(w, "body")
		}
	})
	s.get("/")
	if a := s.do("HEAD", "/", "", "Cache-Control", "no-cache"); !strings.Contains(a.how(), "fwd=request") {
		t.Fatalf("HEAD: %q", a.how())
	}
	if a := s.get("/"); a.body != "body" || a.header.Get("X-Method") != "HEAD" || !strings.Contains(a.how(), "hit") {
		t.Errorf("freshened: %q %q %q", a.how(), a.body, a.header.Get("X-Method"))
	}
	tag.Store(`"v2"`)
	s.do("HEAD", "/", "", "Cache-Control", "no-cache")
	if a := s.get("/"); strings.Contains(a.how(), "hit") {
		t.Errorf("after a HEAD that shows another: %q", a.how())
	}
}

func TestFieldsThatAreNotStored(t *testing.T) {
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		for name, v := range map[string]string{"Cache-Control": `max-age=60, no-cache="X-A", private="X-B"`, "X-A": "1", "X-B": "2", "X-C": "3",
			"Connection": "X-D", "X-D": "4", "Proxy-Authenticate": "Basic"} {
			w.Header().Set(name, v)
		}
	})
	first, second := s.get("/"), s.get("/")
	if first.header.Get("X-A") != "1" || first.header.Get("X-B") != "2" {
		t.Errorf("the first caller: %v", first.header)
	}
	for _, name := range []string{"X-A", "X-B", "X-D", "Proxy-Authenticate"} {
		if second.header.Get(name) != "" {
			t.Errorf("%s was stored", name)
		}
	}
	if second.header.Get("X-C") != "3" {
		t.Error("X-C was not stored")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	cache, err := forebay.Open(t.Context(), forebay.Options{Classes: []forebay.Class{{Name: "http"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	_, err = httpcache.New(cache, httpcache.Options{Profile: "lax", Rules: []httpcache.Rule{
		{Match: "GET /a", TTL: -1}, {Match: "GET /b", BodyKey: &httpcache.BodyKey{}}, {Match: "GET /c", Events: "never"}, {Match: "GET /d", Headers: []string{"a b"}}, {Match: "GET /e", Override: true},
	}})
	for _, want := range []string{"Profile", "Rules[0] (GET /a): TTL", "Rules[1] (GET /b): BodyKey", "Rules[2] (GET /c): Events", "Rules[3] (GET /d): Headers", "Rules[4] (GET /e): Override"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	for _, rules := range [][]httpcache.Rule{{{Match: "GET /{"}}, {{Match: "GET /a"}, {Match: "GET /a"}}, {{Match: "GET /a", Class: "nobody"}}} {
		c, err := forebay.Open(t.Context(), forebay.Options{Classes: []forebay.Class{{Name: "http"}}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := httpcache.New(c, httpcache.Options{Rules: rules}); err == nil || !strings.Contains(err.Error(), "Rules[") {
			t.Errorf("%v: %v", rules, err)
		}
	}
}

func TestAPanicIsLoggedAndAnswered(t *testing.T) {
	var log strings.Builder
	s := newSite(t, httpcache.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, func(http.ResponseWriter, *http.Request) { panic("oops") })
	if a := s.get("/path"); a.status != 502 || !strings.Contains(log.String(), "panic=oops") || !strings.Contains(log.String(), "path=/path") {
		t.Errorf("%d, log: %s", a.status, log.String())
	}
}

func TestErrorPages(t *testing.T) {
	tests := []struct {
		err    error
		status int
	}{
		{&forebay.BusyError{RetryAfter: time.Second}, 503}, {forebay.ErrLoadTimeout, 504}, {errors.New("refused"), 502},
	}
	for _, test := range tests {
		w := httptest.NewRecorder()
		httpcache.WriteError(w, httptest.NewRequest("GET", "/", nil), test.err)
		if w.Code != test.status || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v: %d", test.err, w.Code)
		}
	}
}
