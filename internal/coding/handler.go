package coding

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// minEncoded is from how many bytes on an answer is encoded while it is sent.
const minEncoded = 1 << 10

// Handler encodes the answers of a handler that gain by it, as each client prefers, while they are sent. What is
// encoded already, partial, or must not be transformed goes on as it is; Flush sends what there is. An entity tag
// becomes a weak one, and matches as such.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := Choose(r.Header["Accept-Encoding"], All)
		e := &encoder{ResponseWriter: w, name: name, head: r.Method == http.MethodHead}
		defer e.close()
		next.ServeHTTP(e, r)
	})
}

// An encoder decides with the first bytes of an answer.
type encoder struct {
	http.ResponseWriter
	name    string // "": the client prefers it as it is
	head    bool   // nothing follows
	status  int    // 0: not said yet
	held    []byte // until it is known whether it is worth it
	decided bool
	to      writer // nil: it goes on as it is
}

// WriteHeader implements [http.ResponseWriter].
func (e *encoder) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		e.ResponseWriter.WriteHeader(status)
		return
	}
	if e.status != 0 {
		return
	}
	e.status = status
	if !e.mayGain() || e.head {
		e.begin(false)
	}
}

// mayGain looks at the fields alone.
func (e *encoder) mayGain() bool {
	h := e.Header()
	n, err := strconv.Atoi(h.Get("Content-Length"))
	switch {
	case e.status < 200 || e.status == http.StatusNoContent || e.status == http.StatusNotModified || e.status == http.StatusPartialContent:
		return false
	case err == nil && n < minEncoded:
		return false
	}
	return MayEncode(h)
}

// MayEncode reports whether the fields of an answer allow a coding, and promise something of it.
func MayEncode(h http.Header) bool {
	switch {
	case h["Content-Encoding"] != nil || h["Content-Range"] != nil || !Gains(h.Get("Content-Type")):
		return false
	case h["Content-Digest"] != nil || h["Repr-Digest"] != nil || h["Digest"] != nil || h["Content-Md5"] != nil: // of other bytes
		return false
	}
	return !slices.ContainsFunc(h["Cache-Control"], func(line string) bool { return strings.Contains(strings.ToLower(line), "no-transform") })
}

// Write implements [http.ResponseWriter].
func (e *encoder) Write(p []byte) (int, error) {
	if e.status == 0 {
		if e.Header()["Content-Type"] == nil {
			e.Header().Set("Content-Type", http.DetectContentType(p))
		}
		e.WriteHeader(http.StatusOK)
	}
	if !e.decided {
		if e.held = append(e.held, p...); len(e.held) < minEncoded {
			return len(p), nil
		}
		return len(p), e.begin(true)
	}
	if e.to == nil {
		return e.ResponseWriter.Write(p)
	}
	return e.to.Write(p)
}

// begin sends the head, and what is held.
func (e *encoder) begin(worth bool) error {
	e.decided = true
	h := e.Header()
	if e.mayGain() {
		h["Vary"] = VaryOn(h["Vary"])
		if worth && e.name != "" {
			e.encode(h)
		}
	}
	e.ResponseWriter.WriteHeader(e.status)
	held := e.held
	e.held = nil
	if len(held) == 0 {
		return nil
	}
	if e.to != nil {
		_, err := e.to.Write(held)
		return err
	}
	_, err := e.ResponseWriter.Write(held)
	return err
}

func (e *encoder) encode(h http.Header) {
	e.to = take(e.name)
	e.to.Reset(e.ResponseWriter)
	h["Content-Encoding"] = []string{e.name}
	delete(h, "Content-Length")
	delete(h, "Accept-Ranges")
	if tag := h.Get("Etag"); strings.HasPrefix(tag, `"`) {
		h["Etag"] = []string{"W/" + tag}
	}
}

// VaryOn returns the lines of a Vary field that says that the answer depends on Accept-Encoding. They are shared.
func VaryOn(lines []string) []string {
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			if one = strings.TrimSpace(one); one == "*" || strings.EqualFold(one, "Accept-Encoding") {
				return lines
			}
		}
	}
	if len(lines) == 0 {
		return onEncoding
	}
	return append(slices.Clip(lines), "Accept-Encoding")
}

var onEncoding = []string{"Accept-Encoding"}

// FlushError is for [http.ResponseController].
func (e *encoder) FlushError() error {
	if e.status == 0 {
		e.WriteHeader(http.StatusOK)
	}
	if !e.decided {
		if err := e.begin(true); err != nil {
			return err
		}
	}
	if e.to != nil {
		if err := e.to.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(e.ResponseWriter).Flush()
}

// Flush implements [http.Flusher].
func (e *encoder) Flush() { e.FlushError() }

// Unwrap lets [http.ResponseController] reach the writer below.
func (e *encoder) Unwrap() http.ResponseWriter { return e.ResponseWriter }

func (e *encoder) close() {
	if e.status != 0 && !e.decided {
		e.begin(false)
	}
	if e.to != nil {
		e.to.Close() // a client that has gone is the server's to notice
		e.to.Reset(nil)
		pools[e.name].Put(e.to)
	}
}

// pools keep the writers of each coding: they are large.
var pools = map[string]*sync.Pool{"zstd": {}, "br": {}, "gzip": {}}

func take(name string) writer {
	if w, ok := pools[name].Get().(writer); ok {
		return w
	}
	w, err := newWriter(name, nil, 4)
	if err != nil {
		panic(err) // it is one of All
	}
	return w
}
