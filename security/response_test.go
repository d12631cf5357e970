package security

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What one answer brings for one caller alone does not reach the others: rows A6 and A12.
func TestWhatIsForOneCaller(t *testing.T) {
	tests := []struct {
		name   string
		first  bool // there is something stored, stale, with an ETag
		answer func(w http.ResponseWriter, n int64)
	}{
		{"a 304 with a cookie", true, func(w http.ResponseWriter, n int64) {
			w.Header().Set("Set-Cookie", fmt.Sprint("sid=", n))
			w.WriteHeader(304)
		}},
		{"a 304 that is private", true, func(w http.ResponseWriter, n int64) {
			w.Header().Set("Cache-Control", "private")
			w.Header().Set("X-Mine", fmt.Sprint("sid=", n))
			w.WriteHeader(304)
		}},
		{"a private 404", false, func(w http.ResponseWriter, n int64) {
			w.Header().Set("Cache-Control", "private")
			w.WriteHeader(404)
			fmt.Fprint(w, "sid=", n)
		}},
		{"a no-store 404", false, func(w http.ResponseWriter, n int64) {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(404)
			fmt.Fprint(w, "sid=", n)
		}},
		{"a 403 with a cookie", false, func(w http.ResponseWriter, n int64) {
			w.Header().Set("Set-Cookie", fmt.Sprint("sid=", n))
			w.WriteHeader(403)
		}},
		{"a private 200", false, func(w http.ResponseWriter, n int64) {
			w.Header().Set("Cache-Control", "private, max-age=60")
			fmt.Fprint(w, "sid=", n)
		}},
		{"a 200 with a private trailer", false, func(w http.ResponseWriter, n int64) {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Trailer", "X-Mine")
			io.WriteString(w, "x")
			w.Header().Set("X-Mine", fmt.Sprint("sid=", n))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var n atomic.Int64
			o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				if test.first && r.Header.Get("If-None-Match") == "" {
					w.Header().Set("Etag", `"1"`)
					w.Header().Set("Cache-Control", "max-age=0")
					return
				}
				time.Sleep(100 * time.Millisecond) // so that all wait for one
				test.answer(w, n.Add(1))
			})
			g := serve(t, 0, "--origin", o.URL)
			if test.first {
				g.get("/x")
			}
			seen := make(chan string, 4)
			var all sync.WaitGroup
			for range cap(seen) {
				all.Go(func() {
					a := g.get("/x")
					seen <- a.header.Get("Set-Cookie") + a.header.Get("X-Mine") + a.body
				})
			}
			all.Wait()
			close(seen)
			had := map[string]bool{}
			for what := range seen {
				if what = strings.TrimPrefix(what, "x"); strings.Contains(what, "sid=") && had[what] {
					t.Errorf("two callers got %q", what)
				}
				had[what] = true
			}
		})
	}
}

// The first storable answer takes the mark away that a URI's answers are not kept: row C1.
func TestMarksAreHitForMiss(t *testing.T) {
	for name, first := range map[string]func(w http.ResponseWriter){
		"no-store": func(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-store") },
		"private":  func(w http.ResponseWriter) { w.Header().Set("Cache-Control", "private") },
		"bare":     func(http.ResponseWriter) {},
		"302":      func(w http.ResponseWriter) { w.Header().Set("Location", "/y"); w.WriteHeader(302) },
		"Vary: *": func(w http.ResponseWriter) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Vary", "*")
		},
	} {
		for _, profile := range []string{"safe", "rfc"} {
			t.Run(name+" "+profile, func(t *testing.T) {
				var n atomic.Int64
				o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
					if n.Add(1) == 1 {
						first(w)
						return
					}
					w.Header().Set("Cache-Control", "max-age=600")
				})
				g := serve(t, 0, "--origin", o.URL, "--profile", profile)
				for range 20 {
					g.get("/x")
				}
				if n := n.Load(); n > 3 {
					t.Errorf("the origin was asked %d times", n)
				}
			})
		}
	}
}

