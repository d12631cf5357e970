package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// A Question is a request to be explained.
type Question struct {
	Method  string            `json:"method,omitempty" doc:"Default GET"`
	URL     string            `json:"url" doc:"Whole, with the host that clients use: http://api.example.com/api/partners?org_id=acme"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Ask     bool              `json:"ask,omitempty" doc:"Send it through the cache first, to the origin where need be: GET, HEAD and QUERY alone"`
}

// An Explanation says what the cache makes of a request now, without asking the origin.
type Explanation struct {
	Canonical  string      `json:"canonical" doc:"The request in the one form that everything reads"`
	Rule       string      `json:"rule" doc:"Empty: none matches"`
	Class      string      `json:"class"`
	Key        string      `json:"key"`
	Parts      []KeyPart   `json:"parts" doc:"What the key is made of"`
	Stored     bool        `json:"stored"`
	Tier       string      `json:"tier,omitempty" doc:"Where it is stored"`
	Status     int         `json:"status,omitempty"`
	Size       int64       `json:"size" doc:"Bytes of the body"`
	Age        float64     `json:"age" doc:"Seconds"`
	FreshUntil *time.Time  `json:"fresh_until" doc:"null: nothing is stored"`
	Vary       []string    `json:"vary" doc:"Fields of the request that chose what is stored"`
	Tags       []string    `json:"tags"`
	Headers    http.Header `json:"headers" doc:"Of what is stored"`
	Would      string      `json:"would" enum:"hit,stale,miss,bypass,refused" doc:"What the answer would be now"`
	Why        string      `json:"why" doc:"Why it would be no hit"`
	Asked      *Asked      `json:"asked,omitempty" doc:"What came, where it was asked for; what stands above is as of after that"`
	Nearest    []KeyPart   `json:"nearest" doc:"Fields with which a usual client sends the same request, and would have what is stored"`
	Nearby     int         `json:"nearby" doc:"Other responses of the same method and path in the near tier, for another query or other fields: one of the parts differs"`
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
		return &answer[Explanation]{a.o.Explain(r)}, nil
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
	e := a.o.Explain(r)
	e.Asked = asked
	return &answer[Explanation]{e}, nil
}
