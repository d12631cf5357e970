package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
)

// HashLong replaces what does not fit of a long key by its hash. Whole leading parts stay, so that
// patterns on them go on working. It may write over key.
func HashLong(key []byte, prefix int) []byte {
	sum := sha256.Sum256(key)
	keep, depth := prefix, 0
	for i := prefix; i < keptOfLongKey; i++ {
		switch key[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				keep = i + 1
			}
		}
	}
	return append(append(key[:keep], HashMark...), hex.EncodeToString(sum[:])...)
}

// HashPrivate replaces everything behind the prefix by a hash of it and of the caller, keyed with
// the secret: neither key nor log nor page shows whose entry it is. It may write over key.
func HashPrivate(key []byte, prefix int, secret []byte, caller string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(strconv.AppendInt(nil, int64(len(caller)), 10)) // length first: no two pairs give one input
	mac.Write([]byte{':'})
	mac.Write([]byte(caller))
	mac.Write(slices.Clone(key)) // what is written escapes, and the caller's key may be on the stack
	return append(append(key[:prefix], HashMark...), hex.EncodeToString(mac.Sum(nil))...)
}
