package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/forebay-cache/forebay/shared"
	"github.com/redis/rueidis"
)

// Lease implements [shared.Tier].
func (t *Tier) Lease(ctx context.Context, key, token string, life time.Duration) (held bool, value []byte, err error) {
	leases, err := t.LeaseMany(ctx, []string{key}, token, life)
	if err != nil {
		return false, nil, err
	}
	return leases[0].Held, leases[0].Value, leases[0].Err
}

// perLease is how many commands a lease is asked for with.
const perLease = 3

// LeaseMany implements [shared.Tier].
func (t *Tier) LeaseMany(ctx context.Context, keys []string, token string, life time.Duration) ([]shared.Lease, error) {
	return guard(ctx, t, t.o.Budget, func(ctx context.Context, c clients) ([]shared.Lease, error) {
		all := make(rueidis.Commands, 0, perLease*len(keys))
		for _, k := range keys {
			all = append(all,
				c.values.B().Set().Key(t.leaseKey(k)).Value(token).Nx().PxMilliseconds(life.Milliseconds()).Build(),
				c.values.B().Get().Key(t.valueKey(k)).Build(),
				c.values.B().Pttl().Key(t.leaseKey(k)).Build())
		}
		replies := c.values.DoMulti(ctx, all...)
		out := make([]shared.Lease, len(keys))
		for i, k := range keys {
			var err error
			if out[i], err = t.leaseOf(k, life, replies[perLease*i:perLease*(i+1)]); err != nil {
				return nil, err
			}
		}
		return out, nil
	})
}

func (t *Tier) leaseOf(key string, life time.Duration, replies []rueidis.RedisResult) (l shared.Lease, err error) {
	err = replies[0].Error()
	if l.Held = err == nil; err != nil && !rueidis.IsRedisNil(err) {
		return l, err
	}
	if l.Value, err = bytesOf(replies[1]); err != nil || l.Held {
		return l, err
	}
	left, err := replies[2].AsInt64()
	if err != nil {
		return l, nil // a user that may not ask cannot tell
	}
	// A node's lease lives for so long at the most; this would be waited for in vain.
	if left == -1 || left > life.Milliseconds() {
		l.Err = fmt.Errorf("redis: the key %s is of another program, which does not give it back: choose another namespace, or remove it", t.leaseKey(key))
		t.foreign(l.Err.Error())
	}
	return l, nil
}

// foreign says that another program's key is where a lease should be, now and then.
func (t *Tier) foreign(problem string) {
	now := time.Now().UnixNano()
	if last := t.foreignSaid.Load(); now-last > int64(foreignEvery) && t.foreignSaid.CompareAndSwap(last, now) {
		t.o.Logger.Warn("forebay: each node loads for itself", "problem", problem)
	}
}

// foreignEvery is how often that is said.
const foreignEvery = time.Minute

var (
	renewScript   = rueidis.NewLuaScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`)
	releaseScript = rueidis.NewLuaScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`)
)

// Renew implements [shared.Tier].
func (t *Tier) Renew(ctx context.Context, key, token string, life time.Duration) (held bool, err error) {
	return guard(ctx, t, t.o.Budget, func(ctx context.Context, c clients) (bool, error) {
		n, err := renewScript.Exec(ctx, c.values, []string{t.leaseKey(key)}, []string{token, strconv.FormatInt(life.Milliseconds(), 10)}).AsInt64()
		return n == 1, err
	})
}

// Release implements [shared.Tier].
func (t *Tier) Release(ctx context.Context, key, token string) error {
	_, err := guard(ctx, t, t.o.Budget, func(ctx context.Context, c clients) (nothing, error) {
		return nothing{}, releaseScript.Exec(ctx, c.values, []string{t.leaseKey(key)}, []string{token}).Error()
	})
	return err
}
