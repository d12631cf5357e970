package httpcache

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"

	"github.com/forebay-cache/forebay/internal/canon"
)

// knownBodies remembers the canonical forms of a route's bodies that came lately: a client most often asks again in the same bytes, and
// reading them as JSON costs more than the rest of a hit. Each place holds one; another takes it. Safe for concurrent use.
type knownBodies [256]atomic.Pointer[knownBody]

type knownBody struct{ written, canonical []byte }

// maxForm bounds what is remembered: 2 MiB a route at most.
const maxForm = 4 << 10

var formSeed = maphash.MakeSeed()

// canonical returns the canonical form of a body in JSON. It must not be changed.
func (f *knownBodies) canonical(body []byte, ignore []canon.Path) ([]byte, error) {
	if len(body) > maxForm {
		return canon.JSON(body, ignore)
	}
	at := &f[maphash.Bytes(formSeed, body)%uint64(len(f))]
	if known := at.Load(); known != nil && bytes.Equal(known.written, body) {
		return known.canonical, nil
	}
	canonical, err := canon.JSON(body, ignore)
	if err == nil {
		at.Store(&knownBody{bytes.Clone(body), bytes.Clone(canonical)})
	}
	return canonical, err
}