// A refusal of one request says nothing of the resource: row C2.
func TestARefusalIsNoNews(t *testing.T) {
	var asked, failing atomic.Int64
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch {
		case failing.Load() != 0:
			w.WriteHeader(int(failing.Load()))
		case r.Header.Get("Accept") == "x/y":
			w.WriteHeader(406)
		case r.URL.Path == "/short":
			w.Header().Set("Cache-Control", "max-age=1, stale-if-error=600")
		default:
			w.Header().Set("Cache-Control", "max-age=600")
		}
	})
	g := serve(t, 0, "--origin", o.URL, "--profile", "rfc")
	g.get("/x")
	g.get("/x", "Cache-Control: no-cache", "Accept: x/y")
	before := asked.Load()
	for range 20 {
		g.get("/x")
	}
	if n := asked.Load() - before; n != 0 {
		t.Errorf("the origin was asked %d times", n)
	}
	g.get("/short")
	time.Sleep(1100 * time.Millisecond)
	for _, status := range []int64{404, 429, 503} {
		failing.Store(status)
		a := g.get("/short")
		if want := int(status); status == 503 && a.status != 200 || status != 503 && a.status != want {
			t.Errorf("with %d: %d %q", status, a.status, a.how())
		}
	}
}

// A part that cannot be completed is not an answer to a plain request: row C3.
func TestPartsThatCannotBeCompleted(t *testing.T) {
	body := strings.Repeat("0123456789", 200)
	for name, rest := range map[string]string{
		"416":                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n",
		"412":                "HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n",
		"404":                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		"another part":       "HTTP/1.1 206 Partial Content\r\nEtag: \"1\"\r\nContent-Range: bytes 900-999/2000\r\nContent-Length: 100\r\n\r\n" + body[900:1000],
		"of another version": "HTTP/1.1 206 Partial Content\r\nEtag: \"2\"\r\nContent-Range: bytes 700-1999/2000\r\nContent-Length: 1300\r\n\r\n" + body[700:],
		"without a place":    "HTTP/1.1 206 Partial Content\r\nEtag: \"1\"\r\nContent-Length: 100\r\n\r\n" + body[:100],
	} {
		t.Run(name, func(t *testing.T) {
			url := rawOrigin(t, func(r *http.Request) string {
				switch r.Header.Get("Range") {
				case "":
					return "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nEtag: \"1\"\r\nContent-Length: 2000\r\n\r\n" + body
				case "bytes=0-699":
					return "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nEtag: \"1\"\r\nContent-Range: bytes 0-699/2000\r\nContent-Length: 700\r\n\r\n" + body[:700]
				}
				return rest
			})
			g := serve(t, 0, "--origin", url)
			if a := g.get("/x", "Range: bytes=0-699"); a.status != 206 {
				t.Fatalf("%d", a.status)
			}
			for range 2 {
				if a := g.get("/x"); a.status != 200 || a.body != body {
					t.Errorf("%d, %d bytes (%s)", a.status, len(a.body), a.how())
				}
			}
		})
	}
}

