package forebay

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/forebay-cache/forebay/internal/hits"
	"github.com/forebay-cache/forebay/internal/keys"
)

// A Func is a function with a cache in front of it. [Wrap] makes it. All methods are safe for
// concurrent use.
//
// The values it returns are shared with the cache and with every other caller: they must not be
// changed. Where callers cannot promise that, [CloneBy] gives each its own.
type Func[P, V any] struct {
	space *Space[V]
	plan  *keys.Plan
	load  func(context.Context, P) (V, error)
	fast  fastPath

	keep  func(context.Context, P, V) Keep
	keyBy func(P) string // nil: the plan
	form  *form[V]       // nil: the cache's codec
	many  func(context.Context, []P) ([]Result[V], error)
	clone func(V) V
	size  func(V) int
}

// A fastPath is what [Func.Get] needs for a near hit, gathered in one place. near is nil where the
// key needs the heap or the caller, or the answer the log.
type fastPath struct {
	near   *near
	prefix string
	plan   *keys.Plan
	hits   *hits.Counter
	cache  *Cache
}

// Wrap puts the cache in front of load. The name is "class" or "class/function", begins every key,
// and must be free. P names what is asked for; its fields are the key (see the package comment), so
// it may hold no interfaces, channels, functions or unexported fields, unless [KeyBy] makes the key.
//
// One load at a time runs for a key, shared by all callers that ask for it. It runs with the first caller's
// context values, without its cancellation, and until [Class.LoadTimeout]: load must not depend on
// anything in the context that is not in P, except in a Private class, whose key holds the caller.
// A load that finds nothing returns [ErrNotFound].
func Wrap[P, V any](c *Cache, name string, load func(context.Context, P) (V, error), opts ...Option[P, V]) (*Func[P, V], error) {
	if c == nil {
		return nil, fmt.Errorf("forebay: Wrap %q: the cache is nil: Open returned an error, or was not called", name)
	}
	f := &Func[P, V]{load: load}
	var mistakes []error
	for i, o := range opts {
		if o == nil {
			mistakes = append(mistakes, fmt.Errorf("option %d is nil", i+1))
			continue
		}
		o(f)
	}
	if load == nil {
		mistakes = append(mistakes, errors.New("the function is nil"))
	}
	var err error
	if f.keyBy == nil {
		if f.plan, err = keys.NewPlan(reflect.TypeFor[P]()); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%w; or say with the option KeyBy what of the parameter is the key", err))
		}
	}
	if f.form != nil && (f.form.encode == nil || f.form.decode == nil) {
		mistakes = append(mistakes, errors.New("EncodeBy: a function is nil"))
	}
	if err := configError(fmt.Sprintf("Wrap %q", name), mistakes); err != nil {
		return nil, err
	}
	if f.space, err = openSpace(c, name, f.size, f.form); err != nil {
		return nil, err
	}
	if f.fastPossible() {
		k := f.space.class
		f.fast = fastPath{c.near, f.space.prefix, f.plan, &k.hits[TierNear], c}
	}
	return f, nil
}

// fastPossible is false where a hit needs more than the near tier.
func (f *Func[P, V]) fastPossible() bool {
	c, k := f.space.cache, f.space.class.now()
	return !c.off && f.keyBy == nil && f.plan.Scalar && !k.Private && k.Sliding == 0 && (c.shared == nil || !k.Strict)
}

// keyScratch is the room on the stack for a key that is only looked up.
const keyScratch = 96

// Get returns the function's answer, from the cache where it may. It has the type of load.
func (f *Func[P, V]) Get(ctx context.Context, p P) (V, error) {
	if fast := &f.fast; fast.near != nil {
		var scratch [keyScratch]byte
		key := keys.AppendScalar(append(scratch[:0], fast.prefix...), fast.plan, unsafe.Pointer(&p))
		if len(key) <= keys.MaxReadable {
			e, st := fast.near.get(unsafe.String(unsafe.SliceData(key), len(key)), fast.cache.now())
			if st == isFresh {
				fast.hits.Add(e.took)
				v, _ := e.value.(V)
				return f.own(v), e.err
			}
		}
	}
	r := f.Do(ctx, p)
	return r.Value, r.Err
}

// A Result is an answer and how it came about.
type Result[V any] struct {
	Value V
	Err   error
	Outcome
}

// Do is Get, and says how the answer came about. Options change this one call.
func (f *Func[P, V]) Do(ctx context.Context, p P, opts ...CallOption) Result[V] {
	r := f.do(ctx, p, callOf(opts))
	f.space.Count(r.Outcome)
	return r
}

