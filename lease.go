package forebay

import (
	"crypto/rand"
	"errors"
	"time"

	"github.com/forebay-cache/forebay/internal/replica"
)

// Leases: the holder renews, so that one that dies costs the others no more than a life.
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
	step := beginStep(f.ctx, StageLease, f.space, f.key)
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
// reports whether the flight was answered so. Where the tier is away every node loads. So does
// a caller that could not confirm: another node's answer would not satisfy it; and so does a function whose values
// stay near, because there is no answer to wait for.
func (c *Cache) lease(f *flight, patient bool) (answered bool, err error) {
	if !c.replica.Ready() || c.shared.alone || f.stamp.Epoch == "" || f.since > 0 || f.space.lossyField() != "" {
		return false, nil
	}
	token, ctx := rand.Text(), within(f.ctx, f.visit)
	ctx = within(ctx, c.shared.Visit(ctx)) // the first answer is a part of the request …
	for pause := leaseLook; ; pause = min(2*pause, leaseLookAt) {
		held, b, err := c.shared.Lease(ctx, f.space.stored(f.key), token, leaseLife)
		if err != nil {
			// The tier may have granted it, and the answer is late: it is given back by its token, before
			// anybody waits for a load that nobody runs.
			c.release(f.space.stored(f.key), token)
			return false, nil
		}
		if e := c.elsewhere(f, b); e != nil {
			if held {
				c.release(f.space.stored(f.key), token)
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
		ctx = f.ctx // … and what is waited for is the load
		select {
		case <-time.After(pause):
		case <-f.ctx.Done():
			return false, c.flights.timeoutError(f)
		}
		if !c.replica.Ready() {
			return false, nil
		}
	}
}

// A leaseState says which node is to load.
type leaseState uint8

const (
	leaseOwn      leaseState = iota // this node
	leaseOther                      // another does already
	leaseAnswered                   // nobody: another has, and the flight has ended with its answer
)

// leaseMany is the first step of lease, for many flights of one space, in few round trips.
func (c *Cache) leaseMany(flights []*flight) []leaseState {
	out := make([]leaseState, len(flights))
	for at := 0; at < len(flights); at += lookupSize {
		end := min(at+lookupSize, len(flights))
		c.leaseSome(flights[at:end], out[at:end])
	}
	return out
}

func (c *Cache) leaseSome(flights []*flight, out []leaseState) {
	first := flights[0]
	if !c.replica.Ready() || c.shared.alone || first.stamp.Epoch == "" || first.since > 0 || first.space.lossyField() != "" {
		return // each node loads: see lease
	}
	token, keys := rand.Text(), make([]string, len(flights))
	for i, f := range flights {
		keys[i] = f.space.stored(f.key)
	}
	got, err := c.shared.LeaseMany(within(first.ctx, c.shared.Visit(first.ctx)), keys, token, leaseLife)
	if err != nil {
		for _, key := range keys {
			c.release(key, token) // it may have been granted, and the answer is late
		}
		return
	}
	for i, f := range flights {
		switch e := c.elsewhere(f, got[i].Value); {
		case e != nil:
			if got[i].Held {
				c.release(keys[i], token)
			}
			c.flights.end(f, e, e.err)
			out[i] = leaseAnswered
		case got[i].Held:
			c.flights.leased(f, token)
		case got[i].Err == nil:
			out[i] = leaseOther
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
	if ahead || err != nil || v != replica.Valid || e.number.Load() < f.number || !c.replica.Confirmed() || c.now() >= e.fresh {
		return nil
	}
	// What the caller had when the flight began is to be refreshed, not answered with again; envelopes
	// count in milliseconds. What is near now may be the very answer:
	//
	//  1. B's flight waits for A's lease.
	//  2. A stores its answer; a newcomer on B finds it, and it is near.
	//  3. B's flight sees the same answer, and must take it.
	if f.held >= 0 && e.created <= f.held+int64(time.Millisecond) {
		return nil
	}
	return e
}

// leased keeps the lease alive for as long as the flight lasts.
func (fs *flights) leased(f *flight, token string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.ended {
		fs.cache.release(f.space.stored(f.key), token)
		return
	}
	f.token = token
	f.renewal = time.AfterFunc(leaseRenew, func() {
		// One that fails is tried again: the lease outlives three of them.
		fs.cache.shared.Renew(f.ctx, f.space.stored(f.key), token, leaseLife)
		fs.mu.Lock()
		defer fs.mu.Unlock()
		if !f.ended && !f.alone && f.ctx.Err() == nil {
			f.renewal.Reset(leaseRenew)
		}
	})
}

func (fs *flights) holdsLease(f *flight) bool {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return f.token != ""
}

func (c *Cache) release(key, token string) {
	c.shared.enqueue(job{key: key, token: token, until: time.Now().Add(leaseLife)})
}
