// Package otel makes OpenTelemetry spans of what a cache does for a request:
//
//	cache, err := forebay.Open(ctx, forebay.Options{Trace: otel.Trace(tracer)})
//
// Each step is a child of the span in the context that the function was called with: the tier that was asked, the load that was
// waited for, the origin. Without a recording span there nothing is made.
package otel

import (
	"context"

	"github.com/forebay-cache/forebay"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Trace returns what [forebay.Options.Trace] is told, or [forebay.WithTrace]: it makes spans by the tracer. Their names are
// "forebay near", "forebay log", "forebay shared", "forebay lease", "forebay wait" and "forebay origin"; their attributes
// forebay.class, forebay.key and forebay.found.
func Trace(tracer trace.Tracer) *forebay.Trace {
	return &forebay.Trace{Step: func(ctx context.Context, s forebay.Step) {
		if trace.SpanFromContext(ctx).IsRecording() {
			span(ctx, tracer, s)
		}
	}}
}

// span makes one of what has happened already: its times are the step's.
func span(ctx context.Context, tracer trace.Tracer, s forebay.Step) {
	attributes := []attribute.KeyValue{
		attribute.String("forebay.class", s.Class), attribute.String("forebay.found", s.Found), attribute.String("forebay.key", s.Key),
	}
	kind := trace.SpanKindInternal
	switch s.Stage {
	case forebay.StageShared, forebay.StageLog, forebay.StageLease:
		kind = trace.SpanKindClient
		attributes = append(attributes, attribute.String("db.system.name", "redis"))
	}
	_, made := tracer.Start(ctx, "forebay "+s.Stage.String(), trace.WithTimestamp(s.Start), trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
	if s.Err != nil {
		made.SetStatus(codes.Error, s.Err.Error())
	}
	made.End(trace.WithTimestamp(s.Start.Add(s.Duration)))
}
