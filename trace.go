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

// A Part is where a step happens.
type Part uint8

const (
	PartNear   Part = iota // the near tier was asked
	PartLog                // the log was read, so that this node knows every invalidation
	PartShared             // the shared tier was asked
	PartLease              // the lease of the key was taken, or another node's load waited for
	PartWait               // a load that another request had begun was waited for
	PartOrigin             // the origin was asked
)

var partNames = [...]string{"near", "log", "shared", "lease", "wait", "origin"}

func (p Part) String() string { return nameOf(partNames[:], p) }

// A Step is one part of a request's way.
type Step struct {
	Part  Part
	Class string
	Key   string
	Found string // what came of it, in a word: hit, stale, absent, expired, loaded, failed, …
	Begun time.Time
	Took  time.Duration
	Err   error
}

type traceKey struct{}

// WithTrace returns a context whose requests are traced. A trace that ctx carries already is told too.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	if old := traceOf(ctx); old != nil {
		first := *t
		t = &Trace{Step: func(ctx context.Context, s Step) { first.Step(ctx, s); old.Step(ctx, s) }}
	}
	return context.WithValue(ctx, traceKey{}, t)
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

func beginStep(ctx context.Context, p Part, sp *space, key string) traced {
	t := traceOf(ctx)
	if t == nil {
		return traced{}
	}
	return traced{t, ctx, Step{Part: p, Class: sp.class.Name, Key: key, Begun: time.Now()}}
}

func (t traced) end(found string, err error) {
	if t.trace == nil {
		return
	}
	t.step.Took, t.step.Found, t.step.Err = time.Since(t.step.Begun), found, err
	if err != nil {
		t.step.Found = "failed"
	}
	t.trace.Step(t.ctx, t.step)
}

// foundWord says what a look-up found.
func foundWord(e *entry, st state, now int64) string {
	switch {
	case e == nil:
		return Absent.String()
	case st <= isAhead:
		return Hit.String()
	case st == isStale:
		return StaleHit.String()
	}
	return e.outcome(now).Reason.String()
}
