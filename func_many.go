package forebay

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"
)

// GetMany returns one result for each parameter, in their order. What is not stored is loaded by
// one call of [BatchBy] for each thousand where there is one, else one by one, several at once. The error joins the
// failures; the results that have none are good. "Not found" is a result, not a failure.
func (f *Func[P, V]) GetMany(ctx context.Context, ps []P) ([]Result[V], error) {
	results := make([]Result[V], len(ps))
	if f.many == nil {
		f.each(ctx, ps, results)
	} else {
		for at := 0; at < len(ps); at += batchSize {
			end := min(at+batchSize, len(ps))
			f.batch(ctx, ps[at:end], results[at:end])
		}
	}
	var failed []error
	for _, r := range results {
		f.space.Count(r.Outcome)
		if r.Err != nil && !errors.Is(r.Err, ErrNotFound) {
			failed = append(failed, r.Err)
		}
	}
	return results, errors.Join(failed...)
}

// atOnce is how many parameters are asked for at the same time.
func (f *Func[P, V]) atOnce() int {
	if n := f.space.class.now().MaxLoads; n > 0 {
		return n
	}
	return defaultClass.MaxLoads
}

func (f *Func[P, V]) each(ctx context.Context, ps []P, results []Result[V]) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, f.atOnce())
	for i := range ps {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i] = f.safely(ctx, ps[i], func(ctx context.Context, p P) Result[V] { return f.do(ctx, p, call{}) })
		})
	}
	wg.Wait()
}

// safely gets an answer in a goroutine of the cache's own, where a panic of the user's functions would be nobody's
// to recover.
func (f *Func[P, V]) safely(ctx context.Context, p P, get func(context.Context, P) Result[V]) (r Result[V]) {
	defer func() {
		if v := recover(); v != nil {
			r = Result[V]{Err: &PanicError{Value: v, Stack: debug.Stack()}, Outcome: Outcome{Status: Miss, Tier: TierOrigin}}
		}
	}()
	return get(ctx, p)
}

// warm is do for a caller that wants nothing but a fresh answer.
func (f *Func[P, V]) warm(ctx context.Context, p P) Result[V] {
	key, reason := f.key(ctx, p)
	switch reason {
	case NoReason:
	case ReasonOff:
		return Result[V]{} // there is nothing to warm
	default:
		return f.bypass(ctx, p, reason)
	}
	found, ok := f.space.Lookup(ctx, key)
	if ok && (found.Use == UseFresh || found.Use == UseAndRefresh) {
		return f.result(found)
	}
	return f.fetch(ctx, key, p, call{}, nil, found.Reason, found.BeginOptions())
}

// Warm loads what is not stored and fresh yet, waits for each load, several at once, and tells progress after each one;
// progress may be nil. It counts no requests. The error is ctx's, or says how many failed and why
// the first did.
func (f *Func[P, V]) Warm(ctx context.Context, params iter.Seq[P], progress func(done, failed int)) error {
	var (
		wg           sync.WaitGroup
		mu           sync.Mutex // guards the fields below
		done, failed int
		first        error
	)
	slots := make(chan struct{}, f.atOnce())
	for p := range params {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		wg.Go(func() {
			err := f.safely(ctx, p, f.warm).Err
			<-slots
			mu.Lock()
			defer mu.Unlock()
			if err != nil && !errors.Is(err, ErrNotFound) {
				failed++
				if first == nil {
					first = err
				}
			} else {
				done++
			}
			if progress != nil {
				progress(done, failed)
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	if first != nil {
		return fmt.Errorf("forebay: warm %s: %d of %d failed, the first: %w", f.space.name, failed, done+failed, first)
	}
	return nil
}
