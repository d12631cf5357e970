// Package replica is a node's copy of the log of invalidations: what it has read, what it judges entries by, and
// how its own invalidations reach the log. docs/log.md has the rules in full, with the interleaving that breaks a
// cache without each of them; here is where each rule is kept:
//
//	 1  an append begins an epoch where the server's run is new      the tier's script (shared.Log)
//	 2  a stamp is taken before a load and counts in its epoch        Place, JudgeStamp (judge.go)
//	 3  reading starts at the head, inclusive; a gap restarts         take, restart (take.go), absorb (read.go)
//	 4  one number for each thing learned, its own at once            note (ledger.go), own (take.go)
//	 5  a remove and an expire have a place each                      mark (ledger.go)
//	 6  what leaves raises the floor or becomes its class             prune.go
//	 7  confirmed: read to the end of the log less than 2 s ago       Confirmed, markConfirmed (read.go)
//	 8  a strict caller that cannot confirm loads                     the cache's lookup and flights
//	 9  the shared tier is read only with an empty journal            Ready (read.go)
//	10  what cannot be appended waits, and is appended again          append.go, journal.go, acknowledged.go
//	11  trimming keeps one record                                     the tier's script
//	12  a log that does not join on is told what was seen             restart (read.go), left (ledger.go)
package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/shared"
)

// Options configure a [Replica].
type Options struct {
	Tier      shared.Tier         // whose log it is; nil: a log in memory, which nobody else writes to
	Targets   int                 // remembered one by one at most; 0: 100,000, about 150 B each
	Retention time.Duration       // the longest life of an entry
	Keys      *codec.Keyring      // that records must be written with; nil: any record counts
	Journal   string              // file of what the log does not have yet; empty: memory
	AppendFor time.Duration       // how long an invalidation tries before it is deferred; negative: once
	Now       func() int64        // nanoseconds on a monotonic clock
	Learned   func(shared.Record) // told each record of another node, under the replica's lock
	Logger    *slog.Logger
}

// A Replica is a node's copy of the log. It is safe for concurrent use. [Open] opens it; [Replica.Start] reads the
// log, [Replica.Follow] keeps the copy up to date, and [Replica.Close] ends it.
type Replica struct {
	ledger ledger // first: a near hit reads its number

	tier      shared.Tier // nil: alone
	log       shared.Log  // the tier, or one in memory
	journal   *journal    // invalidations that the log does not have yet
	batch     batch       // of the reads of strict callers
	appendFor time.Duration
	now       func() int64
	logger    *slog.Logger

	restarting  chan struct{}           // holds one token while the log is read from its beginning
	confirmedAt atomic.Int64            // when the latest question was asked that read the log to its end
	caughtUp    atomic.Bool             // the log was read to its end once
	refusal     atomic.Pointer[refusal] // nil: the log accepts what is appended
	unsaved     atomic.Bool             // the journal's file fails
	closed      atomic.Bool
}

// Open opens a replica that knows nothing yet. Its error is the journal's.
func Open(o Options) (*Replica, error) {
	r := &Replica{
		tier: o.Tier, log: o.Tier, appendFor: o.AppendFor, now: o.Now, logger: o.Logger, restarting: make(chan struct{}, 1),
	}
	r.batch.readLog = r.Read
	r.ledger.init(o)
	if o.Tier == nil {
		r.log = shared.NewMemory()
	}
	var err error
	r.journal, err = openJournal(o.Journal)
	return r, err
}

// Start reads the log for the first time. An error says that the tier cannot be used yet: [Replica.Follow] goes
// on trying.
func (r *Replica) Start(ctx context.Context) error {
	for _, d := range r.journal.renumber(&r.ledger) {
		r.logger.Warn("forebay: an earlier process left an invalidation that the log does not have", "targets", fmt.Sprint(d.Targets), "mode", d.Mode.String())
	}
	return r.readToEnd(ctx)
}

// Close saves what waits in the journal. It is safe to call twice.
func (r *Replica) Close() error {
	r.closed.Store(true)
	if r.tier != nil && !r.journal.empty() {
		r.logger.Warn("forebay: closed with invalidations that the log does not have", "waiting", r.Deferred(), "file", r.journal.path)
	}
	return r.journal.close()
}

// Number is the last number taken: what was judged valid at it is valid still.
func (r *Replica) Number() uint64 { return r.ledger.number.Load() }

// Deferred is how many invalidations wait for the log.
func (r *Replica) Deferred() int64 { return r.journal.waiting.Load() }

// Stats is how a replica stands to the log.
type Stats struct {
	Head       shared.Stamp
	Floor      shared.ID
	Lag        time.Duration // since the latest question was asked that read the log to its end; 0 if alone
	Confirmed  bool
	Targets    int    // remembered one by one
	Unreadable uint64 // records that counted as the removal of everything
	Refused    string // why the log has refused every append since the last that it accepted; empty: it accepts them
}

// Stats returns them as they are now.
func (r *Replica) Stats() Stats {
	s := r.ledger.stats()
	s.Confirmed = r.Confirmed()
	if f := r.refusal.Load(); f != nil {
		s.Refused = f.err.Error()
	}
	if r.tier != nil {
		s.Lag = time.Duration(r.now() - r.confirmedAt.Load())
	}
	return s
}

// errBehind says that the log holds more than one answer does. The follower reads it alone:
//
//  1. Another node invalidates faster than one answer after the other can be read.
//  2. Each strict reader here is given the same page, reads it, and asks for the next.
//  3. The more of them wait, the longer each page takes: none comes to the end.
var errBehind = errors.New("forebay: this node is still reading the log")
