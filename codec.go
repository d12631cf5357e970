package forebay

import "github.com/forebay-cache/forebay/internal/codec"

// A Codec is how values are written to the shared tier.
type Codec string

const (
	// CBOR (RFC 8949) is compact and fast.
	CBOR Codec = "cbor"
	// JSON can be read by people who look into the shared tier.
	JSON Codec = "json"
)

func (c Codec) id() codec.ID {
	if c == JSON {
		return codec.JSON
	}
	return codec.CBOR
}
