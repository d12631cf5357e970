package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// A Question is a request to be explained.
type Question struct {
	Method  string            `json:"method,omitempty" doc:"Default GET"`
	URL     string            `json:"url" doc:"Whole, with the host that clients use: http://api.example.com/api/partners?org_id=acme"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Value   bool              `json:"value,omitempty" doc:"Show what is stored: its first 64 KiB"`
	Ask     bool              `json:"ask,omitempty" doc:"Send it through the cache first, to the origin where need be: GET, HEAD and QUERY alone"`
}

// An Explanation says what the cache makes of a request now, without asking the origin.
type Explanation struct {
	Canonical   string      `json:"canonical" doc:"The request in the one form that everything reads"`
	Rule        string      `json:"rule" doc:"Empty: none matches"`
	Class       string      `json:"class"`
	Key         string      `json:"key"`
	Parts       []KeyPart   `json:"parts" doc:"What the key is made of"`
	Stored      bool        `json:"stored"`
	Tier        string      `json:"tier,omitempty" doc:"Where it is stored"`
	Status      int         `json:"status,omitempty"`
	Size        int64       `json:"size" doc:"Bytes of the body"`
	Age         float64     `json:"age" doc:"Seconds"`
	FreshUntil  *time.Time  `json:"fresh_until" doc:"null: nothing is stored"`
	Vary        []string    `json:"vary" doc:"Fields of the request that chose what is stored"`
	Tags        []string    `json:"tags"`
	Headers     http.Header `json:"headers" doc:"Of what is stored"`
	Would       string      `json:"would" enum:"hit,stale,miss,bypass,refused" doc:"What the answer would be now"`
	Why         string      `json:"why" doc:"Why it would be no hit"`
	Asked       *Asked      `json:"asked,omitempty" doc:"What came, where it was asked for; what stands above is as of after that"`
	Value       *Value      `json:"value,omitempty"`
	Start       []byte      `json:"-"` // of the body
	LoadMS      *float64    `json:"load_ms,omitempty" doc:"How long the load of what this node holds took"`
	Invalidated *Item       `json:"invalidated,omitempty" doc:"The last invalidation that reached it, of those that the activity has"`
	Nodes       []Holding   `json:"nodes" doc:"What the near tier of each node holds under the key, this one first"`
	Nearest     *Nearest    `json:"nearest" doc:"What is stored under another key, and the parts that differ; null: nothing is known"`
	Nearby      int         `json:"nearby" doc:"Other responses of the same method and path in the near tier, for another query or other fields: one of the parts differs"`
}

// Nearest is what is stored for almost the same request.
type Nearest struct {
	Key     string    `json:"key"`
	Differs []KeyPart `json:"differs" doc:"Parts of that request that are not as in this one; an empty value: it has none"`
}

// A Value is the beginning of what is stored.
type Value struct {
	Text   string `json:"text,omitempty"`
	Base64 string `json:"base64,omitempty" doc:"Where it is no text"`
	Cut    bool   `json:"cut,omitempty" doc:"There is more"`
}

func valueOf(start []byte, size int64) *Value {
	v := &Value{Cut: int64(len(start)) < size}
	whole := start
	for i := 0; v.Cut && i < utf8.UTFMax && !utf8.Valid(whole); i++ { // a character that was cut in two
		whole = whole[:max(len(whole)-1, 0)]
	}
	if utf8.Valid(whole) {
		v.Text = string(whole)
	} else {
		v.Base64 = base64.StdEncoding.EncodeToString(start)
	}
	return v
}

// Asked is what a request that was really sent was answered. The body is read and not kept.
type Asked struct {
	Status      int         `json:"status"`
	CacheStatus string      `json:"cache_status"`
	Headers     http.Header `json:"headers"`
	Bytes       int64       `json:"bytes"`
	TookMS      float64     `json:"took_ms"`
	Error       string      `json:"error,omitempty" doc:"It broke off, or took too long"`
}

const (
	askFor  = 20 * time.Second
	askMost = 64 << 20 // bytes of a body that are read
)

// sink is the client of a request that operators ask: it keeps the head, and counts the body.
type sink struct {
	header http.Header
	status int
	bytes  int64
	cancel context.CancelFunc
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) {
	if s.status == 0 && status >= 200 {
		s.status = status
	}
}

func (s *sink) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	if s.bytes += int64(len(p)); s.bytes > askMost {
		s.cancel()
		return 0, errTooMuch
	}
	return len(p), nil
}

var errTooMuch = errors.New("the body is larger than 64 MiB: no more of it was read")

// send sends a request through the cache as a client would.
func (a *Admin) send(r *http.Request) *Asked {
	ctx, cancel := context.WithTimeout(r.Context(), askFor)
	defer cancel()
	to := &sink{header: http.Header{}, cancel: cancel}
	out := &Asked{}
	begun := time.Now()
	func() {
		defer func() {
			if p := recover(); p != nil { // how a handler says that the answer broke off
				out.Error = "the answer broke off"
			}
		}()
		a.o.Ask.ServeHTTP(to, r.WithContext(ctx))
	}()
	if err := context.Cause(ctx); err != nil {
		out.Error = err.Error()
	}
	out.Status, out.Headers, out.Bytes, out.TookMS = to.status, to.header, to.bytes, inMS(time.Since(begun))
	out.CacheStatus = strings.Join(to.header["Cache-Status"], ", ")
	return out
}

// A KeyPart is something that a key is made of.
type KeyPart struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// request makes an HTTP request of a question.
func (q Question) request(ctx context.Context) (*http.Request, error) {
	u, err := url.Parse(q.URL)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("url: " + err.Error())
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("url: %q: write it whole, such as http://api.example.com/api/partners?org_id=acme, with the host that clients use", q.URL))
	}
	method := q.Method
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, q.URL, strings.NewReader(q.Body))
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("method: " + err.Error())
	}
	if q.Body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.RequestURI = u.RequestURI()
	for name, value := range q.Headers {
		switch {
		case name == "" || strings.ContainsAny(name, " \t\r\n\x00:") || strings.ContainsAny(value, "\r\n\x00"):
			return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("headers: %q: no request can have such a field", name))
		case strings.EqualFold(name, "Host"):
			r.Host = value
		default:
			r.Header.Set(name, value)
		}
	}
	return r, nil
}

type question struct{ Body Question }

func (a *Admin) explain(ctx context.Context, in *question) (*answer[Explanation], error) {
	if a.o.Explain == nil {
		return nil, huma.Error404NotFound("this node caches functions, not requests: ask a gateway (forebay serve)")
	}
	r, err := in.Body.request(ctx)
	if err != nil {
		return nil, err
	}
	if !in.Body.Ask {
		return &answer[Explanation]{a.explained(ctx, in.Body, r)}, nil
	}
	switch {
	case a.o.Ask == nil:
		return nil, huma.Error404NotFound("this node sends no requests for operators")
	case !callerOf(ctx).operate:
		return nil, huma.Error403Forbidden("ask: the token reads, and sends nothing to the origin: use one with the role operate")
	case r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != "QUERY":
		return nil, huma.Error422UnprocessableEntity("ask: " + r.Method + " may change something at the origin: only GET, HEAD and QUERY are sent")
	}
	asked := a.send(r)
	if r, err = in.Body.request(ctx); err != nil {
		return nil, err
	}
	e := a.explained(ctx, in.Body, r)
	e.Asked = asked
	return &answer[Explanation]{e}, nil
}

// explained is what the cache makes of a request, and what is known around it: of the other nodes, of the past, and of
// requests that are almost the same.
func (a *Admin) explained(ctx context.Context, q Question, r *http.Request) Explanation {
	e := a.o.Explain(r)
	if e.Value = nil; q.Value && e.Stored {
		e.Value = valueOf(e.Start, e.Size)
	}
	if e.Nodes = []Holding{}; e.Key == "" {
		return e
	}
	e.Nodes = a.holdings(ctx, e.Key)
	if here, ok := a.cache.Entry(e.Key); ok {
		took := inMS(here.LoadTime)
		e.LoadMS = &took
	}
	tags := e.Tags
	if a.o.URLTag != nil && !e.Stored { // then its tags are not known, but this one
		u := *r.URL
		u.Host = r.Host
		tags = append(slices.Clone(tags), a.o.URLTag(&u))
	}
	e.Invalidated = a.activity.reached(e.Key, e.Class, tags)
	if !e.Stored && e.Nearest == nil && e.Class != "" && e.Would != "bypass" {
		e.Nearest = a.nearest(ctx, q, r)
	}
	return e
}

// reached is the last invalidation that covers what is, or would be, stored.
func (y *activity) reached(key, class string, tags []string) *Item {
	for _, i := range slices.Backward(y.latest(maxItems)) {
		if (i.Kind == "invalidation" || i.Kind == "audit") && i.covers != nil && i.covers(key, class, tags) {
			return &i
		}
	}
	return nil
}

// mostNear bounds how many requests are tried.
const mostNear = 32

// nearest looks for what is stored among recent requests of the same path: the one that differs in the fewest parts.
func (a *Admin) nearest(ctx context.Context, q Question, r *http.Request) *Nearest {
	var best *Nearest
	tried := map[string]bool{}
	for _, recent := range a.requests.list() {
		target, err := url.Parse(recent.Path)
		if err != nil || recent.Method != r.Method || target.EscapedPath() != r.URL.EscapedPath() || len(tried) == mostNear {
			continue
		}
		like := q
		like.URL, like.Headers = r.URL.Scheme+"://"+recent.host+recent.Path, maps.Clone(recent.fields)
		if id := fmt.Sprint(like.URL, like.Headers); tried[id] {
			continue
		} else {
			tried[id] = true
		}
		other, err := like.request(ctx)
		if err != nil {
			continue
		}
		if e := a.o.Explain(other); e.Stored {
			if differs := differences(r, other); best == nil || len(differs) < len(best.Differs) {
				best = &Nearest{e.Key, differs}
			}
		}
	}
	return best
}

// differences are the parts in which another request is not like r.
func differences(r, other *http.Request) []KeyPart {
	out := []KeyPart{}
	if other.Host != r.Host {
		out = append(out, KeyPart{"host", other.Host})
	}
	if other.URL.RawQuery != r.URL.RawQuery {
		out = append(out, KeyPart{"query", other.URL.RawQuery})
	}
	for _, name := range choosingFields {
		if has := other.Header.Get(name); has != r.Header.Get(name) {
			out = append(out, KeyPart{name, has})
		}
	}
	return out
}
