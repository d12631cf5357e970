package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/forebay-cache/forebay"
	spans "github.com/forebay-cache/forebay/otel"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// traces send the way of requests to an OpenTelemetry collector. nil: none is configured.
type traces struct {
	provider *sdktrace.TracerProvider
	steps    *forebay.Trace
}

// flushTimeout bounds how long the end of the program waits for the last spans.
const flushTimeout = 5 * time.Second

// openTraces reads the standard environment: OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER,
// OTEL_EXPORTER_OTLP_ENDPOINT and what the SDK itself reads (service name, resource, sampler, headers,
// timeouts). Nothing is sent unless an endpoint or the exporter otlp is named.
func openTraces(ctx context.Context, logger *slog.Logger) (*traces, error) {
	endpoint := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") + os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	switch exporter := os.Getenv("OTEL_TRACES_EXPORTER"); {
	case os.Getenv("OTEL_SDK_DISABLED") == "true", exporter == "none", exporter == "" && endpoint == "":
		return nil, nil
	case exporter != "" && exporter != "otlp":
		return nil, usageError{fmt.Errorf("OTEL_TRACES_EXPORTER=%s: this program sends traces by otlp alone: set otlp or none", exporter)}
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if p := os.Getenv(name); p != "" && p != "http/protobuf" {
			return nil, usageError{fmt.Errorf("%s=%s: this program speaks http/protobuf alone, to port 4318 of most collectors", name, p)}
		}
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, usageError{fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)}
	}
	of, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "forebay"), attribute.String("service.version", version())),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, usageError{fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)}
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("traces are not delivered", slog.Any("error", err)) }))
	p := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(of))
	return &traces{p, spans.Trace(p.Tracer("github.com/forebay-cache/forebay"))}, nil
}

// handler makes a span of each request, and of each step of its way through the cache.
func (t *traces) handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return otelhttp.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if trace.SpanFromContext(r.Context()).IsRecording() {
			r = r.WithContext(forebay.WithTrace(r.Context(), t.steps))
		}
		next.ServeHTTP(w, r)
	}), "request", otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})))
}

// id is the trace of a request that is sent; empty: none is.
func (t *traces) id() func(context.Context) string {
	if t == nil {
		return nil
	}
	return func(ctx context.Context) string {
		if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
			return span.TraceID().String()
		}
		return ""
	}
}

// close sends what is left.
func (t *traces) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		otel.Handle(err)
	}
}
