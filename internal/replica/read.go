package replica

import (
	"context"
	"errors"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

const (
	// confirmedFor is how long the copy counts as confirmed after a question that read the log to its end (rule 7).
	confirmedFor = 2 * time.Second
	// followAgain is the pause of a follower after a failure.
	followAgain = 100 * time.Millisecond
	// wakeEvery bounds how often a follower is woken: at once where the log was quiet, and at most so often where it is
	// not. A thousand nodes that are woken by each of a thousand records a second would be the end of its server.
	wakeEvery = 20 * time.Millisecond
	// trimEvery is how often a node trims the log.
	trimEvery = time.Minute
)

// Confirmed reports whether a question that was asked less than two seconds ago has read the log to its end. A
// replica that is alone knows everything there is to know.
func (r *Replica) Confirmed() bool {
	return r.tier == nil || r.caughtUp.Load() && r.now()-r.confirmedAt.Load() < int64(confirmedFor)
}

// Ready reports whether the shared tier may be read: the log was read to its end once, the copy is not far behind,
// and nothing that this node has invalidated still waits to be appended (rule 9).
func (r *Replica) Ready() bool {
	return r.tier != nil && !r.ledger.behind.Load() && r.caughtUp.Load() && r.ledger.owing.Load() == 0 && r.journal.empty()
}

// A Question is asked of the log: everything from Head on. Its answer says nothing of what came after it was asked.
type Question struct {
	Head  shared.Stamp
	asked int64
}

// Ask returns the question that a read of the log begins with. What is answered goes to [Replica.Take].
func (r *Replica) Ask() Question {
	head, _ := r.ledger.place()
	return Question{head, r.now()}
}

// Read reads the log to its end. Strict readers use [Replica.Confirm], which shares a read.
func (r *Replica) Read(ctx context.Context) error {
	q := r.Ask()
	answer, err := r.log.Read(ctx, q.Head)
	if err != nil {
		return err
	}
	return r.Take(ctx, q, answer)
}

// readToEnd is Read, however many answers that takes.
func (r *Replica) readToEnd(ctx context.Context) (err error) {
	for err = r.Read(ctx); errors.Is(err, errBehind) && ctx.Err() == nil; err = r.Read(ctx) {
	}
	return err
}

// Take reads the log's answer into the copy, and does what it calls for: when it returns without an error, the
// copy holds the log to its end, as of the question.
func (r *Replica) Take(ctx context.Context, q Question, answer shared.Reading) error {
	switch r.ledger.take(q.Head, answer) {
	case stale:
		return r.Read(ctx)
	case gap:
		return r.restart(ctx, q.Head)
	}
	if answer.More && r.ledger.behind.Load() {
		return errBehind
	} else if answer.More {
		return r.Read(ctx) // another goroutine has read further
	}
	if r.tier != nil && answer.Run != r.ledger.writtenBy() {
		// The server is not the one that wrote the newest record: it restarted, or is another. What it lost is
		// unknown; the fence that Rejoin puts there says so to every node.
		head, _ := r.ledger.place()
		return r.restart(ctx, head)
	}
	r.markConfirmed(q.asked)
	r.reappend()
	return nil
}

// markConfirmed remembers the latest question that read the log to its end.
func (r *Replica) markConfirmed(asked int64) {
	for at := r.confirmedAt.Load(); asked > at && !r.confirmedAt.CompareAndSwap(at, asked); at = r.confirmedAt.Load() {
	}
	r.caughtUp.Store(true)
}

// restart reads the log from its beginning, because it does not join on to what this node knew at seenAt. Of
// several goroutines that find that out, one does it; the others then read what is new, without its token: to
// read may mean to restart again.
func (r *Replica) restart(ctx context.Context, seenAt shared.Stamp) error {
	select {
	case r.restarting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if head, _ := r.ledger.place(); head != seenAt {
		<-r.restarting
		return r.Read(ctx)
	}
	defer func() { <-r.restarting }()
	asked := r.now()
	answer, err := r.log.Rejoin(ctx, seenAt, r.ledger.leftEpochs()) // rule 12
	if err != nil {
		return err
	}
	r.ledger.restart(answer)
	if answer.More {
		return errBehind
	}
	r.markConfirmed(asked)
	r.reappend()
	return nil
}

// reappend defers again what was acknowledged to this node in earlier epochs: a master that is gone may have been
// the only server to have it (rule 10).
func (r *Replica) reappend() {
	for _, one := range r.ledger.takeOwed() {
		r.journal.note(one.targets, one.mode, one.number) // a request must not wait for the disk: flush saves it
		r.ledger.owing.Add(-1)
	}
}

// Follow keeps the copy up to date until ctx ends: it waits for the log to grow, reads it, and appends what waits
// in the journal. One goroutine calls it, for a replica with a tier.
func (r *Replica) Follow(ctx context.Context) {
	trimmed, woken := time.Now(), time.Time{}
	for ctx.Err() == nil {
		err := r.readToEnd(ctx)
		if err == nil {
			err = r.flush(ctx)
		}
		if err == nil && time.Since(trimmed) > trimEvery {
			trimmed = time.Now()
			err = r.tier.Trim(ctx, r.ledger.keeps())
		}
		if err == nil {
			head, _ := r.ledger.place()
			err = r.tier.Follow(ctx, head.ID)
		}
		rest := wakeEvery - time.Since(woken)
		if err != nil {
			rest = max(rest, followAgain)
		}
		if rest > 0 {
			select {
			case <-time.After(rest):
			case <-ctx.Done():
			}
		}
		woken = time.Now()
	}
}

// flush appends what waits in the journal, the oldest first. Its file is written afterwards: a slow disk keeps no
// request from the shared tier.
func (r *Replica) flush(ctx context.Context) error {
	err := r.appendWaiting(ctx)
	r.reportSave(r.journal.save())
	return err
}

func (r *Replica) appendWaiting(ctx context.Context) error {
	for {
		oldest := r.journal.oldest()
		if len(oldest) == 0 {
			return nil
		}
		if _, err := r.append(ctx, oldest...); err != nil {
			return err
		}
		r.journal.done(oldest)
	}
}

// reportSave logs when the journal's file begins to fail, and when it works again.
func (r *Replica) reportSave(err error) {
	switch failing := err != nil; {
	case failing == r.unsaved.Swap(failing):
	case failing:
		r.logger.Error("forebay: invalidations wait in memory alone: a crash would lose them, until the disk takes them", "error", err)
	default:
		r.logger.Info("forebay: the journal's file is complete again")
	}
}

// ReadLog answers with the log from a place on, as it stands there: the copy learns nothing from it.
func (r *Replica) ReadLog(ctx context.Context, from shared.Stamp) (shared.Reading, error) {
	answer, err := r.log.Read(ctx, from)
	for i, rec := range answer.Records {
		answer.Records[i] = r.ledger.trusted(rec)
	}
	return answer, err
}
