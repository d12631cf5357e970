package forebay

import "context"

// A visited context is one that goes on with another's visit to the shared tier: see [shared.Tier].
type visited struct {
	context.Context
	visit context.Context
}

func within(ctx, visit context.Context) context.Context {
	if visit == nil || visit == ctx {
		return ctx
	}
	return visited{ctx, visit}
}

func (v visited) Value(key any) any {
	if value := v.Context.Value(key); value != nil {
		return value
	}
	return v.visit.Value(key)
}
