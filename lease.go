package forebay

import (
	"crypto/rand"
	"errors"
	"time"
)

// Leases: the holder renews, so that one who dies costs the others no more than a life.
const (
	leaseLife   = 3 * time.Second
	leaseRenew  = time.Second
	leaseLook   = 2 * time.Millisecond   // how soon to look again, growing …
	leaseLookAt = 160 * time.Millisecond // … to this
)

// errElsewhere says that another node loads the key, and that the caller has something stale to serve.
var errElsewhere = errors.New("forebay: another node loads it")

func (c *Cache) tracedLease(f *flight, patient bool) (answered bool, err error) {
	if c.shared == nil {
		return false, nil
	}
	step := beginStep(f.ctx, PartLease, f.space, f.key)
	answered, err = c.lease(f, patient)
	found := "not taken" // the tier does not answer: everybody loads
	switch {
	case answered:
		found = "loaded elsewhere"
	case c.flights.holdsLease(f):
		found = "taken"
	}
	step.end(found, err)
	return answered, err
}

// lease takes the lease of a flight's key, or waits for the answer of the node that holds it. It
// reports whether the flight was answered so. Where the tier is away everybody loads, and so does who
// could not confirm: no other node's answer would do for him, so he must not wait for it.
func (c *Cache) lease(f *flight, patient bool) (answered bool, err error) {
	if !c.ready() || f.stamp.Epoch == "" || f.since > 0 {
		return false, nil
	}
	token := rand.Text()
	for pause := leaseLook; ; pause = min(2*pause, leaseLookAt) {
		held, b, err := c.shared.Lease(f.ctx, f.space.class.stored(f.key), token, leaseLife)
		if err != nil {
			return false, nil
		}
		if e := c.elsewhere(f, b); e != nil {
			if held {
				c.release(f.space.class.stored(f.key), token)
			}
			c.flights.end(f, e, e.err)
			return true, nil
		}
		if held {
			c.flights.leased(f, token)
			return false, nil
		}
		if !patient {
			return false, errElsewhere
		}
		select {
		case <-time.After(pause):
		case <-f.ctx.Done():
			return false, c.flights.timeoutError(f)
		}
		if !c.ready() {
			return false, nil
		}
	}
}

// elsewhere returns what another node has loaded meanwhile, if it may answer the flight: fresh, newer
// than what this node holds, and not from before anything it knew when the flight began.
func (c *Cache) elsewhere(f *flight, b []byte) *entry {
	if b == nil || f.anyway {
		return nil
	}
	e, v, ahead, err := c.unseal(f.space, f.key, b)
	if ahead || err != nil || v != valid || e.number.Load() < f.number || !c.confirmed() || c.now() >= e.fresh {
		return nil
	}
	if held, st := c.near.get(f.key, c.now()); st != isDead && e.created <= held.created+int64(time.Millisecond) {
		return nil // the very entry that is to be refreshed; envelopes count in milliseconds
	}
	return e
}

// leased keeps the lease alive for as long as the flight lasts.
func (fs *flights) leased(f *flight, token string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.ended {
		fs.cache.release(f.space.class.stored(f.key), token)
		return
	}
	f.token = token
	f.renewal = time.AfterFunc(leaseRenew, func() {
		if fs.cache.shared.Renew(f.ctx, f.space.class.stored(f.key), token, leaseLife) == nil && f.ctx.Err() == nil {
			fs.mu.Lock()
			defer fs.mu.Unlock()
			if !f.ended {
				f.renewal.Reset(leaseRenew)
			}
		}
	})
}

func (fs *flights) holdsLease(f *flight) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return f.token != ""
}

func (c *Cache) release(key, token string) { c.shared.enqueue(job{key: key, token: token}) }
