// Package codec makes bytes of entries and entries of bytes: the encoded value, the envelope around it, and what
// authenticates or encrypts both.
package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
	"unsafe"

	"github.com/forebay-cache/forebay/shared"
)

// An Envelope is an entry as the shared tier holds it: a binary header and the encoded value. The
// header says everything that decides whether the value may be served, so that a sweep needs the
// header alone. Strings and lists are length-prefixed, numbers are varints, times are milliseconds
// of the shared tier's clock.
//
//	format, codec, flags        one byte each
//	key, class, epoch           strings
//	ID                          two uvarints
//	created, fresh, stale, dead varints: milliseconds since 1970, then differences
//	took                        uvarint, microseconds
//	tags                        count, then strings
//	length of the payload       uvarint
//	payload
//	CRC-32C of all before       4 bytes
//
// With keys, the format says which: instead of the checksum stand the key's name and a tag of all before; or the
// payload is encrypted, and the header authenticated with it.
type Envelope struct {
	Key, Class         string
	Stamp              shared.Stamp
	Created            time.Time
	Fresh, Stale, Dead time.Duration // since created
	Took               time.Duration
	Tags               []string
	NotFound           bool
	OwnLife            bool // Fresh is not the class's
	Codec              ID
	Compressed         bool
	Payload            []byte
}

const (
	formatPlain     = 1
	formatSigned    = 2
	formatEncrypted = 3

	flagNotFound   = 1 << 0
	flagCompressed = 1 << 1
	flagOwnLife    = 1 << 2
)

// Why an envelope was not used: a miss each, and counted.
var (
	errFormat   = errors.New("format")
	errGarbage  = errors.New("garbage")
	errChecksum = errors.New("checksum")
	ErrOtherKey = errors.New("other-key")
	ErrDecode   = errors.New("decode")
	ErrFuture   = errors.New("future") // made later than now: the tier's clock was set back, and the age cannot be told
	ErrAhead    = errors.New("ahead")  // of everything that this node can read of the log
)

// maxSpan bounds the times of an entry, which are a class's.
const maxSpan = 10 * 365 * 24 * time.Hour

var crcTable = crc32.MakeTable(crc32.Castagnoli)

// Bytes is the envelope as it is written.
func (e *Envelope) Bytes(keys *Keyring) []byte {
	switch {
	case keys == nil:
		b := e.appendPayload(e.appendHeader(nil, formatPlain), e.Payload)
		return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crcTable))
	case keys.encrypt:
		header := e.appendHeader(nil, formatEncrypted)
		return e.appendPayload(header, keys.seal(nil, e.Payload, header))
	}
	return keys.sign(e.appendPayload(e.appendHeader(nil, formatSigned), e.Payload))
}

func (e *Envelope) appendPayload(b, payload []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(payload))), payload...)
}

func (e *Envelope) appendHeader(b []byte, format byte) []byte {
	var flags byte
	if e.NotFound {
		flags |= flagNotFound
	}
	if e.Compressed {
		flags |= flagCompressed
	}
	if e.OwnLife {
		flags |= flagOwnLife
	}
	b = append(b, format, byte(e.Codec), flags)
	for _, s := range []string{e.Key, e.Class, e.Stamp.Epoch} {
		b = appendString(b, s)
	}
	b = binary.AppendUvarint(binary.AppendUvarint(b, e.Stamp.ID.Ms), e.Stamp.ID.Seq)
	b = binary.AppendVarint(b, e.Created.UnixMilli())
	for _, d := range []time.Duration{e.Fresh, e.Stale, e.Dead} {
		b = binary.AppendVarint(b, d.Milliseconds())
	}
	b = binary.AppendUvarint(b, uint64(e.Took.Microseconds()))
	b = binary.AppendUvarint(b, uint64(len(e.Tags)))
	for _, t := range e.Tags {
		b = appendString(b, t)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// OpenEnvelope reads a whole envelope. Its payload is a part of b, unless it was encrypted. With keys, nothing else
// than what one of them has written is read.
func OpenEnvelope(b []byte, keys *Keyring) (e Envelope, err error) {
	body, err := authentic(b, keys)
	if err != nil {
		return Envelope{}, err
	}
	r := reader{b: body}
	e.readHeader(&r)
	header := body[:len(body)-len(r.b)]
	n := r.uvarint()
	if r.bad || n != uint64(len(r.b)) {
		return Envelope{}, errGarbage
	}
	e.Payload = r.b
	if b[0] == formatEncrypted {
		if e.Payload, err = keys.unseal(r.b, header); err != nil {
			return Envelope{}, err
		}
	}
	return e, nil
}

// authentic returns an envelope without what stands behind its payload. The tag of an encrypted one is in the payload.
func authentic(b []byte, keys *Keyring) ([]byte, error) {
	if len(b) < 4 {
		return nil, errGarbage
	}
	switch {
	case b[0] < formatPlain || b[0] > formatEncrypted:
		return nil, errFormat
	case keys == nil && b[0] != formatPlain, keys != nil && b[0] == formatPlain:
		return nil, errUnauthentic
	case b[0] == formatSigned:
		return keys.signed(b)
	case b[0] == formatEncrypted:
		return b, nil
	}
	body := b[:len(b)-4]
	if crc32.Checksum(body, crcTable) != binary.BigEndian.Uint32(b[len(b)-4:]) {
		return nil, errChecksum
	}
	return body, nil
}

// OpenHeader reads an envelope's header from its first bytes, unchecked: good enough to sweep by.
func OpenHeader(b []byte) (e Envelope, err error) {
	if len(b) == 0 || b[0] < formatPlain || b[0] > formatEncrypted {
		return Envelope{}, errFormat
	}
	r := reader{b: b}
	if e.readHeader(&r); r.bad {
		return Envelope{}, errGarbage
	}
	return e, nil
}

func (e *Envelope) readHeader(r *reader) {
	r.byte()
	e.Codec = ID(r.byte())
	flags := r.byte()
	e.NotFound, e.Compressed, e.OwnLife = flags&flagNotFound != 0, flags&flagCompressed != 0, flags&flagOwnLife != 0
	e.Key, e.Class, e.Stamp.Epoch = r.string(), r.string(), r.string()
	e.Stamp.ID = shared.ID{Ms: r.uvarint(), Seq: r.uvarint()}
	e.Created = time.UnixMilli(r.varint())
	e.Fresh, e.Stale, e.Dead = r.millis(), r.millis(), r.millis()
	e.Took = time.Duration(r.uvarint()) * time.Microsecond
	if n := r.count(); n > 0 {
		e.Tags = make([]string, 0, n)
		for range n {
			e.Tags = append(e.Tags, r.string())
		}
	}
}

// A reader reads what append wrote. Once it is bad it stays bad and returns zeros. Its strings are
// parts of what it reads: a caller that keeps one clones it.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.b, r.bad = nil, true
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) millis() time.Duration {
	ms := r.varint()
	if ms > maxSpan.Milliseconds() || ms < -maxSpan.Milliseconds() {
		r.fail()
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// count reads the number of strings that follow: each takes a byte at least.
func (r *reader) count() uint64 {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return ""
	}
	s := unsafe.String(unsafe.SliceData(r.b), n)
	r.b = r.b[n:]
	return s
}

func (e *Envelope) String() string {
	return fmt.Sprintf("%s at %s-%s", e.Key, e.Stamp.Epoch, e.Stamp.ID)
}
