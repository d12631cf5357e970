package httpcache

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/forebay-cache/forebay/internal/coding"
)

// Compression says how stored responses are compressed that the origin sends as they are. The forms of one are made
// once, at the first request that prefers them and beside it: that one gets the body as it is.
type Compression struct {
	// Codings are zstd, br or gzip, in order of preference where a client has none. Default: all, in this order.
	Codings []string
	// MinBytes is the smallest body that is compressed. Default 1 KiB.
	MinBytes int
	// Credentials compresses what is one caller's own, too. Who can have a page ask for something and sees the length of
	// the answer could then guess a secret in it (BREACH, Black Hat 2013). Default off.
	Credentials bool
}

const defaultMinBytes = 1 << 10

// Check returns a mistake in the settings; [New] does the same.
func (c Compression) Check() error {
	for _, name := range c.Codings {
		if !slices.Contains(coding.All, name) {
			return fmt.Errorf("codings: %q is not known: use zstd, br or gzip", name)
		}
	}
	if c.MinBytes < 0 {
		return fmt.Errorf("min_bytes: %d is negative", c.MinBytes)
	}
	return nil
}

func (c *Compression) withDefaults() (*Compression, error) {
	if c == nil {
		return nil, nil
	}
	out := *c
	if len(out.Codings) == 0 {
		out.Codings = coding.All
	}
	if err := out.Check(); err != nil {
		return nil, fmt.Errorf("Compression: %w", err)
	}
	if out.MinBytes == 0 {
		out.MinBytes = defaultMinBytes
	}
	return &out, nil
}

// preferredCoding is what a client prefers of what is on offer, remembered for the fields read last: browsers send few
// different ones.
func preferredCoding(lines, offered []string) string {
	if len(lines) != 1 || len(lines[0]) > maxMemo {
		return coding.Choose(lines, offered)
	}
	slot := &codingMemo[memoSlot(lines[0])]
	if p := slot.Load(); p != nil && p.line == lines[0] && len(p.offered) == len(offered) && &p.offered[0] == &offered[0] {
		return p.out
	}
	out := coding.Choose(lines, offered)
	slot.Store(&codingChoice{line: lines[0], offered: offered, out: out})
	return out
}

var codingMemo [256]atomic.Pointer[codingChoice]

type codingChoice struct {
	line    string
	offered []string
	out     string
}
