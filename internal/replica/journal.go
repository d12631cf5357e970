package replica

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/forebay-cache/forebay/shared"
)

// The journal holds the invalidations that this node has accepted and the log does not have yet, in
// memory or in a file that survives a crash. They count here already.
//
// What is in memory and what is on the disk have a lock each, so that no caller waits for the disk but one that promises
// something: requests, and the follower that appends what waits, go on while it is slow.
type journal struct {
	waiting atomic.Int64 // read at each look-up
	path    string

	mu         sync.Mutex // guards the fields below; it is never held while the disk works
	queue      []deferred
	next       uint64
	unsaved    []deferred // lines that the file does not have yet
	rewriteAll bool       // the next save writes the file from scratch, from the queue: it needs no more lines

	disk  sync.Mutex // guards the fields below; it is taken before mu
	file  *os.File
	lock  *os.File // nobody else may use the file meanwhile
	lines int
	torn  bool // the last line may not have its end
}

// A deferred invalidation, also as a line of the file.
type deferred struct {
	Seq     uint64          `json:"seq"`
	Mode    shared.Mode     `json:"mode"`
	Targets []shared.Target `json:"targets"`
	Done    bool            `json:"done,omitempty"` // the line says that the log has it

	Number uint64 `json:"-"`
	// stands holds the numbers of the invalidations that this one stands for, too.
	stands []uint64
}

// maxDeferred bounds the journal. Beyond it everything is invalidated instead: coarser, never less.
const maxDeferred = 100_000

// maxLine is how many targets a line of the file holds.
const maxLine = 4096

// openJournal reads what an earlier process left in the file; path may be empty.
func openJournal(path string) (*journal, error) {
	j := &journal{path: path}
	if path == "" {
		return j, nil
	}
	if err := j.lockFile(); err != nil {
		return nil, err
	}
	if err := j.load(); err != nil {
		j.lock.Close()
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	j.rewriteAll = true
	return j, j.save()
}

func (j *journal) empty() bool { return j.waiting.Load() == 0 }

// add defers an invalidation. An error means that the file does not have it: it still waits in memory.
func (j *journal) add(targets []shared.Target, mode shared.Mode, number uint64) error {
	j.note(targets, mode, number)
	return j.save()
}

// note is add without the disk, for a caller that must not wait for it: the next save writes it.
func (j *journal) note(targets []shared.Target, mode shared.Mode, number uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(targets) > maxLine { // or a line would be longer than one is read
		// The number is that of the last part: it is settled when the log has all of them.
		j.noteLocked(targets[:maxLine:maxLine], mode, 0)
		targets = targets[maxLine:]
	}
	j.noteLocked(targets, mode, number)
}

func (j *journal) noteLocked(targets []shared.Target, mode shared.Mode, number uint64) {
	d := deferred{Seq: j.next, Mode: mode, Targets: targets, Number: number}
	j.next++
	if len(j.queue) < maxDeferred {
		j.queue = append(j.queue, d)
		j.lineLocked(d)
	} else {
		d.Targets, d.Mode = []shared.Target{shared.Target{Kind: shared.KindAll}}, shared.Remove
		for _, q := range j.queue {
			d.stands = append(append(d.stands, q.stands...), q.Number)
		}
		j.queue = []deferred{d}
		j.fromScratchLocked()
	}
	j.waiting.Store(int64(len(j.queue)))
}

// lineLocked has the next save write a line.
func (j *journal) lineLocked(d deferred) {
	switch {
	case j.path == "" || j.rewriteAll:
	case len(j.unsaved) >= maxLines:
		j.fromScratchLocked()
	default:
		j.unsaved = append(j.unsaved, d)
	}
}

func (j *journal) fromScratchLocked() { j.unsaved, j.rewriteAll = nil, j.path != "" }

// maxLines bounds the lines of the file, and those that a failing disk does not take.
const maxLines = 2 * maxDeferred

// save writes what the file does not have, and returns when the disk has it. Callers that come while it is at
// work are written together by the next of them. What cannot be written is tried again by the next save.
func (j *journal) save() error {
	j.disk.Lock()
	defer j.disk.Unlock()
	j.mu.Lock()
	if j.lines+len(j.unsaved) > maxLines || len(j.queue) == 0 && len(j.unsaved) > 0 {
		j.fromScratchLocked()
	}
	all, write := j.rewriteAll, j.unsaved
	if all {
		write = slices.Clone(j.queue)
	}
	j.rewriteAll, j.unsaved = false, nil
	j.mu.Unlock()
	if !all && len(write) == 0 || j.lock == nil {
		return nil
	}
	var err error
	if all {
		err = j.rewrite(write)
	} else {
		err = j.write(write)
	}
	if err != nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		if all || j.rewriteAll {
			j.fromScratchLocked()
		} else {
			j.unsaved = append(write, j.unsaved...)
		}
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	return nil
}

// oldest returns the oldest of the waiting: as many as are appended in one step, but at least one.
func (j *journal) oldest() []deferred {
	j.mu.Lock()
	defer j.mu.Unlock()
	targets := 0
	for i, d := range j.queue {
		if targets += len(d.Targets); targets > maxAppend && i > 0 {
			return slices.Clone(j.queue[:i])
		}
	}
	return slices.Clone(j.queue)
}

// done says that the log has what was the oldest; the next save writes it.
func (j *journal) done(all []deferred) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, d := range all {
		j.dropLocked(d.Seq)
		j.lineLocked(deferred{Seq: d.Seq, Done: true})
	}
	j.waiting.Store(int64(len(j.queue)))
}

// dropLocked takes one out of the queue; nearly always it is the first.
func (j *journal) dropLocked(seq uint64) {
	if len(j.queue) > 0 && j.queue[0].Seq == seq {
		j.queue = j.queue[1:]
		return
	}
	j.queue = slices.DeleteFunc(j.queue, func(d deferred) bool { return d.Seq == seq })
}

// close saves what it can, and lets the file go.
func (j *journal) close() error {
	err := j.save()
	j.disk.Lock()
	defer j.disk.Unlock()
	if j.lock == nil {
		return nil
	}
	if j.file != nil {
		err = errors.Join(err, j.file.Close())
	}
	err = errors.Join(err, j.lock.Close())
	j.file, j.lock = nil, nil
	return err
}

// renumber makes what an earlier process left count on this node.
func (j *journal) renumber(l *ledger) []deferred {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.queue {
		j.queue[i].Number = l.note(j.queue[i].Targets, j.queue[i].Mode)
	}
	return j.queue
}
