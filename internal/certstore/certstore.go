// Package certstore keeps certificates, their keys and what is agreed with an authority (ACME, RFC 8555) in the shared tier, so
// that many gateways share one certificate: it is the storage of certmagic. What it holds is encrypted, and stays until it is
// deleted.
package certstore

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/forebay-cache/forebay/shared"
)

// A Store implements [certmagic.Storage]. It is safe for concurrent use, in many processes.
type Store struct {
	tier  shared.Tier
	aead  cipher.AEAD
	locks locks
}

// prefix begins the keys of what is stored, and can begin no function's.
const prefix = "~certificates:"

// index is the key under which the names of all others are, with their sizes and times: a scan would go through the
// whole cache.
const index = prefix + "index"

// indexLock is the lock of the index.
const indexLock = "index"

// New returns a store on a tier. The secret encrypts: without it nobody reads the private keys.
func New(tier shared.Tier, secret []byte) (*Store, error) {
	if len(secret) == 0 {
		return nil, errors.New("certificates on the shared tier need a secret that encrypts their keys: set FOREBAY_SECRET, the same on every node")
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "forebay certificates", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &Store{tier: tier, aead: aead, locks: locks{tier: tier, held: map[string]*lock{}}}, err
}

// An item is what the index knows of a value.
type item struct {
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
}

// Store implements [certmagic.Storage].
func (s *Store) Store(ctx context.Context, key string, value []byte) error {
	if err := s.tier.Set(ctx, prefix+key, s.sealed(key, value), 0); err != nil {
		return fmt.Errorf("store %s in the shared tier: %w", key, err)
	}
	return s.change(ctx, func(names map[string]item) { names[key] = item{int64(len(value)), time.Now()} })
}

// Load implements [certmagic.Storage].
func (s *Store) Load(ctx context.Context, key string) ([]byte, error) {
	b, err := s.tier.Get(ctx, prefix+key)
	if err != nil {
		return nil, fmt.Errorf("load %s from the shared tier: %w", key, err)
	}
	if b == nil {
		return nil, fs.ErrNotExist
	}
	return s.opened(key, b)
}

// Delete implements [certmagic.Storage].
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.change(ctx, func(names map[string]item) {
		for name := range names {
			if name == key || strings.HasPrefix(name, key+"/") {
				delete(names, name)
			}
		}
	})
}

// Exists implements [certmagic.Storage].
func (s *Store) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

// List implements [certmagic.Storage].
func (s *Store) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	names, err := s.names(ctx)
	if err != nil {
		return nil, err
	}
	if path = strings.Trim(path, "/"); path != "" {
		path += "/"
	}
	found := map[string]bool{}
	for name := range names {
		rest, ok := strings.CutPrefix(name, path)
		if !ok {
			continue
		}
		if !recursive {
			rest, _, _ = strings.Cut(rest, "/")
		}
		found[path+rest] = true
	}
	if len(found) == 0 {
		return nil, fs.ErrNotExist
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Stat implements [certmagic.Storage].
func (s *Store) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	names, err := s.names(ctx)
	if err != nil {
		return certmagic.KeyInfo{}, err
	}
	if one, ok := names[key]; ok {
		return certmagic.KeyInfo{Key: key, Modified: one.Modified, Size: one.Size, IsTerminal: true}, nil
	}
	for name := range names {
		if strings.HasPrefix(name, key+"/") {
			return certmagic.KeyInfo{Key: key}, nil
		}
	}
	return certmagic.KeyInfo{}, fs.ErrNotExist
}

// Lock implements [certmagic.Locker].
func (s *Store) Lock(ctx context.Context, name string) error { return s.locks.lock(ctx, name) }

// Unlock implements [certmagic.Locker].
func (s *Store) Unlock(ctx context.Context, name string) error { return s.locks.unlock(ctx, name) }

// names reads the index.
func (s *Store) names(ctx context.Context) (map[string]item, error) {
	b, err := s.tier.Get(ctx, index)
	if err != nil {
		return nil, fmt.Errorf("read the names of certificates from the shared tier: %w", err)
	}
	names := map[string]item{}
	if b == nil {
		return names, nil
	}
	if b, err = s.opened("", b); err != nil {
		return names, nil // another secret wrote it: what it names cannot be read either
	}
	return names, json.Unmarshal(b, &names)
}

// change changes the index, and removes the values that it does not name any more.
func (s *Store) change(ctx context.Context, by func(map[string]item)) error {
	if err := s.Lock(ctx, indexLock); err != nil {
		return err
	}
	defer s.Unlock(context.WithoutCancel(ctx), indexLock)
	names, err := s.names(ctx)
	if err != nil {
		return err
	}
	before := maps.Clone(names)
	by(names)
	b, err := json.Marshal(names)
	if err != nil {
		return err
	}
	if err := s.tier.Set(ctx, index, s.sealed("", b), 0); err != nil {
		return fmt.Errorf("write the names of certificates to the shared tier: %w", err)
	}
	var gone []string
	for name := range before {
		if _, there := names[name]; !there {
			gone = append(gone, prefix+name)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return s.tier.Unlink(ctx, gone...)
}

// sealed encrypts a value for its name: it cannot stand in another's place.
func (s *Store) sealed(name string, value []byte) []byte {
	return s.aead.Seal(nil, nil, value, []byte(name))
}

func (s *Store) opened(name string, b []byte) ([]byte, error) {
	value, err := s.aead.Open(nil, nil, b, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("%s in the shared tier was written with another secret: %w", called(name), fs.ErrNotExist)
	}
	return value, nil
}

func called(name string) string {
	if name == "" {
		return "the index of certificates"
	}
	return name
}

var _ certmagic.Storage = (*Store)(nil)
