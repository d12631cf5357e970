package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/httpcache"
)

// open asks and returns with the head.
func (s *site) open(path string, fields ...string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	return res
}

func readN(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got, err, want)
	}
}

// The head and each piece reach the client, and those that join, before the origin sends the next.
func TestEachByteGoesOnWhenItComes(t *testing.T) {
	next := make(chan string)
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(200)
		http.NewResponseController(w).Flush()
		for piece := range next {
			io.WriteString(w, piece)
		}
	})
	first := s.open("/")
	next <- "one "
	readN(t, first.Body, "one ")
	second := s.open("/")
	readN(t, second.Body, "one ")
	next <- "two"
	readN(t, first.Body, "two")
	readN(t, second.Body, "two")
	close(next)
	for _, res := range []*http.Response{first, second} {
		if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 {
			t.Errorf("then %q, %v", rest, err)
		}
	}
	if how := second.Header.Get("Cache-Status"); how != "forebay; fwd=uri-miss; collapsed" {
		t.Errorf("who joined: %q", how)
	}
	if a := s.get("/"); a.body != "one two" || !strings.Contains(a.how(), "hit") {
		t.Errorf("afterwards: %q %q", a.how(), a.body)
	}
	s.wantCalls(1)
}

// A client that does not read holds nobody up.
func TestASlowReaderSlowsNobody(t *testing.T) {
	body := strings.Repeat("x", 4<<20)
	begun, goOn := make(chan struct{}), make(chan struct{})
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, body[:1])
		close(begun)
		<-goOn
		io.WriteString(w, body[1:])
	})
	slow := s.open("/")
	<-begun
	done := make(chan answer)
	go func() { done <- s.get("/") }()
	time.Sleep(20 * time.Millisecond)
	close(goOn)
	if a := <-done; a.body != body || a.err != nil {
		t.Errorf("the other read %d bytes, %v", len(a.body), a.err)
	}
	if rest, err := io.ReadAll(slow.Body); err != nil || len(rest) != len(body) {
		t.Errorf("the slow one read %d bytes, %v", len(rest), err)
	}
}

func TestWhatBreaksOffIsNotStored(t *testing.T) {
	tests := []struct {
		name   string
		origin http.HandlerFunc
	}{
		{"a panic", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		}},
		{"less than its length", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "half")
		}},
		{"failed while it streams", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
			panic(http.ErrAbortHandler)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				test.origin(w, r)
			})
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					res, err := http.Get(s.url)
					if err != nil {
						return
					}
					defer res.Body.Close()
					if body, err := io.ReadAll(res.Body); err == nil && res.StatusCode != http.StatusBadGateway {
						t.Errorf("%d %q was taken for whole", res.StatusCode, body)
					}
				})
			}
			all.Wait()
			before := s.calls.Load()
			if res, err := http.Get(s.url); err == nil {
				res.Body.Close()
			}
			if s.calls.Load() == before {
				t.Error("it was stored")
			}
		})
	}
}

func TestWhatIsTooLargePasses(t *testing.T) {
	const size = 1 << 20
	for _, announced := range []bool{true, false} {
		t.Run(fmt.Sprintf("announced=%v", announced), func(t *testing.T) {
			s := newSite(t, httpcache.Options{MaxBody: 64 << 10}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				if announced {
					w.Header().Set("Content-Length", fmt.Sprint(size))
				}
				for range size / 1024 {
					io.WriteString(w, strings.Repeat("y", 1024))
				}
			})
			for range 3 {
				if a := s.get("/"); len(a.body) != size || a.err != nil {
					t.Errorf("read %d bytes, %v", len(a.body), a.err)
				}
			}
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					if a := s.get("/"); len(a.body) != size || a.err != nil {
						t.Errorf("read %d bytes, %v", len(a.body), a.err)
					}
				})
			}
			all.Wait()
		})
	}
}

// A client that asks for a body that will not be stored, and leaves, ends its load; one that will be is finished.
func TestWhoGoes(t *testing.T) {
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprintf("stored=%v", stored), func(t *testing.T) {
			ended := make(chan error, 1)
			s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", map[bool]string{true: "max-age=60", false: "no-store"}[stored])
				io.WriteString(w, "half")
				select {
				case <-r.Context().Done():
					ended <- r.Context().Err()
				case <-time.After(300 * time.Millisecond):
					ended <- nil
				}
			})
			res := s.open("/")
			readN(t, res.Body, "half")
			res.Body.Close()
			if err := <-ended; (err == nil) != stored {
				t.Errorf("the load ended with %v", err)
			}
			for range 100 {
				if a := s.get("/", "Cache-Control", "only-if-cached"); stored && a.status == 200 || !stored {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Error("was not stored")
		})
	}
}

