package otel_test

import (
	"context"
	"errors"
	"testing"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/forebaytest"
	"github.com/forebay-cache/forebay/otel"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Each step is a child of the caller's span, and so is what a load makes of its own.
func TestSpans(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
	c := forebaytest.Open(t, forebay.Options{Trace: otel.Trace(tracer)})
	f, err := forebay.Wrap(c, "users", func(ctx context.Context, n int) (int, error) {
		_, span := tracer.Start(ctx, "SELECT")
		defer span.End()
		if n < 0 {
			return 0, errors.New("no such user")
		}
		return n, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Get(t.Context(), 1) // nobody traces it
	if n := len(recorder.Ended()); n != 1 {
		t.Errorf("%d spans without a caller's", n)
	}
	ctx, caller := tracer.Start(t.Context(), "request")
	f.Get(ctx, 2)
	f.Do(ctx, 2)
	f.Get(ctx, -1)
	caller.End()
	names := map[string]int{}
	for _, s := range recorder.Ended()[1:] {
		if s.Name() == "request" {
			continue
		}
		names[s.Name()]++
		if s.Parent().SpanID() != caller.SpanContext().SpanID() {
			t.Errorf("%s is not the caller's child", s.Name())
		}
		if s.Name() == "forebay origin" && s.Status().Code == codes.Error {
			names["failed"]++
		}
	}
	if names["forebay near"] != 3 || names["forebay origin"] != 2 || names["SELECT"] != 2 || names["failed"] != 1 {
		t.Errorf("%v", names)
	}
}
