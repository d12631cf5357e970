package forebay

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/internal/keys"
	"github.com/forebay-cache/forebay/internal/replica"
	"github.com/forebay-cache/forebay/shared"
)

const (
	// selfTestEvery is how often a cache proves to itself that its shared tier works. A single failure may
	// be chance; the second one is said.
	selfTestEvery = 3 * time.Second
	// selfTestAgain is how soon it looks again after a failure, and at the earliest when a write was refused.
	selfTestAgain = 500 * time.Millisecond
)

// A selfTest is an entry that goes the whole way every few seconds: stored, read back, invalidated, gone.
// A tier that answers but does not keep what it is given, or an invalidation that reaches nothing, would
// otherwise be seen by nobody.
type selfTest struct {
	cache *Cache
	space *space
	key   string

	mu       sync.Mutex // guards the fields below
	failures int
	problem  string
}

// errUnproven: what could be tested works.
var errUnproven = errors.New("forebay: the log cannot be tested now")

// selfTestPrefix begins the keys of self-tests, and can begin no other; the name of the node follows.
const selfTestPrefix = "~self-test:"

func newSelfTest(c *Cache) *selfTest {
	sp := c.newSpace("~self-test", newClass(Class{Name: "~self-test"}), reflect.TypeFor[string](), false)
	sp.decode = func(id codec.ID, payload []byte, compressed bool) (any, error) {
		var v string
		err := codec.Decode(id, payload, compressed, &v)
		return v, err
	}
	sp.weigh = func(any) int { return 0 }
	return &selfTest{cache: c, space: sp, key: string(keys.AppendEscaped([]byte(sp.prefix), c.options.Node)) + "," + rand.Text() + ","}
}

// selfTestFirst is how soon a cache tests after it was opened: from then on the others hear it.
const selfTestFirst = 50 * time.Millisecond

// run tests until ctx ends: every so often, and soon when there is doubt.
func (k *selfTest) run(ctx context.Context, every time.Duration) {
	again := min(selfTestAgain, every)
	for pause := min(selfTestFirst, every); ; {
		select {
		case <-time.After(pause):
		case <-k.cache.shared.doubts:
		case <-ctx.Done():
			return
		}
		pause = every
		if !k.note(k.probe(ctx)) {
			pause = again
		}
		if k.cache.replica.Ready() {
			k.cache.census.look(ctx, k.cache)
		}
		select {
		case <-time.After(again):
			pause -= again
		case <-ctx.Done():
			return
		}
	}
}

// note remembers how a test went, and returns whether it went well. A tier that is away is told elsewhere.
func (k *selfTest) note(err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if errors.Is(err, shared.ErrAway) || errors.Is(err, errUnproven) || errors.Is(err, context.Canceled) {
		return true // it says nothing of whether the tier works: what was known stays
	}
	if err == nil {
		if k.problem != "" {
			k.cache.logger.Info("forebay: the self-test passes again: the shared tier works")
		}
		k.failures, k.problem = 0, ""
		return true
	}
	if k.failures++; k.failures < 2 {
		return false
	}
	if k.problem == "" {
		k.cache.logger.Warn("forebay: the self-test failed: the shared tier answers and does not work", "error", err)
	}
	k.problem = err.Error()
	return false
}

// problemNow is what is wrong, or "".
func (k *selfTest) problemNow() string {
	if k == nil {
		return ""
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.problem
}

// probe goes the whole way once.
func (k *selfTest) probe(ctx context.Context) error {
	c := k.cache
	ready := c.replica.Ready()
	if usable, _ := c.shared.State().Usable(); !ready && !usable {
		return shared.ErrAway
	}
	stamp, number := c.replica.Place()
	now := c.now()
	token := rand.Text()
	e := &entry{space: k.space, key: k.key, value: token, stamp: stamp, created: now}
	e.number.Store(number)
	e.fresh = now + int64(time.Minute)
	e.stale, e.dead = e.fresh, e.fresh
	if err := c.shared.put(ctx, job{entry: e, key: k.key}, now); err != nil {
		return fmt.Errorf("a value cannot be stored: %w", err)
	}
	if !ready { // the log is behind, or refuses what waits for it: no more can be told than that values are stored
		return cmp.Or(c.shared.Unlink(ctx, k.key), errUnproven)
	}
	v, found, err := k.look(ctx, token)
	switch {
	case err != nil:
		return err
	case !found:
		return errors.New("a value that was just stored is gone: does the server evict at once, or something in between answer for it?")
	case v != replica.Valid:
		return nil // somebody invalidated everything meanwhile
	}
	if _, _, err := c.record(ctx, Remove, []Target{Key(k.key)}); err != nil {
		return fmt.Errorf("an invalidation was not accepted: %w", err)
	}
	if v, found, err = k.look(ctx, token); err != nil {
		return err
	}
	if found && v == replica.Valid {
		return errors.New("an invalidation does not reach what is stored")
	}
	return c.shared.Unlink(ctx, k.key) // or the next one would find this one
}

// look reads the entry in the shared tier and judges it.
func (k *selfTest) look(ctx context.Context, token string) (v replica.Verdict, found bool, err error) {
	b, err := k.cache.shared.Get(ctx, k.key)
	if err != nil || b == nil {
		return replica.Removed, false, err
	}
	e, v, ahead, err := k.cache.unseal(k.space, k.key, b)
	if ahead {
		return replica.Removed, true, nil
	}
	if err != nil {
		return replica.Removed, true, fmt.Errorf("a value comes back changed: %w", err)
	}
	if e.value != token && v == replica.Valid {
		return replica.Removed, true, errors.New("a value comes back as another")
	}
	return v, true, nil
}