const completion = `data: {"choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: [DONE]

`

func TestEventsAreStoredWhenTheyEndByTheirRule(t *testing.T) {
	tests := []struct {
		name   string
		end    httpcache.EventsEnd
		events string
		stored bool
	}{
		{"whole", "", completion, true},
		{"carriage returns", "", strings.ReplaceAll(completion, "\n", "\r\n"), true},
		{"without [DONE]", "", strings.TrimSuffix(completion, "data: [DONE]\n\n"), false},
		{"cut off at the model's limit", "", strings.Replace(completion, `"stop"`, `"length"`, 1), false},
		{"without a finish_reason", "", strings.Replace(completion, `"stop"`, `null`, 1), false},
		{"one of two choices unfinished", "", strings.Replace(completion, "data: [DONE]", `data: {"choices":[{"index":1,"finish_reason":null}]}`+"\n\ndata: [DONE]", 1), false},
		{"an error in a chunk", "", strings.Replace(completion, "data: [DONE]", `data: {"error":{"message":"x"}}`+"\n\ndata: [DONE]", 1), false},
		{"an event of type error", "", "event: error\ndata: {}\n\n" + completion, false},
		{"not its last line", "", strings.TrimSuffix(completion, "\n\n"), false},
		{"done, by rule", "done", "data: a\n\ndata: [DONE]\n\n", true},
		{"not done, by rule", "done", "data: a\n\n", false},
		{"closed, by rule", "close", "data: a\n\n", true},
		{"closed with an error, by rule", "close", "event: error\ndata: a\n\n", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /", TTL: time.Minute, Events: test.end}}}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
				for piece := range strings.SplitAfterSeq(test.events, "l") { // not at the ends of lines
					io.WriteString(w, piece)
				}
			})
			first, second := s.get("/"), s.get("/")
			if hit := strings.Contains(second.how(), "hit"); hit != test.stored || second.body != first.body || first.body != test.events {
				t.Errorf("%q\n%q\n%q", second.how(), first.body, second.body)
			}
		})
	}
}

func TestEventsAreReplayedOneByOne(t *testing.T) {
	const pace = 60 * time.Millisecond
	s := newSite(t, httpcache.Options{Rules: []httpcache.Rule{{Match: "GET /", TTL: time.Minute, Pace: pace}}}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, completion)
	})
	s.get("/")
	begun := time.Now()
	again := s.open("/")
	var events []string
	p := make([]byte, 1<<16)
	for {
		n, err := again.Body.Read(p)
		if n > 0 {
			events = append(events, string(p[:n]))
		}
		if err != nil {
			break
		}
	}
	// A reader that is held up may find two of them at once.
	if len(events) < 2 || strings.Join(events, "") != completion || time.Since(begun) < 3*pace {
		t.Errorf("came in %d pieces within %s: %q", len(events), time.Since(begun), events)
	}
}

// A body that passes takes the memory of its window, whatever its length.
func TestPassingTakesLittleMemory(t *testing.T) {
	const size = 256 << 20
	piece := make([]byte, 64<<10)
	s := newSite(t, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		for range size / len(piece) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	res := s.open("/")
	most, read := uint64(0), 0
	for p := make([]byte, 1<<20); ; {
		n, err := io.ReadFull(res.Body, p)
		if read += n; err != nil {
			break
		}
		if read%(32<<20) == 0 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
	if read != size || most > 64<<20 {
		t.Errorf("read %d bytes, with %d MiB of heap at most", read, most>>20)
	}
}

// What is stored is whole for whoever finds it, also in the moment before those that read it while it came learn that it is.
func TestStoredIsWhole(t *testing.T) {
	var s *site
	var found atomic.Value
	look := forebay.ObserverFunc(func(e forebay.Event) {
		if e.Kind != forebay.EventStore {
			return
		}
		client := http.Client{Timeout: 5 * time.Second}
		res, err := client.Get(s.url + "/a")
		if err != nil {
			found.Store(err.Error())
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		found.Store(fmt.Sprint(res.Status, " ", string(b), " ", err))
	})
	more := make(chan bool)
	s = newSiteOn(t, forebay.Options{Observer: look}, httpcache.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "the ")
		<-more
		io.WriteString(w, "answer")
	})
	res := s.open("/a") // it has the head, and reads
	defer res.Body.Close()
	close(more)
	if b, err := io.ReadAll(res.Body); string(b) != "the answer" || err != nil {
		t.Errorf("%q %v", b, err)
	}
	if got := found.Load(); got != "200 OK the answer <nil>" {
		t.Errorf("who finds it: %v", got)
	}
}
