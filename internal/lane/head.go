package lane

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// PassedOver are the fields that tell requests apart whose answers are mostly the same. An answer that depends on one
// ([Again.Reads]) is known for requests without it, and for those with the very same head.
var PassedOver = []string{
	"User-Agent", "Referer", "Traceparent", "Tracestate", "Baggage", "X-Request-Id", "X-Correlation-Id", "X-Amzn-Trace-Id",
	"X-Forwarded-For", "X-Real-Ip",
}

// maxHead bounds a head that the lane looks at.
const maxHead = 4 << 10

const version = " HTTP/1.1\r\n"

// A head is the one of a complete and ordinary GET or HEAD.
type head struct {
	whole  []byte
	key    []byte // without the fields that are passed over
	passed fields // those that it has
}

// fields are some of [PassedOver].
type fields uint

// scan finds the head of the first request of in. ok is false where there is none that is complete and ordinary, or may not
// be. Its key is made in scratch, or is the whole.
func scan(in, scratch []byte) (h head, ok bool) {
	if !bytes.HasPrefix(in, []byte("GET /")) && !bytes.HasPrefix(in, []byte("HEAD /")) {
		return head{}, false
	}
	n := bytes.IndexByte(in, '\n') + 1
	if n < len(version) || string(in[n-len(version):n]) != version {
		return head{}, false
	}
	from := 0 // what of in is not in scratch yet
	for {
		length := bytes.IndexByte(in[n:], '\n') + 1
		if length < 2 || in[n+length-2] != '\r' {
			return head{}, false
		}
		line := in[n : n+length]
		n += length
		if length == 2 {
			break
		}
		which := passedOver(line)
		if which < 0 {
			continue
		}
		if h.passed&(1<<which) != 0 || !plain(line[:length-2]) {
			return head{}, false // twice; or net/http refuses it
		}
		h.passed |= 1 << which
		scratch, from = append(scratch, in[from:n-length]...), n
	}
	h.whole, h.key = in[:n], in[:n]
	if h.passed != 0 {
		h.key = append(scratch, in[from:n]...)
	}
	return h, true
}

// readBy are those of the fields that an answer depends on.
func readBy(a Again) (out fields) {
	for i, name := range PassedOver {
		if a.Reads(name) {
			out |= 1 << i
		}
	}
	return out
}

// passedOver returns which of [PassedOver] a line is; -1 for every other.
func passedOver(line []byte) int {
	switch line[0] | 0x20 {
	case 'u', 'r', 't', 'b', 'x':
	default:
		return -1
	}
	for i, name := range PassedOver {
		if len(line) > len(name) && line[len(name)] == ':' && line[0]|0x20 == name[0]|0x20 && equalFold(line[:len(name)], name) {
			return i
		}
	}
	return -1
}

// equalFold compares with a name of letters and hyphens.
func equalFold(b []byte, name string) bool {
	for i, c := range b {
		if c != name[i] && (c^0x20 != name[i] || name[i] == '-') {
			return false
		}
	}
	return true
}

// plain reports whether a line has no control characters but tabs: eight bytes at a time.
func plain(line []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(line) >= 8 {
		w := binary.LittleEndian.Uint64(line)
		low := (w - ones*0x20) &^ w & highs                        // a byte is below 0x20, …
		del := ((w ^ ones*0x7f) - ones) &^ (w ^ ones*0x7f) & highs // … or 0x7f; or stands behind one
		if low|del != 0 && slices.ContainsFunc(line[:8], isControl) {
			return false
		}
		line = line[8:]
	}
	return !slices.ContainsFunc(line, isControl)
}

func isControl(c byte) bool { return c < 0x20 && c != '\t' || c == 0x7f }

// strict reports whether nobody can read a head otherwise than line by line: each field has a name that begins its line, and
// no control characters.
func (h head) strict() bool {
	_, lines, _ := bytes.Cut(h.whole, []byte("\r\n"))
	for line := range bytes.SplitSeq(lines, []byte("\r\n")) {
		if len(line) == 0 {
			return true
		}
		name, _, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(name) == 0 || !plain(line) || bytes.ContainsFunc(name, isNoNameRune) {
			return false
		}
	}
	return false
}

// isNoNameRune reports whether a character cannot be in a field's name (RFC 9110, section 5.6.2).
func isNoNameRune(r rune) bool {
	return r <= ' ' || r >= 0x7f || bytes.ContainsRune([]byte("\"(),/:;<=>?@[\\]{}"), r)
}
