// Package relay carries the log of invalidations from a gateway to its children, gateways in other regions that have it for
// a parent, over HTTP. A child's [Client] is a shared tier with a log alone; a parent's [Server] answers from what it has
// read itself, so that the children of a gateway cost the server of the log as much as one node does.
//
// The rules of the log hold as if each child read it itself (docs/log.md): a question is answered by a read of the log that
// was sent after the question came, from the asked place on, inclusive. What a server has read and kept only saves asking for
// it again.
package relay

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/forebay-cache/forebay/shared"
	"github.com/fxamacker/cbor/v2"
)

// Path is where a parent answers its children.
const Path = "/.well-known/forebay/relay"

// Version of what they say to each other.
const Version = 1

// TokenField carries a child's token, in what it asks the relay and in its requests.
const TokenField = "Forebay-Edge"

// Token is what children of one deployment show, which share a secret.
func Token(secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "forebay edge %d", Version)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// Shows reports whether a request shows a token.
func Shows(r *http.Request, token string) bool {
	return token != "" && hmac.Equal([]byte(r.Header.Get(TokenField)), []byte(token))
}

// A question is what a child asks: one of the log's operations.
type question struct {
	Version int
	Op      string // read, append, rejoin or follow
	Head    shared.Stamp
	Records []shared.Record
	Left    []string
}

// An answer is what it is told.
type answer struct {
	Reading shared.Reading
	Clock   time.Time // of the parent's tier
	Error   string
	Away    bool // the parent cannot reach the log
}

// Names may be any bytes, which JSON does not keep.
var decoding, _ = cbor.DecOptions{UTF8: cbor.UTF8DecodeInvalid, MaxArrayElements: 1 << 20}.DecMode()

// mediaType of both.
const mediaType = "application/cbor"

const (
	opRead   = "read"
	opAppend = "append"
	opRejoin = "rejoin"
	opFollow = "follow"
)

// Bounds of what is said.
const (
	maxQuestion = 1 << 20
	maxAnswer   = 16 << 20
	// followFor is how long a child's question whether the log has grown waits.
	followFor = 20 * time.Second
)

var errVersion = errors.New("the gateways are of versions that do not understand each other")
