package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/forebay-cache/forebay/internal/redistest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A sink is a collector that keeps what it is sent.
type sink struct {
	mu    sync.Mutex
	spans []*spans.Span
	names []string // of the services
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(r.Body)
	}
	data, _ := io.ReadAll(body)
	var sent collector.ExportTraceServiceRequest
	if r.URL.Path != "/v1/traces" || proto.Unmarshal(data, &sent) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range sent.ResourceSpans {
		for _, a := range of.Resource.Attributes {
			if a.Key == "service.name" {
				s.names = append(s.names, a.Value.GetStringValue())
			}
		}
		for _, scope := range of.ScopeSpans {
			s.spans = append(s.spans, scope.Spans...)
		}
	}
}

func TestTraces(t *testing.T) {
	redis := redistest.Start(t)
	s := &sink{}
	server := httptest.NewServer(s)
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_SERVICE_NAME", "partners")
	t.Run("requests", func(t *testing.T) { // its end flushes
		platform, _, _ := startDemo(t, "--redis", redis.URL())
		req, _ := http.NewRequest("GET", platform+"/api/templates?cleanroom_id=cr-1", nil)
		req.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		fetch(t, platform+"/api/templates?cleanroom_id=cr-1")
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.names) == 0 || s.names[0] != "partners" {
		t.Errorf("services %v", s.names)
	}
	ways := map[string][]string{}
	byID := map[string]*spans.Span{}
	for _, span := range s.spans {
		byID[string(span.SpanId)] = span
	}
	for _, span := range s.spans {
		if parent := byID[string(span.ParentSpanId)]; parent != nil {
			if span.StartTimeUnixNano < parent.StartTimeUnixNano || span.EndTimeUnixNano > parent.EndTimeUnixNano+1e9 {
				t.Errorf("%s is outside of %s", span.Name, parent.Name)
			}
			ways[string(span.TraceId)] = append(ways[string(span.TraceId)], span.Name)
		}
	}
	const given = "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c"
	if got := strings.Join(ways[given], ", "); got != "forebay near, forebay shared, forebay lease, forebay origin" {
		t.Errorf("the way of the miss, under the client's trace: %q", got)
	}
	delete(ways, given)
	hit := ""
	for _, names := range ways {
		hit = strings.Join(names, ", ")
	}
	if len(ways) != 1 || hit != "forebay near" {
		t.Errorf("the way of the hit: %v", ways)
	}
}

func TestTracesAreConfiguredByTheStandardEnvironment(t *testing.T) {
	for _, test := range []struct{ name, value, says string }{
		{"OTEL_TRACES_EXPORTER", "zipkin", "otlp or none"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(test.name, test.value)
			var b bytes.Buffer
			if code := run(t.Context(), []string{"demo", "--addr", "127.0.0.1:0", "--admin", "off"}, &b, &b); code != exitUsage || !strings.Contains(b.String(), test.says) {
				t.Errorf("%d %s", code, b.String())
			}
		})
	}
	for name, value := range map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "none", "OTEL_SERVICE_NAME": "x"} {
		t.Run("off by "+name, func(t *testing.T) {
			t.Setenv(name, value)
			if name != "OTEL_SERVICE_NAME" {
				t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			}
			if traces, err := openTraces(t.Context(), nil); traces != nil || err != nil {
				t.Errorf("%v %v", traces, err)
			}
		})
	}
}
