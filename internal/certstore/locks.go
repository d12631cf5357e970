package certstore

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// Locks are leases of the shared tier: one whose holder dies ends by itself.
const (
	lockLife  = 15 * time.Second
	lockRenew = 4 * time.Second
	lockLook  = 100 * time.Millisecond
)

// locks are those that this process holds.
type locks struct {
	tier shared.Tier
	mu   sync.Mutex // guards the fields below
	held map[string]*lock
}

type lock struct {
	token string
	stop  context.CancelFunc
	ended chan struct{}
}

// lock waits until the lock is free, or ctx ends.
func (l *locks) lock(ctx context.Context, name string) error {
	token := rand.Text()
	for {
		held, _, err := l.tier.Lease(ctx, prefix+name+":lock", token, lockLife)
		if err != nil {
			return fmt.Errorf("lock %s in the shared tier: %w", name, err)
		}
		if held {
			break
		}
		select {
		case <-time.After(lockLook):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	one := &lock{token: token, stop: stop, ended: make(chan struct{})}
	l.mu.Lock()
	l.held[name] = one
	l.mu.Unlock()
	go l.renew(renewing, name, one)
	return nil
}

// renew keeps the lease alive until it is given back.
func (l *locks) renew(ctx context.Context, name string, one *lock) {
	defer close(one.ended)
	tick := time.NewTicker(lockRenew)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.tier.Renew(ctx, prefix+name+":lock", one.token, lockLife) // one that fails is tried again: it outlives three
		case <-ctx.Done():
			return
		}
	}
}

func (l *locks) unlock(ctx context.Context, name string) error {
	l.mu.Lock()
	one := l.held[name]
	delete(l.held, name)
	l.mu.Unlock()
	if one == nil {
		return fmt.Errorf("lock %s is not held", name)
	}
	one.stop()
	<-one.ended
	return l.tier.Release(ctx, prefix+name+":lock", one.token)
}
