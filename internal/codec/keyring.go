package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"

	"github.com/forebay-cache/forebay/shared"
)

// A Keyring authenticates what this cache's nodes write to the shared tier, and may encrypt the values: what was
// not written by one of them is not used. The first key writes, all read, so that keys can be changed one node at
// a time. A nil keyring does nothing.
type Keyring struct {
	keys    []*sealKey
	encrypt bool

	mu      sync.Mutex // guards the fields below
	writing writingKey
	reading map[saltedKey]cipher.AEAD
}

// A sealKey is one key, by what is derived from it: each use has a key of its own (RFC 5869).
type sealKey struct {
	id   [idSize]byte
	raw  []byte
	macs sync.Pool // of hash.Hash, for HMAC-SHA256
}

const (
	idSize   = 4
	tagSize  = 16
	saltSize = 16

	// rekeyAfter keeps the random nonces of one AES-GCM key from meeting (NIST SP 800-38D, 8.3).
	rekeyAfter = 1 << 31
	// maxReading bounds the keys that are kept for reading: each process that writes has one.
	maxReading = 1024
)

type saltedKey struct {
	id   [idSize]byte
	salt [saltSize]byte
}

// A writingKey encrypts what this process writes. Its salt stands in each entry.
type writingKey struct {
	salt [saltSize]byte
	aead cipher.AEAD
	used uint64
}

var errUnauthentic = errors.New("unauthentic") // not written by a node that has one of the keys

func NewKeyring(keys [][]byte, encrypt bool) *Keyring {
	if len(keys) == 0 {
		return nil
	}
	r := &Keyring{encrypt: encrypt, reading: map[saltedKey]cipher.AEAD{}}
	for _, raw := range keys {
		k := &sealKey{raw: raw}
		copy(k.id[:], derived(raw, nil, "id", idSize))
		mac := derived(raw, nil, "mac", sha256.Size)
		k.macs.New = func() any { return hmac.New(sha256.New, mac) }
		r.keys = append(r.keys, k)
	}
	return r
}

func derived(raw, salt []byte, use string, size int) []byte {
	key, err := hkdf.Key(sha256.New, raw, salt, "forebay "+use, size)
	if err != nil {
		panic(err) // of a size that is not possible
	}
	return key
}

func (r *Keyring) byID(id []byte) *sealKey {
	for _, k := range r.keys {
		if string(k.id[:]) == string(id) {
			return k
		}
	}
	return nil
}

func (k *sealKey) tag(dst []byte, text []byte) []byte {
	mac := k.macs.Get().(hash.Hash)
	defer k.macs.Put(mac)
	mac.Reset()
	mac.Write(text)
	var sum [sha256.Size]byte
	return append(dst, mac.Sum(sum[:0])[:tagSize]...)
}

// sign appends the writing key's id and the tag of all before.
func (r *Keyring) sign(b []byte) []byte {
	k := r.keys[0]
	return k.tag(append(b, k.id[:]...), b)
}

// signed returns what was signed.
func (r *Keyring) signed(b []byte) ([]byte, error) {
	n := len(b) - idSize - tagSize
	if n < 0 {
		return nil, errUnauthentic
	}
	k := r.byID(b[n : n+idSize])
	if k == nil || !hmac.Equal(k.tag(nil, b[:n]), b[n+idSize:]) {
		return nil, errUnauthentic
	}
	return b[:n], nil
}

// seal appends a value that is encrypted, and bound to the header that it stands behind.
func (r *Keyring) seal(dst, value, header []byte) []byte {
	r.mu.Lock()
	if r.writing.aead == nil || r.writing.used >= rekeyAfter {
		rand.Read(r.writing.salt[:])
		r.writing.aead, r.writing.used = r.keys[0].aead(r.writing.salt), 0
	}
	r.writing.used++
	w := r.writing
	r.mu.Unlock()
	dst = append(append(dst, r.keys[0].id[:]...), w.salt[:]...)
	return w.aead.Seal(dst, nil, value, header)
}

// unseal reads what seal wrote.
func (r *Keyring) unseal(sealed, header []byte) ([]byte, error) {
	if len(sealed) < idSize+saltSize {
		return nil, errUnauthentic
	}
	at := saltedKey{[idSize]byte(sealed), [saltSize]byte(sealed[idSize:])}
	k := r.byID(at.id[:])
	if k == nil {
		return nil, errUnauthentic
	}
	r.mu.Lock()
	aead := r.reading[at]
	r.mu.Unlock()
	known := aead != nil
	if !known {
		aead = k.aead(at.salt)
	}
	value, err := aead.Open(nil, nil, sealed[idSize+saltSize:], header)
	if err != nil {
		return nil, errUnauthentic
	}
	if !known { // it is one of ours, now that it has opened something
		r.mu.Lock()
		if len(r.reading) >= maxReading {
			clear(r.reading)
		}
		r.reading[at] = aead
		r.mu.Unlock()
	}
	return value, nil
}

func (k *sealKey) aead(salt [saltSize]byte) cipher.AEAD {
	block, err := aes.NewCipher(derived(k.raw, salt[:], "entries", 32))
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCMWithRandomNonce(block); err == nil {
			return aead
		}
	}
	panic(err) // of a key size that AES does not have
}

// signMark stands between what a record's node knows it by and the tag of the whole.
const SignMark = "/"

// SignRecord adds the tag of a record to its By.
func (r *Keyring) SignRecord(rec shared.Record) shared.Record {
	if r == nil {
		return rec
	}
	k := r.keys[0]
	rec.By += SignMark + base64.RawURLEncoding.EncodeToString(k.tag(k.id[:], recordText(rec, rec.By)))
	return rec
}

// Wrote reports whether a node with one of the keys wrote a record.
func (r *Keyring) Wrote(rec shared.Record) bool {
	by, text, ok := strings.Cut(rec.By, SignMark)
	tag, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(tag) != idSize+tagSize {
		return false
	}
	k := r.byID(tag[:idSize])
	return k != nil && hmac.Equal(k.tag(nil, recordText(rec, by)), tag[idSize:])
}

// recordText is what a record's tag is of. The name is last, so that no two records give one text.
func recordText(rec shared.Record, by string) []byte {
	return fmt.Appendf(nil, "record %s %s %s %s", rec.Target.Kind, rec.Mode, by, rec.Target.Name)
}
