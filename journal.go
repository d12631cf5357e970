package forebay

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
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
	lock  *os.File // nobody else may use the file meanwhile
	torn  bool     // the last line may not have its end
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
	return j, j.rewriteLocked()
}

// lockFile takes a lock beside the file, which is replaced now and then. It ends with the process.
func (j *journal) lockFile() error {
	f, err := os.OpenFile(j.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("journal %s: another process uses it: each needs a file of its own", j.path)
	}
	j.lock = f
	return nil
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
		d, ok := parseLine(lines.Bytes())
		if !ok {
			continue // a line that a crash or a full disk cut off was never acknowledged
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
	for _, d := range j.queue {
		_, writing := f.Write(appendLine(nil, d))
		err = errors.Join(err, writing)
	}
	if err = errors.Join(err, f.Sync(), os.Rename(tmp, j.path)); err != nil {
		f.Close()
		return fmt.Errorf("journal %s: %w", j.path, err)
	}
	if j.file != nil {
		j.file.Close()
	}
	j.file, j.torn = f, false
	return nil
}

// A line stands alone: a checksum before it shows whether it is whole, and one that could not be written
// to its end is ended by the next.
func appendLine(b []byte, d deferred) []byte {
	text, _ := json.Marshal(d) // our own type
	return append(append(fmt.Appendf(b, "%08x ", crc32.ChecksumIEEE(text)), text...), '\n')
}

func parseLine(line []byte) (d deferred, ok bool) {
	if len(line) > 9 && line[8] == ' ' {
		sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
		if line = line[9:]; err != nil || uint32(sum) != crc32.ChecksumIEEE(line) {
			return d, false
		}
	}
	return d, json.Unmarshal(line, &d) == nil
}

func (j *journal) empty() bool { return j.waiting.Load() == 0 }

// add defers an invalidation. An error means that the file does not have it: it still waits in memory.
func (j *journal) add(targets []Target, mode Mode, number uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var failed error
	for len(targets) > maxLine { // or a line would be longer than one is read
		// The number is that of the last part: it is settled when the log has all of them.
		failed = errors.Join(failed, j.addLocked(targets[:maxLine:maxLine], mode, 0))
		targets = targets[maxLine:]
	}
	return errors.Join(failed, j.addLocked(targets, mode, number))
}

func (j *journal) addLocked(targets []Target, mode Mode, number uint64) error {
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
	var line []byte
	if j.torn {
		line = append(line, '\n')
	}
	_, err := j.file.Write(appendLine(line, d))
	j.torn = err != nil
	if err = errors.Join(err, j.file.Sync()); err != nil {
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
	err := j.file.Close()
	j.file = nil
	return errors.Join(err, j.lock.Close())
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
