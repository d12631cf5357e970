package replica

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

const (
	firstPause = 10 * time.Millisecond // before an append is tried again, growing …
	lastPause  = 100 * time.Millisecond
	// maxAppend is how many records are appended in one step: a server does one thing at a time, and every
	// other client waits meanwhile.
	maxAppend = 256
	// manyFor bounds how long an invalidation of more targets than that waits for the log.
	manyFor = 250 * time.Millisecond
)

// An Invalidation is what [Replica.Invalidate] has done.
type Invalidation struct {
	Number   uint64    // that it took on this node
	ID       shared.ID // of the last of its records; zero if it was deferred
	Deferred bool      // it counts on this node, and waits in the journal for the log
}

// Invalidate makes an invalidation count on this node, and in the log: it tries for [Options.AppendFor], and then
// defers it. It keeps targets.
func (r *Replica) Invalidate(ctx context.Context, mode shared.Mode, targets []shared.Target) Invalidation {
	done := Invalidation{Number: r.ledger.note(targets, mode)}
	var err error
	if done.ID, err = r.appendWithin(ctx, deferred{Mode: mode, Targets: targets, Number: done.Number}); err != nil {
		done.Deferred = true
		r.reportSave(r.journal.add(targets, mode, done.Number))
	}
	return done
}

// appendWithin appends an invalidation, and tries again for as long as [Options.AppendFor] says: a tier that does
// not answer for a moment is no reason for other nodes not to know. A record that may have been appended is appended
// again, which does no harm. When the caller leaves, or its time is up, an attempt is not cut off, because what
// was written to the origin was written; but there is no further attempt.
func (r *Replica) appendWithin(ctx context.Context, d deferred) (shared.ID, error) {
	begun, gone := r.now(), ctx.Done()
	ctx = context.WithoutCancel(ctx)
	if len(d.Targets) > maxAppend {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, manyFor)
		defer cancel()
	}
	id, err := r.append(ctx, d)
	budget := int64(r.appendFor)
	for pause := firstPause; err != nil && r.tier != nil && ctx.Err() == nil && !r.closed.Load(); pause = min(2*pause, lastPause) {
		// A log that has refused every append, or was away, for longer than that has used the budget up.
		now := r.now()
		if now-begun >= budget || r.refusedFor(now) >= budget || now-r.confirmedAt.Load() >= budget {
			return id, err
		}
		select {
		case <-time.After(pause):
		case <-gone:
			return id, err
		}
		id, err = r.append(ctx, d)
	}
	return id, err
}

// A refusal is since when the log has refused every append, and why it has refused the latest.
type refusal struct {
	since int64
	err   error
}

// refusedFor is how long the log has refused every append.
func (r *Replica) refusedFor(now int64) int64 {
	if f := r.refusal.Load(); f != nil {
		return now - f.since
	}
	return 0
}

// append writes invalidations to the log. It returns the last record's place. An error means that it is not known
// whether the log has them.
func (r *Replica) append(ctx context.Context, all ...deferred) (last shared.ID, err error) {
	defer func() {
		if err == nil {
			r.refusal.Store(nil)
		} else if since := r.refusal.Load(); since != nil {
			r.refusal.CompareAndSwap(since, &refusal{since.since, err})
		} else {
			r.refusal.CompareAndSwap(nil, &refusal{r.now(), err})
		}
	}()
	epoch := ""
	for batch := range slices.Chunk(r.records(all), maxAppend) {
		if err := ctx.Err(); err != nil {
			return shared.ID{}, err
		}
		answer, err := r.appendBatch(ctx, batch)
		if err != nil {
			return shared.ID{}, err
		}
		if epoch != "" && answer.Epoch != epoch {
			return shared.ID{}, shared.ErrAway // what was appended before may have been lost with its epoch
		}
		epoch, last = answer.Epoch, answer.Appended[len(batch)-1]
	}
	var settled []uint64
	for _, d := range all {
		settled = append(append(settled, d.stands...), d.Number)
	}
	r.ledger.settle(settled...)
	return last, nil
}

// records are the log's form of invalidations, one for each target.
func (r *Replica) records(all []deferred) []shared.Record {
	var out []shared.Record
	for _, d := range all {
		by := r.ledger.by(d.Number)
		for _, t := range d.Targets {
			out = append(out, r.ledger.keyring.SignRecord(shared.Record{Target: t, Mode: d.Mode, By: by}))
		}
	}
	return out
}

// appendBatch writes records to the log and reads its answer, up to them, into the copy: only what was read back
// is acknowledged.
func (r *Replica) appendBatch(ctx context.Context, records []shared.Record) (shared.Reading, error) {
	q := r.Ask()
	answer, err := r.log.Append(ctx, q.Head.ID, records)
	if err != nil {
		return answer, err
	}
	if len(answer.Appended) != len(records) {
		return answer, fmt.Errorf("forebay: the log has appended %d records of %d", len(answer.Appended), len(records))
	}
	if err := r.Take(ctx, q, answer); err != nil {
		return answer, err
	}
	if !r.ledger.acknowledge(records, shared.Stamp{Epoch: answer.Epoch, ID: answer.Appended[len(records)-1]}) {
		return answer, shared.ErrAway // the log that has them is not the one that this node follows now
	}
	return answer, nil
}