// Rows C4 to C11, as far as one answer shows them.
func TestOddAnswers(t *testing.T) {
	t.Run("a 304 without Date", func(t *testing.T) {
		var n atomic.Int64
		url := rawOrigin(t, func(r *http.Request) string {
			n.Add(1)
			if r.Header.Get("If-None-Match") != "" {
				return "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\n\r\n"
			}
			return "HTTP/1.1 200 OK\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\nEtag: \"1\"\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\nx"
		})
		g := serve(t, 0, "--origin", url)
		for range 5 {
			g.get("/x")
		}
		if n.Load() > 2 {
			t.Errorf("asked %d times", n.Load())
		}
	})
	t.Run("an interim answer", func(t *testing.T) {
		url := rawOrigin(t, func(r *http.Request) string {
			return "HTTP/1.1 103 Early Hints\r\nConnection: X-Nom\r\nX-Nom: 1\r\nKeep-Alive: 5\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
		})
		g := serve(t, 0, "--origin", url)
		for _, method := range []string{"GET", "POST"} {
			for _, version := range []string{"1.0", "1.1"} {
				c := g.dial()
				fmt.Fprintf(c, "%s /%s HTTP/%s\r\nHost: api.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", method, version, version)
				text, _ := io.ReadAll(c)
				early, _, _ := strings.Cut(string(text), "200 OK")
				if strings.Contains(early, "103") != (version == "1.1") || strings.Contains(early, "X-Nom") || strings.Contains(early, "Keep-Alive") {
					t.Errorf("%s, HTTP/%s: %q", method, version, text)
				}
			}
		}
	})
	t.Run("a space before the colon", func(t *testing.T) {
		url := rawOrigin(t, func(r *http.Request) string {
			return "HTTP/1.1 200 OK\r\nCache-Control \t: no-store\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\nx"
		})
		g := serve(t, 0, "--origin", url)
		g.get("/x")
		if a := g.get("/x"); a.shared() || !slices.Contains(a.header["Cache-Control"], "no-store") {
			t.Errorf("%q %q", a.how(), a.header["Cache-Control"])
		}
	})
	t.Run("no Content-Type", func(t *testing.T) {
		url := rawOrigin(t, func(r *http.Request) string {
			if r.URL.Path == "/chunked" {
				return "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n<html>\r\n0\r\n\r\n"
			}
			return "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 6\r\n\r\n" + map[bool]string{true: "", false: "<html>"}[r.Method == "HEAD"]
		})
		g := serve(t, 0, "--origin", url)
		for _, ask := range []string{"GET /a", "GET /a", "HEAD /a", "HEAD /b", "GET /chunked", "GET /chunked", "POST /a"} {
			a := g.raw(ask + " HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			if lines, there := a.header["Content-Type"]; there || a.status != 200 {
				t.Errorf("%s: %d %q", ask, a.status, lines)
			}
		}
	})
	t.Run("a part that nobody asked for", func(t *testing.T) {
		url := rawOrigin(t, func(*http.Request) string {
			return "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nEtag: \"1\"\r\nContent-Range: bytes 0-3/10\r\nContent-Length: 4\r\n\r\nabcd"
		})
		g := serve(t, 0, "--origin", url)
		for range 2 {
			if a := g.get("/x"); a.status != 206 || a.body != "abcd" || a.shared() {
				t.Errorf("%d %q %q", a.status, a.body, a.how())
			}
		}
	})
	t.Run("an invalid status", func(t *testing.T) {
		for _, status := range []string{"000", "099", "001"} {
			url := rawOrigin(t, func(*http.Request) string { return "HTTP/1.1 " + status + " Odd\r\nContent-Length: 0\r\n\r\n" })
			g := serve(t, 0, "--origin", url)
			for _, method := range []string{"GET", "POST", "HEAD"} {
				a := g.raw(method + " /x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				if a.status != 502 {
					t.Errorf("%s, %s: %d %v", status, method, a.status, a.err)
				}
			}
			if n := strings.Count(g.log.String(), "level="); n > 1 {
				t.Errorf("%d lines:\n%s", n, g.log)
			}
		}
	})
	t.Run("gzip, then plain", func(t *testing.T) {
		o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				w.Header().Set("Vary", "Accept-Encoding")
				w.Header().Set("Content-Encoding", "gzip")
				fmt.Fprint(w, "gzip")
				return
			}
			fmt.Fprint(w, "plain")
		})
		g := serve(t, 0, "--origin", o.URL, "--profile", "rfc")
		g.get("/x", "Accept-Encoding: gzip")
		g.get("/x")
		if a := g.get("/x", "Accept-Encoding: gzip"); a.body != "gzip" || !a.shared() {
			t.Errorf("%q %q", a.body, a.how())
		}
	})
	t.Run("not found, kept by the class", func(t *testing.T) {
		o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) })
		for _, profile := range []string{"safe", "rfc"} {
			g := serve(t, 0, "--config", config(t, "origin: "+o.URL+"\nprofile: "+profile+"\nclasses:\n  kept: {ttl: 1m, not_found: 1m}\n  other: {ttl: 1m}\nroutes:\n  - {match: GET /kept, class: kept}\n  - {match: GET /other, class: other}\n"))
			for path, kept := range map[string]bool{"/kept": true, "/other": false} {
				g.get(path)
				if a := g.get(path); a.shared() != kept || a.status != 404 {
					t.Errorf("%s %s: %d %q", profile, path, a.status, a.how())
				}
			}
		}
	})
	t.Run("fields for caches", func(t *testing.T) {
		o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"Cache-Tag", "Surrogate-Key", "Surrogate-Control", "Forebay-Cache-Control"} {
				w.Header().Set(name, "max-age=60")
			}
		})
		for _, keep := range []bool{false, true} {
			g := serve(t, 0, "--config", config(t, fmt.Sprintf("origin: %s\nkeep_control: %v\n", o.URL, keep)))
			for _, ask := range []string{"GET", "GET", "POST", "HEAD"} {
				a := g.raw(ask + " /x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				for _, name := range []string{"Cache-Tag", "Surrogate-Key", "Surrogate-Control", "Forebay-Cache-Control"} {
					if there := a.header.Get(name) != ""; there != keep {
						t.Errorf("%s, keep %v: %s %v", ask, keep, name, there)
					}
				}
			}
		}
	})
}
