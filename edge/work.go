package edge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

// A batch is what a turn purges.
type batch struct {
	hard, soft  []string
	first, last shared.Stamp // invalidations in it
	to          shared.Stamp // how far the log was read: nodes do not report their self-tests
}

func (b *batch) tags() []string { return reduce(append(slices.Clone(b.hard), b.soft...)) }

// turn does what the log says since the last turn, if this node is the one to do it. more: there may be more at once.
//
//  1. The nodes have applied the invalidations, and say so.
//  2. The CDN is purged: what it stores from here on comes from nodes that know.
//  3. But for what was on its way: so it is purged again, a moment later.
//  4. Only then is the place in the log kept. A node that ends before leaves it to the next one, which begins at 1.
func (q *Queue) turn(ctx context.Context) (more bool, err error) {
	if leads, err := q.leading(ctx); err != nil || !leads {
		return false, err
	}
	s, found, err := q.load(ctx)
	if err != nil {
		return false, err
	}
	b, err := q.read(ctx, s.Cursor, found)
	if err != nil {
		return false, err
	}
	if len(b.hard)+len(b.soft) == 0 {
		q.well(false)
		if b.to != s.Cursor {
			s.Cursor = b.to // self-tests alone
			return false, q.save(ctx, s)
		}
		return false, nil
	}
	leading, stop := context.WithCancel(ctx)
	defer stop()
	q.holdOn(leading, stop)
	t := Turn{ID: b.last.ID.String(), First: b.first.ID.String(), Tags: len(b.hard) + len(b.soft), Begun: time.Now()}
	err = q.purge(leading, &t, b)
	if ctx.Err() == nil && leading.Err() != nil {
		return false, fmt.Errorf("another node has taken the purges over")
	}
	switch {
	case err == nil:
		s.revive(b.tags())
		q.well(true)
	case refused(err):
		q.fail("a purge is kept among the dead letters until it is retried", err)
		t.Error = err.Error()
		s.Failed++
		s.bury(t, b.tags(), t.Error)
	default:
		return false, err
	}
	s.end(t, b.to)
	return true, q.save(ctx, s)
}

// holdOn prolongs the lease until ctx ends, and ends it where another node has it.
func (q *Queue) holdOn(ctx context.Context, lost context.CancelFunc) {
	q.work.Go(func() {
		tick := time.NewTicker(leaseLife / 4)
		defer tick.Stop()
		held := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			switch holds, err := q.leading(ctx); {
			case err == nil && holds:
				held = time.Now()
			case err == nil || time.Since(held) > leaseLife:
				lost()
				return
			}
		}
	})
}

// read collects what the log says beyond a place. Where the log does not have the place, or began again, what was missed is
// not known: everything is purged.
func (q *Queue) read(ctx context.Context, from shared.Stamp, known bool) (b batch, err error) {
	b.to = from
	for at, all := from, !known; ; {
		r, err := q.o.Cache.ReadLog(ctx, at)
		if err != nil {
			return b, err
		}
		records := r.Records
		if len(records) > 0 && (shared.Stamp{Epoch: records[0].Epoch, ID: records[0].ID}) == at {
			records = records[1:]
		} else if len(records) > 0 && known && at == from {
			all = true
		}
		for _, rec := range records {
			b.to = shared.Stamp{Epoch: rec.Epoch, ID: rec.ID}
			tags := tagsOf(rec.Target)
			if len(tags) == 0 && !rec.Fence {
				continue
			}
			if b.last = b.to; b.first == (shared.Stamp{}) {
				b.first = b.to
			}
			if all = all || rec.Fence || rec.Unreadable; all {
				continue
			}
			if rec.Mode == shared.Expire && q.o.Purger.Limits().Soft {
				b.soft = append(b.soft, tags...)
			} else {
				b.hard = append(b.hard, tags...)
			}
		}
		if b.hard = reduce(b.hard); all {
			b.hard, b.soft = []string{allTag}, nil
		}
		b.soft = slices.DeleteFunc(reduce(b.soft), func(tag string) bool { _, hard := slices.BinarySearch(b.hard, tag); return hard })
		if !r.More || len(records) == 0 || b.to == at {
			return b, nil
		}
		at = b.to
	}
}

// purge does a turn's work at the CDN.
func (q *Queue) purge(ctx context.Context, t *Turn, b batch) error {
	t.Nodes = awaitNodes(ctx, q.o.Cache, b.last, q.o.Apply)
	if err := q.once(ctx, t, b); err != nil {
		return err
	}
	t.Purged = time.Now()
	select {
	case <-time.After(q.o.Settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := q.once(ctx, t, b); err != nil {
		return err
	}
	t.Done = time.Now()
	if q.o.Probe != nil {
		p := q.o.Probe(ctx)
		t.Probe = &p
		if !p.New && ctx.Err() == nil {
			q.o.Logger.Warn("edge: a probe after a purge did not see the new answer", "url", p.URL, "error", p.Error, "id", t.ID)
		}
	}
	return ctx.Err()
}

// once purges everything in a batch, and waits until the CDN says that it is done.
func (q *Queue) once(ctx context.Context, t *Turn, b batch) error {
	for _, part := range []struct {
		tags []string
		soft bool
	}{{b.hard, false}, {b.soft, true}} {
		for tags := range slices.Chunk(part.tags, q.o.Purger.Limits().Tags) {
			if err := q.rate.Wait(ctx); err != nil {
				return err
			}
			calling, cancel := context.WithTimeout(ctx, callFor)
			id, err := q.o.Purger.Purge(calling, tags, part.soft)
			cancel()
			q.counts.note(err)
			if err != nil {
				return err
			}
			if len(t.Purges) < maxPurges {
				t.Purges = append(t.Purges, id)
			}
			if err := q.ended(ctx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxPurges bounds the names that a turn keeps.
const maxPurges = 20

// ended waits until the CDN says that a purge is done.
func (q *Queue) ended(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, doneFor)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		calling, cancel := context.WithTimeout(ctx, callFor)
		done, err := q.o.Purger.Done(calling, id)
		cancel()
		if err != nil || done {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("the CDN has not ended its purge %s: %w", id, ctx.Err())
		}
	}
}

// head is how far a node has come.
func head(c *forebay.Cache) shared.Stamp { return c.Stats().Log.Head }
