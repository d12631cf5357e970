package replica

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"syscall"
)

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

// appendLines writes each line so that it stands alone: a checksum before it shows whether it is whole, and one
// that could not be written to its end is ended by the next.
func appendLines(b []byte, lines []deferred) []byte {
	for _, d := range lines {
		text, _ := json.Marshal(d) // our own type
		b = append(append(fmt.Appendf(b, "%08x ", crc32.ChecksumIEEE(text)), text...), '\n')
	}
	return b
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

// rewrite writes the file from scratch. The disk's lock is held.
func (j *journal) rewrite(queue []deferred) error {
	tmp := j.path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(appendLines(nil, queue))
	if err = errors.Join(err, f.Sync()); err == nil {
		err = os.Rename(tmp, j.path)
	}
	if err != nil {
		f.Close()
		return err
	}
	if j.file != nil {
		j.file.Close()
	}
	j.file, j.lines, j.torn = f, len(queue), false
	return nil
}

// write appends lines to the file. The disk's lock is held.
func (j *journal) write(lines []deferred) error {
	var text []byte
	if j.torn {
		text = append(text, '\n')
	}
	_, err := j.file.Write(appendLines(text, lines))
	j.torn = err != nil
	j.lines += len(lines)
	return errors.Join(err, j.file.Sync())
}
