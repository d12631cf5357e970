package forebay_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/shared"
)

var (
	oldKey = []byte("the old key, long enough")
	newKey = []byte("the new key, long enough")
)

// A vault is a node with keys, and what it has loaded.
type vault struct {
	*forebay.Cache
	f     *forebay.Func[string, string]
	loads atomic.Int64
}

func openVault(t *testing.T, tier shared.Tier, encrypt bool, keys ...[]byte) *vault {
	t.Helper()
	v := &vault{Cache: open(t, forebay.Options{Shared: tier, Keys: keys, Encrypt: encrypt, SelfTest: -1})}
	v.f = wrap(t, v.Cache, "c", func(_ context.Context, p string) (string, error) { v.loads.Add(1); return "plain text of " + p, nil })
	return v
}

func (v *vault) get(t *testing.T, p string) forebay.Tier {
	t.Helper()
	r := v.f.Do(t.Context(), p)
	if r.Err != nil || r.Value != "plain text of "+p {
		t.Fatalf("%q, %v", r.Value, r.Err)
	}
	eventually(t, func() bool { return v.Stats().Shared.Queued == 0 })
	return r.Tier
}

// With keys, what was not written with one of them is not used, whatever it looks like.
func TestKeys(t *testing.T) {
	for name, encrypt := range map[string]bool{"signed": false, "encrypted": true} {
		t.Run(name, func(t *testing.T) {
			tier := shared.NewMemory()
			a, b := openVault(t, tier, encrypt, oldKey), openVault(t, tier, encrypt, oldKey)
			a.get(t, "x")
			if from := b.get(t, "x"); from != forebay.TierShared {
				t.Errorf("the other node got it from %s", from)
			}
			stored := rawOf(t, tier, "c:x,")
			if readable := bytes.Contains(stored.value, []byte("plain text")); readable == encrypt {
				t.Errorf("the value is readable: %t", readable)
			}
			for i := range stored.value {
				changed := bytes.Clone(stored.value)
				changed[i] ^= 1
				tier.Set(t.Context(), stored.key, changed, time.Minute)
				c := openVault(t, tier, encrypt, oldKey)
				if from := c.get(t, "x"); from != forebay.TierOrigin {
					t.Fatalf("taken with byte %d changed", i)
				}
				c.Close()
			}
			for who, other := range map[string]*vault{"no key": openVault(t, tier, false), "another key": openVault(t, tier, encrypt, newKey)} {
				if from := other.get(t, "x"); from != forebay.TierOrigin {
					t.Errorf("%s: got it from %s", who, from)
				}
				if n := other.Stats().Shared.Unusable["unauthentic"]; n != 1 {
					t.Errorf("%s: %v", who, other.Stats().Shared.Unusable)
				}
				other.get(t, "y") // …
				if from := openVault(t, tier, encrypt, oldKey).get(t, "y"); from != forebay.TierOrigin {
					t.Errorf("what a node with %s has written was taken", who)
				}
				tier.Unlink(t.Context(), rawOf(t, tier, "c:y,").key)
			}
		})
	}
}

type raw struct {
	key   string
	value []byte
}

func rawOf(t *testing.T, tier *shared.Memory, prefix string) raw {
	t.Helper()
	found, _, err := tier.Scan(t.Context(), 0, prefix)
	if err != nil || len(found) != 1 {
		t.Fatal(len(found), err)
	}
	value, err := tier.Get(t.Context(), found[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	return raw{found[0].Key, value}
}

// Keys are changed one node at a time: the new one is first read by all, then written, and then the old one goes.
func TestKeysAreChanged(t *testing.T) {
	for name, encrypt := range map[string]bool{"signed": false, "encrypted": true} {
		t.Run(name, func(t *testing.T) {
			steps := [][][]byte{{oldKey}, {oldKey, newKey}, {newKey, oldKey}, {newKey}}
			for i := 1; i < len(steps); i++ {
				tier := shared.NewMemory() // by the next step, what was written before has outlived its use
				before, after := openVault(t, tier, encrypt, steps[i-1]...), openVault(t, tier, encrypt, steps[i]...)
				p := string(rune('a' + i))
				before.get(t, p)
				if from := after.get(t, p); from != forebay.TierShared {
					t.Errorf("step %d: what was written before is not read", i)
				}
				after.get(t, p+p)
				if from := before.get(t, p+p); from != forebay.TierShared {
					t.Errorf("step %d: what was written after is not read by who is still to change", i)
				}
				if _, err := before.Invalidate(t.Context(), forebay.Tag("t")); err != nil {
					t.Fatal(err)
				}
				eventually(t, func() bool { return after.Stats().Log.Head == before.Stats().Log.Head })
				if n := after.Stats().Log.Unreadable + before.Stats().Log.Unreadable; n != 0 {
					t.Errorf("step %d: %d records are not trusted", i, n)
				}
				before.Close()
				after.Close()
			}
		})
	}
}

// A record that no node with a key wrote removes everything: it may stand for any other. It is counted.
func TestARecordOfSomebodyElse(t *testing.T) {
	tier := shared.NewMemory()
	a := openVault(t, tier, false, oldKey)
	a.get(t, "x")
	if _, err := a.Invalidate(t.Context(), forebay.Tag("own")); err != nil {
		t.Fatal(err)
	}
	if n := a.Stats().Log.Unreadable; n != 0 {
		t.Errorf("its own record is not trusted")
	}
	other := openVault(t, tier, false)
	if _, err := other.Invalidate(t.Context(), forebay.Tag("unrelated")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return a.Stats().Log.Unreadable == 1 })
	if from := a.get(t, "x"); from != forebay.TierOrigin {
		t.Errorf("from %s", from)
	}
	if from := a.get(t, "x"); from != forebay.TierNear {
		t.Errorf("and then from %s", from)
	}
}

func TestKeysAreChecked(t *testing.T) {
	for want, o := range map[string]forebay.Options{
		"Keys[1]: 5 bytes":                                {Keys: [][]byte{oldKey, []byte("short")}},
		"Encrypt: there are no keys":                      {Encrypt: true},
		"Encrypt: there are no keys to encrypt with: set": {Encrypt: true, Keys: [][]byte{}, Secret: oldKey},
	} {
		if _, err := forebay.Open(t.Context(), o); !errors.Is(err, forebay.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
