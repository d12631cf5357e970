package coding_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/forebay-cache/forebay/internal/coding"
)

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		accept string
		want   string
	}{
		{"", ""},
		{"gzip", "gzip"},
		{"GZIP", "gzip"},
		{"x-gzip", "gzip"},
		{"gzip, br", "br"},
		{"gzip, deflate, br, zstd", "zstd"},
		{"br;q=0.5, gzip;q=0.8", "gzip"},
		{"br;q=0.5, gzip;q=0.8, identity", ""},
		{"br;q=0, *", "zstd"},
		{"*", "zstd"},
		{"*;q=0", ""},
		{"identity", ""},
		{"deflate", ""},
		{"zstd;q=0, br;q=0.000, gzip;q=0.001", "gzip"},
		{"br;q=nonsense, gzip", "gzip"},
		{"br;q=2, gzip", "gzip"},
		{"br ; Q=0.3 , gzip ; q=0.2", "br"},
		{"br;level=3;q=0.1, gzip;q=0.2", "gzip"},
		{",,br,", "br"},
	} {
		if got := coding.Choose([]string{c.accept}, coding.All); got != c.want {
			t.Errorf("%q: %q, want %q", c.accept, got, c.want)
		}
	}
	if got := coding.Choose(nil, coding.All); got != "" {
		t.Errorf("no field: %q", got)
	}
	if got := coding.Choose([]string{"br", "zstd;q=0.1"}, []string{"zstd", "gzip"}); got != "zstd" {
		t.Errorf("br is not on offer: %q", got)
	}
}

func TestEveryCodingComesBack(t *testing.T) {
	random := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(random)
	for _, name := range coding.All {
		for what, data := range map[string][]byte{"nothing": {}, "text": []byte(strings.Repeat(`{"name":"acme"},`, 9000)), "random": random, "large": bytes.Repeat(random, 9)} {
			encoded, err := coding.Encode(name, data)
			if err != nil {
				t.Fatal(name, what, err)
			}
			if back, err := coding.Decode(name, encoded, 16<<20); err != nil || !bytes.Equal(back, data) {
				t.Errorf("%s: %s: %d bytes came back as %d: %v", name, what, len(data), len(back), err)
			}
		}
		if _, err := coding.Decode(name, must(coding.Encode(name, make([]byte, 2048))), 2047); err == nil {
			t.Errorf("%s: more than is allowed came back", name)
		}
	}
	if _, err := coding.Encode("deflate", nil); err == nil || !strings.Contains(err.Error(), "zstd, br or gzip") {
		t.Error(err)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestHandler(t *testing.T) {
	text := strings.Repeat("all work and no play ", 1000)
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		accept  string
		coding  string
		body    string
		vary    bool
		noRange bool
	}{
		"text":           {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }, "br", "br", text, true, false},
		"refused":        {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }, "br;q=0", "", text, true, false},
		"short":          {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "short") }, "br", "", "short", true, false},
		"in pieces":      {pieces(text), "zstd", "zstd", text, true, false},
		"an image":       {fields("Content-Type", "image/png", text), "gzip", "", text, false, false},
		"events":         {fields("Content-Type", "text/event-stream", text), "gzip", "", text, false, false},
		"no-transform":   {fields("Cache-Control", "max-age=3, No-Transform", text), "gzip", "", text, false, false},
		"with a digest":  {fields("Repr-Digest", "sha-256=:AA==:", text), "gzip", "", text, false, false},
		"coded already":  {fields("Content-Encoding", "identity", text), "gzip", "identity", text, false, false},
		"strong tag":     {fields("Etag", `"a"`, text), "gzip", "gzip", text, true, false},
		"varies already": {fields("Vary", "accept-encoding", text), "gzip", "gzip", text, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept-Encoding", c.accept)
			w := httptest.NewRecorder()
			coding.Handler(c.answer).ServeHTTP(w, r)
			got, h := w.Body.Bytes(), w.Result().Header
			if h.Get("Content-Encoding") != c.coding {
				t.Fatalf("coding %q, want %q", h.Get("Content-Encoding"), c.coding)
			}
			if c.coding != "" && c.coding != "identity" {
				got = must(coding.Decode(c.coding, got, 1<<20))
				if tag := h.Get("Etag"); tag != "" && tag != `W/"a"` {
					t.Error("the tag is", tag)
				}
			}
			if string(got) != c.body {
				t.Errorf("%d bytes, want %d", len(got), len(c.body))
			}
			if (len(h["Vary"]) == 1) != c.vary {
				t.Error("Vary:", h["Vary"])
			}
		})
	}
}

func fields(name, value, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set(name, value)
		io.WriteString(w, text)
	}
}

func pieces(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for p := text; p != ""; p = p[min(len(p), 700):] {
			io.WriteString(w, p[:min(len(p), 700)])
		}
	}
}

// What is flushed has arrived, whatever its coding.
func TestHandlerFlushes(t *testing.T) {
	for _, name := range coding.All {
		next := make(chan bool)
		s := httptest.NewServer(coding.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			for range 3 {
				io.WriteString(w, "one line\n")
				http.NewResponseController(w).Flush()
				<-next
			}
		})))
		r, _ := http.NewRequest("GET", s.URL, nil)
		r.Header.Set("Accept-Encoding", name)
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if name == "gzip" { // its reader of the library tells of a line at once
			z, err := gzip.NewReader(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 9)
			for range 3 {
				if _, err := io.ReadFull(z, b); err != nil || string(b) != "one line\n" {
					t.Fatalf("%q: %v", b, err)
				}
				next <- true
			}
		} else {
			for range 3 {
				if n, err := res.Body.Read(make([]byte, 1<<10)); n == 0 {
					t.Fatal(name, err)
				}
				next <- true
			}
		}
		res.Body.Close()
		s.Close()
	}
}

func FuzzChoose(f *testing.F) {
	f.Add("gzip, br;q=0.5, *;q=0")
	f.Fuzz(func(t *testing.T, line string) {
		if got := coding.Choose([]string{line}, coding.All); got != "" && !strings.Contains(strings.ToLower(line), got) && !strings.Contains(line, "*") {
			t.Errorf("%q: %q was not asked for", line, got)
		}
	})
}
