// Package plan says, from an access log, what a cache would do: which routes repeat themselves, how often requests would be hits, by
// time to live and by memory, and what that would spare the origin. It runs the near tier's own policy on the recorded requests, with
// the recorded clock.
package plan

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"time"
)

// A Request is one that a log has recorded.
type Request struct {
	Time   time.Time
	Method string
	URI    string // path and query
	Status int
	Bytes  int64
	Took   time.Duration // 0: not recorded
	User   string        // who had presented a credential; "": nobody, or it is not recorded
}

// Options configure [Read].
type Options struct {
	NearBytes int64 // of the near tier. Default 512 MiB
	// Progress is told how many bytes were read, every few thousand lines. May be nil.
	Progress func(read int64)
}

// DefaultNearBytes is the near tier that a plan is for, where nothing else is said.
const DefaultNearBytes = 512 << 20

// maxLine bounds a line of the log.
const maxLine = 1 << 20

// progressEvery is in lines.
const progressEvery = 4096

// Read reads a log to its end and says what a cache would do. What it holds is bounded, however long the log is.
func Read(log io.Reader, o Options) (*Report, error) {
	if o.NearBytes == 0 {
		o.NearBytes = DefaultNearBytes
	}
	s, err := newSimulation(o.NearBytes)
	if err != nil {
		return nil, err
	}
	defer s.close()
	counted := &countingReader{from: log}
	lines := bufio.NewReaderSize(counted, 1<<16)
	var line []byte
	for n := 1; err == nil; n++ {
		if line, err = nextLine(lines, line[:0]); len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		r, wrong := parse(line)
		if wrong != nil {
			s.unread(n, wrong)
		} else {
			s.add(r)
		}
		if n%progressEvery == 0 && o.Progress != nil {
			o.Progress(counted.read)
		}
	}
	if err != io.EOF {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	if o.Progress != nil {
		o.Progress(counted.read)
	}
	return s.report()
}

// nextLine reads a line, and cuts what is beyond its bound.
func nextLine(from *bufio.Reader, to []byte) ([]byte, error) {
	for {
		part, err := from.ReadSlice('\n')
		to = append(to, part[:min(len(part), maxLine-len(to))]...)
		if err != bufio.ErrBufferFull {
			return to, err
		}
	}
}

type countingReader struct {
	from io.Reader
	read int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.read += int64(n)
	return n, err
}
