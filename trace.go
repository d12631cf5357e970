package forebay

import (
	"context"
	"time"
)

// A Trace is told the steps of the requests whose context carries it, as net/http/httptrace is for a
// client: [WithTrace]. Near hits of [Func.Get] are too short to be told; those of [Func.Do] are.
type Trace struct {
	// Step is told a step when it ends. It may be called by several goroutines at once, and after
	// the request was answered: what loads behind an answer goes on. It must not block.
	Step func(context.Context, Step)
}

// A Stage is where a step happens.
type Stage uint8

const (
	StageNear   Stage = iota // the near tier was asked
	StageLog                 // the log was read, so that this node knows every invalidation
	StageShared              // the shared tier was asked
	StageLease               // the lease of the key was taken, or another node's load waited for
	StageWait                // a load that another request had begun was waited for
	StageOrigin              // the origin was asked
)

var stageNames = [...]string{"near", "log", "shared", "lease", "wait", "origin"}

func (p Stage) String() string { return nameOf(stageNames[:], p) }

// A Step is one part of a request's way.
type Step struct {
	Stage    Stage
	Class    string
	Key      string
	Found    string // what came of it, in a word: hit, stale, absent, expired, loaded, failed, …
	Start    time.Time
	Duration time.Duration
	Err      error
}

type traceKey struct{}

// WithTrace returns a context whose requests are traced. A trace that ctx carries already is told too.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, both(t, traceOf(ctx)))
}

// both tells two traces.
func both(t, also *Trace) *Trace {
	switch {
	case t == nil:
		return also
	case also == nil:
		return t
	}
	return &Trace{Step: func(ctx context.Context, s Step) { t.Step(ctx, s); also.Step(ctx, s) }}
}

func traceOf(ctx context.Context) *Trace {
	t, _ := ctx.Value(traceKey{}).(*Trace)
	return t
}

// A traced step that has begun; without a trace it does nothing.
type traced struct {
	trace *Trace
	ctx   context.Context
	step  Step
}

func beginStep(ctx context.Context, p Stage, sp *space, key string) traced {
	t := both(traceOf(ctx), sp.cache.options.Trace)
	if t == nil {
		return traced{}
	}
	return traced{t, ctx, Step{Stage: p, Class: sp.class.Name, Key: key, Start: time.Now()}}
}

func (t traced) end(found string, err error) {
	if t.trace == nil {
		return
	}
	t.step.Duration, t.step.Found, t.step.Err = time.Since(t.step.Start), found, err
	if err != nil {
		t.step.Found = "failed"
	}
	t.trace.Step(t.ctx, t.step)
}

// foundWord says what a look-up found.
func foundWord(e *entry, st state, now int64) string {
	switch {
	case e == nil:
		return ReasonAbsent.String()
	case st <= isAhead:
		return Hit.String()
	case st == isStale:
		return StaleHit.String()
	}
	return e.outcome(now).Reason.String()
}
