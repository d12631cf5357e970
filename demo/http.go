package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/demo/origin"
	"github.com/forebay-cache/forebay/httpcache"
	"github.com/forebay-cache/forebay/internal/coding"
)

// A handlerFunc returns its error, which becomes problem details.
type handlerFunc func(http.ResponseWriter, *http.Request) error

// A router is a mux whose every refusal is problem details.
type router struct {
	mux     *http.ServeMux
	methods map[string][]string
}

func newRouter() *router { return &router{mux: http.NewServeMux(), methods: map[string][]string{}} }

func (rt *router) handle(pattern string, h handlerFunc) {
	method, path, _ := strings.Cut(pattern, " ")
	rt.methods[path] = append(rt.methods[path], method)
	rt.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := h(w, r); err != nil {
			writeProblem(w, err)
		}
	})
}

// handler adds the answers to unknown paths and wrong methods.
func (rt *router) handler() http.Handler {
	for path, methods := range rt.methods {
		if slices.Contains(methods, "GET") {
			methods = append(methods, "HEAD")
		}
		slices.Sort(methods)
		allow := strings.Join(methods, ", ")
		rt.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", allow)
			writeProblem(w, &problem{Status: http.StatusMethodNotAllowed, Detail: r.Method + " is not possible here: use " + allow})
		})
	}
	rt.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, &problem{Status: http.StatusNotFound, Detail: "there is nothing at this path"})
	})
	return coding.Handler(rt.mux)
}

// A problem is an error as the client sees it (RFC 9457).
type problem struct {
	Type       string       `json:"type"`
	Title      string       `json:"title"`
	Status     int          `json:"status"`
	Detail     string       `json:"detail"`
	Errors     []fieldError `json:"errors,omitempty"`
	retryAfter int
}

type fieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return p.Detail }

func wrongField(field, detail string) error {
	return &problem{Status: http.StatusUnprocessableEntity, Detail: field + ": " + detail, Errors: []fieldError{{field, detail}}}
}

// asProblem says what a client may know of an error.
func asProblem(err error) *problem {
	var (
		p          *problem
		invalid    *origin.Invalid
		unfinished *origin.Unfinished
		busy       *forebay.BusyError
		tooLarge   *http.MaxBytesError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &invalid):
		return asProblem(wrongField(invalid.Field, invalid.Detail))
	case errors.As(err, &unfinished):
		return &problem{Status: http.StatusConflict, Detail: unfinished.Error(), retryAfter: 1}
	case errors.As(err, &tooLarge):
		return &problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("the body is over %d bytes", tooLarge.Limit)}
	case errors.As(err, &busy):
		return &problem{Status: http.StatusServiceUnavailable, Detail: "the partner API is busy", retryAfter: int(busy.RetryAfter.Seconds())}
	case errors.Is(err, forebay.ErrNotFound), errors.Is(err, origin.ErrNotFound):
		return &problem{Status: http.StatusNotFound, Detail: "the partner API knows nothing by that name"}
	}
	return &problem{Status: http.StatusServiceUnavailable, Detail: "the partner API did not answer", retryAfter: 1}
}

func writeProblem(w http.ResponseWriter, err error) {
	p := *asProblem(err)
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	body, _ := json.Marshal(p) // strings and numbers always marshal
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	w.WriteHeader(p.Status)
	w.Write(append(body, '\n'))
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	if status != http.StatusOK {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
	return nil
}

// writeResult writes a cached function's answer, and how it came about.
func writeResult[V any](w http.ResponseWriter, r forebay.Result[V]) error {
	w.Header().Set("Cache-Status", httpcache.Status(r.Outcome))
	if r.Err != nil {
		return r.Err
	}
	return writeJSON(w, http.StatusOK, r.Value)
}

// readJSON decodes a body: 400 with the place if it is malformed, 422 with the field if it does not fit.
func readJSON(r *http.Request, v any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	err = json.Unmarshal(body, v)
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		line, column := place(body, syntax.Offset)
		return &problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("malformed JSON at line %d, column %d: %s", line, column, syntax)}
	case errors.As(err, &typ):
		field := typ.Field
		if field == "" {
			field = "body"
		}
		return wrongField(field, "expected "+typ.Type.String()+", got "+typ.Value)
	}
	return err
}

// place counts from 1; the offset is behind the offending byte.
func place(body []byte, offset int64) (line, column int) {
	before := body[:min(max(offset-1, 0), int64(len(body)))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}

// required returns a query parameter that must be there.
func required(r *http.Request, name string) (string, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return "", wrongField(name, "is required: ?"+name+"=…")
	}
	return v, nil
}
