package forebay

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
)

// The journal holds the invalidations that this node has accepted and the log does not have yet, in
// memory or in a file that survives a crash. They count here already.
type journal struct {
	waiting atomic.Int64 // read at each look-up

	mu    sync.Mutex // guards what follows
	queue []deferred
	next  uint64
	path  string
	file  *os.File
}

// A deferred invalidation, also as a line of the file.
type deferred struct {
	Seq     uint64   `json:"seq"`
	Mode    Mode     `json:"mode"`
	Targets []Target `json:"targets"`
	Done    bool     `json:"done,omitempty"` // the line says that the log has it

	Number uint64 `json:"-"`
	// stands holds the numbers of the invalidations that this one stands for, too.
	stands []uint64
}

// maxDeferred bounds the journal. Beyond it everything is invalidated instead: coarser, never less.
const maxDeferred = 100_000

// openJournal reads what an earlier process left in the file; path may be empty.
func openJournal(path string) (*journal, error) {
	j := &journal{path: path}
	if path == "" {
		return j, nil
	}
	if err := j.load(); err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	return j, j.rewriteLocked()
}

func (j *journal) load() error {
	f, err := os.Open(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var d deferred
		if json.Unmarshal(lines.Bytes(), &d) != nil {
			continue // a line that a crash cut off was never acknowledged
		}
		j.next = max(j.next, d.Seq+1)
		if d.Done {
			j.dropLocked(d.Seq)
		} else {
			j.queue = append(j.queue, d)
		}
	}
	j.waiting.Store(int64(len(j.queue)))
	return lines.Err()
}

// rewriteLocked begins the file anew, with what is waiting.
func (j *journal) rewriteLocked() error {
	if j.path == "" {
		return nil
	}
	tmp := j.path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	enc := json.NewEncoder(f)
	for _, d := range j.queue {
		err = errors.Join(err, enc.Encode(d))
	}
	if err = errors.Join(err, f.Sync(), os.Rename(tmp, j.path)); err != nil {
		f.Close()
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	if j.file != nil {
		j.file.Close()
	}
	j.file = f
	return nil
}

func (j *journal) empty() bool { return j.waiting.Load() == 0 }

// add defers an invalidation. An error means that the file does not have it: it still waits in memory.
func (j *journal) add(targets []Target, mode Mode, number uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := deferred{Seq: j.next, Mode: mode, Targets: targets, Number: number}
	j.next++
	if len(j.queue) < maxDeferred {
		j.queue = append(j.queue, d)
		j.waiting.Store(int64(len(j.queue)))
		return j.writeLocked(d)
	}
	d.Targets, d.Mode = []Target{Everything()}, Remove
	for _, q := range j.queue {
		d.stands = append(append(d.stands, q.stands...), q.Number)
	}
	j.queue = []deferred{d}
	j.waiting.Store(1)
	return j.rewriteLocked()
}

func (j *journal) writeLocked(d deferred) error {
	if j.file == nil {
		return nil
	}
	if err := errors.Join(json.NewEncoder(j.file).Encode(d), j.file.Sync()); err != nil {
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
		if targets += len(d.Targets); targets > appendBatch && i > 0 {
			return slices.Clone(j.queue[:i])
		}
	}
	return slices.Clone(j.queue)
}

// done says that the log has an invalidation.
func (j *journal) done(d deferred) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dropLocked(d.Seq)
	j.waiting.Store(int64(len(j.queue)))
	if len(j.queue) == 0 {
		return j.rewriteLocked()
	}
	return j.writeLocked(deferred{Seq: d.Seq, Done: true})
}

func (j *journal) dropLocked(seq uint64) {
	for i, d := range j.queue {
		if d.Seq == seq {
			j.queue = append(j.queue[:i], j.queue[i+1:]...)
			return
		}
	}
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	return j.file.Close()
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
