package admin

import (
	"context"
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
	Nearest    []KeyPart   `json:"nearest" doc:"Fields with which a usual client sends the same request, and would have what is stored"`
	Nearby     int         `json:"nearby" doc:"Other responses of the same method and path in the near tier, for another query or other fields: one of the parts differs"`
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
	return &answer[Explanation]{a.o.Explain(r)}, nil
}
