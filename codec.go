package forebay

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

// A Codec is how values are written to the shared tier.
type Codec string

const (
	// CBOR (RFC 8949) is compact and fast.
	CBOR Codec = "cbor"
	// JSON can be read by people who look into the shared tier.
	JSON Codec = "json"
)

type codecID byte

const (
	idCBOR codecID = 1
	idJSON codecID = 2
	idRaw  codecID = 3 // bytes are their own form
)

// form is what a codec is for a type's shape.
func (id codecID) form() shape.Codec {
	if id == idJSON {
		return shape.JSON
	}
	return shape.CBOR
}

func (c Codec) id() codecID {
	if c == JSON {
		return idJSON
	}
	return idCBOR
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

// encodeValue returns a value's payload, how it was written, and whether it is compressed.
func encodeValue(id codecID, v any) (_ codecID, payload []byte, compressed bool, err error) {
	raw, isRaw := v.([]byte)
	switch {
	case isRaw && raw != nil:
		id, payload = idRaw, raw
	case id == idJSON:
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

// decodeValue reads a payload into the value that into points to. It may keep the payload.
func decodeValue(id codecID, payload []byte, compressed bool, into any) error {
	if compressed {
		var err error
		if payload, err = codecs.unz.DecodeAll(payload, nil); err != nil {
			return err
		}
	}
	switch id {
	case idRaw:
		raw, ok := into.(*[]byte)
		if !ok {
			return fmt.Errorf("bytes for a %T", into)
		}
		*raw = payload[:len(payload):len(payload)]
		return nil
	case idJSON:
		return json.Unmarshal(payload, into)
	case idCBOR:
		return codecs.dec.Unmarshal(payload, into)
	}
	return fmt.Errorf("unknown codec %d", id)
}
