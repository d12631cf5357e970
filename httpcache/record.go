package httpcache

import (
	"context"
	"time"
)

// A Record is what the cache made of one request, for a log. It is filled in when the request has been answered.
type Record struct {
	Rule   string        // the pattern of its rule; empty: none matches
	Class  string        // of its entry
	Key    string        // of its entry; empty: it has none
	Origin time.Duration // that it waited for the head of the origin's answer; 0: it did not
}

type recordKey struct{}

// WithRecord returns a context for a request in which its record is filled in.
func WithRecord(ctx context.Context, r *Record) context.Context {
	return context.WithValue(ctx, recordKey{}, r)
}

// note fills in what is known before the answer.
func (a *ask) note(r *Record) {
	r.Class, r.Key = a.route.class.Name, a.key
	if a.route.ruled {
		r.Rule = a.route.Match
	}
	a.record, a.began = r, time.Now()
}

// answered notes how long the origin took to begin its answer.
func (a *ask) answered() {
	if a.record != nil && a.record.Origin == 0 {
		a.record.Origin = time.Since(a.began)
	}
}
