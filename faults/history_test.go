package faults

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// What is checked is a counter that everybody may read, with a floor and a top: raising the counter at
// the origin lifts the top, the acknowledgement of its invalidation lifts the floor, and a read returns
// something between. Linearizable in these three is promise 1, neither more nor less.
type (
	raise struct{ version int }
	ack   struct{ version int }
	read  struct{}
	state struct{ floor, top int }
)

var promise = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(s, input, output any) (bool, any) {
		now := s.(state)
		switch in := input.(type) {
		case raise:
			now.top = max(now.top, in.version)
			return true, now
		case ack:
			now.floor = max(now.floor, in.version)
			return now.floor <= now.top, now
		}
		v := output.(int)
		return now.floor <= v && v <= now.top, now
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(input, output any) string {
		switch in := input.(type) {
		case raise:
			return fmt.Sprint("raise to ", in.version)
		case ack:
			return fmt.Sprint("invalidate after ", in.version)
		}
		return fmt.Sprint("read ", output)
	},
}

// A recorder keeps one key's operations, of the readers and writers that one history is about.
type recorder struct {
	// floor is what nobody may read less of any more: enough to end a run early, not to prove it right.
	floor atomic.Int64

	mu  sync.Mutex // guards the fields below
	ops []porcupine.Operation
}

func (r *recorder) note(client int, input, output any, call, end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := input.(ack); ok && !end.After(time.Now()) {
		r.floor.Store(max(r.floor.Load(), int64(a.version)))
	}
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: input, Output: output, Call: call.UnixNano(), Return: end.UnixNano()})
}

// A checkedKey is a counter and what was seen of it.
type checkedKey struct {
	name    string
	version atomic.Int64
	strict  recorder // of everybody's strict reads
	// own is of a node's own other reads, against its own invalidations.
	own [checkNodes + checkProcesses]recorder
	// others is of reads that promise no more than the stated lag.
	others lagged
}

// raise lifts the counter, for every history.
func (k *checkedKey) raise(client int) int {
	begun := time.Now()
	v := int(k.version.Add(1))
	ended := time.Now()
	k.strict.note(client, raise{v}, nil, begun, ended)
	for j := range k.own {
		k.own[j].note(client, raise{v}, nil, begun, ended)
	}
	return v
}

// checkFor bounds the search; a history that cannot be decided is a failure.
const checkFor = 2 * time.Minute

func (r *recorder) check(t *testing.T, what string) {
	t.Helper()
	if why := r.older(); why != "" {
		t.Errorf("%s: not linearizable: %s", what, why) // to prove it of a long history takes porcupine forever
		return
	}
	if result := porcupine.CheckOperationsTimeout(promise, r.ops, checkFor); result != porcupine.Ok {
		t.Errorf("%s: %d operations are %s", what, len(r.ops), map[porcupine.CheckResult]string{porcupine.Illegal: "not linearizable", porcupine.Unknown: "undecided"}[result])
	}
}

// older finds a read that is older than what was acknowledged before it began.
func (r *recorder) older() string {
	type at struct {
		time    int64
		version int
	}
	var acks []at
	for _, o := range r.ops {
		if a, ok := o.Input.(ack); ok {
			acks = append(acks, at{o.Return, a.version})
		}
	}
	slices.SortFunc(acks, func(a, b at) int { return cmp.Compare(a.time, b.time) })
	for i := 1; i < len(acks); i++ {
		acks[i].version = max(acks[i].version, acks[i-1].version)
	}
	for _, o := range r.ops {
		if _, ok := o.Input.(read); !ok {
			continue
		}
		i, _ := slices.BinarySearchFunc(acks, o.Call, func(a at, call int64) int { return cmp.Compare(a.time, call) })
		if i > 0 && acks[i-1].version > o.Output.(int) {
			return fmt.Sprintf("read %d, %s after %d was acknowledged", o.Output, time.Duration(o.Call-acks[i-1].time), acks[i-1].version)
		}
	}
	return ""
}
