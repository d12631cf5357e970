package shared

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// An ID is a place in the log: milliseconds of the log's own clock and a counter within them, as
// in a Redis stream. IDs order the records of one epoch; across epochs they say nothing.
type ID struct{ Ms, Seq uint64 }

// Compare orders two IDs of the same epoch.
func (i ID) Compare(o ID) int {
	if c := cmp.Compare(i.Ms, o.Ms); c != 0 {
		return c
	}
	return cmp.Compare(i.Seq, o.Seq)
}

// String returns the ID as Redis writes it: "1732300000000-0".
func (i ID) String() string {
	return strconv.FormatUint(i.Ms, 10) + "-" + strconv.FormatUint(i.Seq, 10)
}

// ParseID reads what [ID.String] wrote.
func ParseID(s string) (ID, error) {
	ms, seq, ok := strings.Cut(s, "-")
	m, err1 := strconv.ParseUint(ms, 10, 64)
	q, err2 := strconv.ParseUint(seq, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return ID{}, fmt.Errorf("log ID %q: want milliseconds-counter", s)
	}
	return ID{m, q}, nil
}

// A Stamp is where the log stood before an entry's load began. An entry counts only in the epoch
// of its stamp: what a lost log said is not known, so nothing loaded under it is trusted. The
// zero Stamp is not a place at all.
type Stamp struct {
	Epoch string
	ID    ID
}

// A Mode is how far an invalidation goes.
type Mode uint8

const (
	// Remove: what was loaded before is never served again.
	Remove Mode = iota
	// Expire: what was loaded before may still be served while it is loaded again, or when that fails.
	Expire
)

func (m Mode) String() string {
	if m == Expire {
		return "expire"
	}
	return "remove"
}

// A Record is one entry of the log: an invalidation or, where Fence is set, the beginning of an
// epoch. Every record carries the epoch and the run of the server it was written under.
type Record struct {
	ID     ID
	Epoch  string
	Run    string
	Fence  bool
	Target Target
	Mode   Mode
	By     string // what its node knows it again by; the log keeps it as it is

	// Unreadable: the log holds something else in its place. It counts as the removal of everything.
	Unreadable bool
}

// A Reading is what the log answered: its records from the asked place on, inclusive, so that the
// reader can see whether the log still joins on to what it knows.
type Reading struct {
	Records  []Record
	Run      string // of the server, when it answered
	More     bool   // there is more than one answer holds: read on from its last record
	Appended []ID   // of the records that this call appended, in their order …
	Epoch    string // … and theirs
}

// A Log is the one log of invalidations that all nodes of a namespace share. It is safe for
// concurrent use.
type Log interface {
	// Append adds the records in one step and answers with the log from head on, inclusive; the
	// zero head means its beginning. If the log is empty, or its newest record was written under
	// another run of the server, it first adds a fence with a fresh epoch.
	Append(ctx context.Context, head ID, records []Record) (Reading, error)
	// Rejoin answers with the log from its beginning, as Append without a head and records does, for a
	// node that knows the log up to seen, and could not join on to it. If the log goes back to before
	// that place and does not have it, or is in an epoch that the node has left, it is not the log that
	// the node has seen: whatever run the server says, it has gone back in time, and what it lost is
	// unknown. Then a fence is added first, in the same step, unless another node has already begun an
	// epoch since. The zero Stamp has seen nothing.
	Rejoin(ctx context.Context, seen Stamp, left []string) (Reading, error)
	// Read answers with the log from head on, inclusive.
	Read(ctx context.Context, head Stamp) (Reading, error)
}