func (f *Func[P, V]) do(ctx context.Context, p P, how call) Result[V] {
	key, reason := f.key(ctx, p)
	if reason == NoReason && how.bypass {
		reason = ReasonAsked
	}
	switch {
	case reason != NoReason && how.onlyIfCached:
		return Result[V]{Err: ErrNotCached, Outcome: Outcome{Status: Bypass, Reason: reason}}
	case reason != NoReason:
		return f.bypass(ctx, p, reason)
	case how.refresh:
		return f.fetch(ctx, key, p, how, nil, ReasonRefreshed, BeginOptions{})
	}
	found, ok := f.space.Lookup(ctx, key)
	if how.onlyIfCached && (!ok || found.Use == UseOnError) {
		return Result[V]{Err: ErrNotCached, Outcome: Outcome{Status: Miss, Tier: TierOrigin, Reason: found.Reason}}
	}
	if !ok {
		return f.fetch(ctx, key, p, how, nil, found.Reason, found.BeginOptions())
	}
	switch found.Use {
	case UseAndRefresh:
		f.behind(ctx, key, p, how)
	case UseStale:
		f.behind(ctx, key, p, how)
		found.Reason = ReasonReloading
	case UseOnError:
		return f.fetch(ctx, key, p, how, &found, found.Reason, BeginOptions{visit: found.visit})
	}
	f.space.slide(found.entry)
	return f.result(found)
}

func (f *Func[P, V]) result(found Found[V]) Result[V] {
	if found.Status == Hit {
		found.Reason = NoReason
	}
	return Result[V]{f.own(found.Value), found.Err, found.Outcome}
}

// own returns a value that the caller may have.
func (f *Func[P, V]) own(v V) V {
	if f.clone == nil {
		return v
	}
	return f.clone(v)
}

// key returns the full key of a parameter, or why there is none.
func (f *Func[P, V]) key(ctx context.Context, p P) (string, Reason) {
	c := f.space.cache
	if c.closed.Load() {
		return "", ReasonClosed
	}
	if c.off {
		return "", ReasonOff
	}
	var scratch [keyScratch]byte
	key, err := f.appendKey(append(scratch[:0], f.space.prefix...), &p)
	if err != nil {
		return "", ReasonBadKey
	}
	if f.space.class.now().Private {
		caller := ""
		if c.options.Caller != nil {
			caller = c.options.Caller(ctx)
		}
		if caller == "" {
			return "", ReasonNoCaller
		}
		key = keys.HashPrivate(key, len(f.space.prefix), c.options.Secret, caller)
	} else if len(key) > keys.MaxReadable {
		key = keys.HashLong(key, len(f.space.prefix))
	}
	return string(key), NoReason
}

func (f *Func[P, V]) appendKey(to []byte, p *P) ([]byte, error) {
	if f.keyBy == nil {
		return keys.Append(f.plan, to, p)
	}
	text := f.keyBy(*p)
	return keys.Append(textPlan, to, &text)
}

// textPlan is the plan of a parameter that is a string.
var textPlan = func() *keys.Plan {
	plan, err := keys.NewPlan(reflect.TypeFor[string]())
	if err != nil {
		panic(err) // a string has one
	}
	return plan
}()

// Key returns the full key of a parameter: what [Key] targets. For a private class it is empty,
// because it depends on the caller; and so it is for a parameter whose text form fails.
func (f *Func[P, V]) Key(p P) string {
	key, _ := f.key(context.Background(), p)
	return key
}

func (f *Func[P, V]) bypass(ctx context.Context, p P, why Reason) Result[V] {
	start := time.Now()
	end := f.space.Pass(ctx, "")
	v, err := f.load(ctx, p)
	err = f.space.cache.notFound(err)
	end(err)
	return Result[V]{v, err, Outcome{Status: Bypass, Tier: TierOrigin, Reason: why, LoadTime: time.Since(start)}}
}

// Peek returns what is stored and may still be served, stale or not. It never loads and counts nothing.
func (f *Func[P, V]) Peek(ctx context.Context, p P) (Result[V], bool) {
	key, reason := f.key(ctx, p)
	if reason != NoReason {
		return Result[V]{}, false
	}
	found, ok := f.space.Lookup(ctx, key)
	if !ok {
		return Result[V]{}, false
	}
	return f.result(found), true
}
