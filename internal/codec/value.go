package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/forebay-cache/forebay/internal/shape"
	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"
)

// An ID says in an envelope how its value is written.
type ID byte

const (
	CBOR ID = 1
	JSON ID = 2
	Raw  ID = 3 // bytes are their own form
)

// Shape is what a codec is for a type's shape.
func (id ID) Shape() shape.Codec {
	if id == JSON {
		return shape.JSON
	}
	return shape.CBOR
}

// compressFrom is the payload size from which compression pays.
const compressFrom = 4 << 10

// maxPayload bounds what a compressed payload may become: memory, not the sender, sets the limit.
const maxPayload = 64 << 20

// codecs is made when the program starts: the parts hold channels, which must belong to no test's
// bubble.
var codecs = func() (c struct {
	enc cbor.EncMode
	dec cbor.DecMode
	zip *zstd.Encoder
	unz *zstd.Decoder
}) {
	var err error
	must := func(e error) {
		if e != nil {
			panic(e) // the options below are constants
		}
	}
	// The defaults lose fractions of seconds, make maps that JSON refuses, and fail on big arrays.
	c.enc, err = cbor.EncOptions{Time: cbor.TimeRFC3339Nano}.EncMode()
	must(err)
	c.dec, err = cbor.DecOptions{
		DefaultMapType: reflect.TypeFor[map[string]any](), MaxArrayElements: 1<<31 - 1, MaxMapPairs: 1<<31 - 1, MaxNestedLevels: 256, UTF8: cbor.UTF8DecodeInvalid,
	}.DecMode()
	must(err)
	c.zip, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	must(err)
	c.unz, err = zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxPayload))
	must(err)
	return c
}()

// Encode returns a value's payload, how it was written, and whether it is compressed.
func Encode(id ID, v any) (_ ID, payload []byte, compressed bool, err error) {
	raw, isRaw := v.([]byte)
	switch {
	case isRaw && raw != nil:
		id, payload = Raw, raw
	case id == JSON:
		if payload, err = json.Marshal(v); err == nil && replaced(payload) {
			err = errNotUTF8
		}
	default:
		payload, err = codecs.enc.Marshal(v)
	}
	if err != nil {
		return 0, nil, false, fmt.Errorf("encode %T: %w", v, err)
	}
	if len(payload) < compressFrom {
		return id, payload, false, nil
	}
	if zipped := codecs.zip.EncodeAll(payload, nil); len(zipped) < len(payload) {
		return id, zipped, true, nil
	}
	return id, payload, false, nil
}

var errNotUTF8 = errors.New("a string is not UTF-8, which JSON cannot write; use CBOR, or []byte")

// replaced reports whether the encoder has written a replacement for bytes that are no UTF-8: it escapes
// those alone. A backslash before the escape means that the text itself says so.
func replaced(text []byte) bool {
	for {
		i := bytes.Index(text, []byte(`\ufffd`))
		if i < 0 {
			return false
		}
		backslashes := len(text[:i]) - len(bytes.TrimRight(text[:i], `\`))
		if backslashes%2 == 0 {
			return true
		}
		text = text[i+1:]
	}
}

// Decode reads a payload into the value that into points to. It may keep the payload.
func Decode(id ID, payload []byte, compressed bool, into any) error {
	if compressed {
		var err error
		if payload, err = codecs.unz.DecodeAll(payload, nil); err != nil {
			return err
		}
	}
	switch id {
	case Raw:
		raw, ok := into.(*[]byte)
		if !ok {
			return fmt.Errorf("bytes for a %T", into)
		}
		*raw = payload[:len(payload):len(payload)]
		return nil
	case JSON:
		return json.Unmarshal(payload, into)
	case CBOR:
		return codecs.dec.Unmarshal(payload, into)
	}
	return fmt.Errorf("unknown codec %d", id)
}
