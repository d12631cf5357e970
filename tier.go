package forebay

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A tier is what the cache adds to a shared tier: it reads and judges what is there, and writes
// behind the requests.
type tier struct {
	Shared
	codec codecID
	jobs  chan job

	doubts  chan struct{} // rings the canary: a write was refused
	reads   atomic.Uint64 // for requests
	dropped atomic.Uint64 // writes for which the queue had no room
	failed  atomic.Uint64 // writes that the tier refused
	mu      sync.Mutex    // guards what follows
	unread  map[string]uint64
}

// A job is a write behind the requests: an entry and the lease that ends with it, or a key to be removed.
type job struct {
	entry  *entry
	token  string
	key    string
	remove bool
}

const (
	queueLength  = 4096
	queueWorkers = 8
)

func newTier(s Shared, c Codec) *tier {
	return &tier{Shared: s, codec: c.id(), jobs: make(chan job, queueLength), doubts: make(chan struct{}, 1), unread: map[string]uint64{}}
}

// unusable counts what could not be used, by reason.
func (t *tier) unusable(why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unread[why.Error()]++
}

// enqueue never waits: what finds no room is dropped and counted. A dropped value is loaded again by
// whoever needs it, a dropped lease ends by itself, a dropped removal leaves what no reader takes.
func (t *tier) enqueue(j job) {
	select {
	case t.jobs <- j:
	default:
		t.dropped.Add(1)
	}
}

// write does the jobs until stopped ends, and then those that are left.
func (t *tier) write(stopped context.Context, now func() int64) {
	ctx := context.WithoutCancel(stopped) // the tier's budget bounds each operation
	for {
		select {
		case j := <-t.jobs:
			t.try(ctx, j, now)
			continue
		case <-stopped.Done():
		}
		for {
			select {
			case j := <-t.jobs:
				t.try(ctx, j, now)
			default:
				return
			}
		}
	}
}

func (t *tier) try(ctx context.Context, j job, now func() int64) {
	if err := t.do(ctx, j, now); err != nil {
		t.failed.Add(1)
		select {
		case t.doubts <- struct{}{}:
		default:
		}
	}
}

func (t *tier) do(ctx context.Context, j job, now func() int64) error {
	var err error
	switch {
	case j.remove:
		return t.Unlink(ctx, j.key)
	case j.entry != nil:
		err = t.put(ctx, j, now())
	}
	if j.token != "" {
		err = errors.Join(err, t.Release(ctx, j.key, j.token))
	}
	return err
}

// put writes an entry, for the life that is left of it.
func (t *tier) put(ctx context.Context, j job, now int64) error {
	e := j.entry
	left := time.Duration(e.dead - now)
	if left <= 0 || e.err == nil && !e.space.survives(t.codec, e.value) {
		return nil
	}
	b, err := t.seal(e, now)
	if err != nil {
		return err
	}
	return t.Set(ctx, j.key, b, left)
}

// seal makes an entry's envelope. Its times are of the tier's clock, which is everybody's.
func (t *tier) seal(e *entry, now int64) ([]byte, error) {
	env := envelope{
		key: e.key, class: e.space.class.Name, stamp: e.stamp, tags: e.tags, took: e.took, codec: t.codec, notFound: e.err != nil,
		created: t.Clock().Add(time.Duration(e.created - now)), fresh: time.Duration(e.fresh - e.created), stale: time.Duration(e.stale - e.created),
		dead: time.Duration(e.dead - e.created),
	}
	if e.err == nil {
		var err error
		if env.codec, env.payload, env.compressed, err = encodeValue(t.codec, e.value); err != nil {
			return nil, err
		}
	}
	return env.append(nil), nil
}

// A lookup's result, before it has a type.
type lookup struct {
	entry       *entry
	state       state
	tier        Tier
	unconfirmed bool
	asked       int64
}

// lookup goes through the tiers: near, then shared. A Strict class, and a node that has not been
// confirmed for a while, takes nothing from the shared tier without reading the log with it.
func (c *Cache) lookup(ctx context.Context, sp *space, key string) lookup {
	now := c.now()
	strict := sp.class.Strict && c.shared != nil
	if strict && c.ready() {
		if l, ok := c.strictLookup(ctx, sp, key); ok {
			return l
		}
	}
	if strict {
		return lookup{state: isDead, unconfirmed: true, asked: now}
	}
	l := lookup{unconfirmed: c.shared != nil && !c.confirmed()}
	l.entry, l.state = c.nearLookup(ctx, sp, key, now)
	if c.shared == nil || l.state < isOnError || sp.class.TTL == 0 || !c.ready() {
		return l
	}
	if s, ok := c.sharedLookup(ctx, sp, key, l.unconfirmed); ok && s.state < l.state {
		return s
	}
	return l
}

// strictLookup confirms, in the same round trip as the read. It returns false if it cannot.
func (c *Cache) strictLookup(ctx context.Context, sp *space, key string) (lookup, bool) {
	e, st := c.nearLookup(ctx, sp, key, c.now())
	if st > isAhead || !c.confirmed() {
		return c.sharedLookup(ctx, sp, key, true)
	}
	step := beginStep(ctx, PartLog, sp, key)
	err := c.confirmer.confirm(ctx, c.confirm)
	step.end("confirmed", err)
	if err != nil {
		return lookup{}, false
	}
	if e, st = c.near.judge(e, c.now()); st <= isAhead {
		return lookup{entry: e, state: st}, true
	}
	return c.sharedLookup(ctx, sp, key, true)
}

func (c *Cache) nearLookup(ctx context.Context, sp *space, key string, now int64) (*entry, state) {
	step := beginStep(ctx, PartNear, sp, key)
	e, st := c.near.get(key, now)
	if step.trace != nil {
		step.end(foundWord(e, st, now), nil)
	}
	return e, st
}

// sharedLookup reads the shared tier, with the log if withLog. It returns false if that failed.
func (c *Cache) sharedLookup(ctx context.Context, sp *space, key string, withLog bool) (lookup, bool) {
	step := beginStep(ctx, PartShared, sp, key)
	l, err := c.readShared(ctx, sp, key, withLog)
	if step.trace != nil {
		step.end(foundWord(l.entry, l.state, c.now()), err)
	}
	return l, err == nil
}

func (c *Cache) readShared(ctx context.Context, sp *space, key string, withLog bool) (lookup, error) {
	for {
		c.shared.reads.Add(1)
		b, err := c.read(ctx, sp.class.stored(key), withLog)
		if err != nil {
			return lookup{}, err
		}
		l := lookup{state: isDead, tier: TierShared}
		if b == nil {
			return l, nil
		}
		e, v, ahead, err := c.unseal(sp, key, b)
		if ahead && !withLog {
			withLog = true // it was loaded beyond what this node has read: read the log with it
			continue
		}
		if err != nil {
			c.shared.unusable(err)
			return l, nil
		}
		l.entry, l.state = e, e.stateAt(c.now(), v)
		if v == valid && l.state < isOnError {
			c.near.put(e)
		}
		return l, nil
	}
}

func (c *Cache) read(ctx context.Context, key string, withLog bool) ([]byte, error) {
	if !withLog {
		return c.shared.Get(ctx, key)
	}
	asked, _ := c.ledger.place()
	sent := c.now()
	b, r, err := c.shared.GetAndRead(ctx, key, asked)
	if err != nil {
		return nil, err
	}
	return b, c.absorb(ctx, asked, r, nil, sent)
}

// clocksApart is how far two nodes may be apart in what they take the tier's clock for.
const clocksApart = time.Second

// unseal opens an envelope, judges it by the log, and makes it an entry of this node. What it cannot
// use is an error that says why.
func (c *Cache) unseal(sp *space, key string, b []byte) (e *entry, v verdict, ahead bool, err error) {
	env, err := openEnvelope(b)
	if err != nil {
		return nil, removed, false, err
	}
	if env.key != key || env.class != sp.class.Name {
		return nil, removed, false, errOtherKey
	}
	v, number, ahead := c.ledger.judgeStamp(env)
	if ahead {
		return nil, removed, true, errAhead
	}
	now, age := c.now(), c.shared.Clock().Sub(env.created)
	if age < -clocksApart {
		return nil, removed, false, errFuture
	}
	for i, tag := range env.tags {
		env.tags[i] = strings.Clone(tag) // or a tag would keep the whole envelope
	}
	e = &entry{
		space: sp, key: key, shared: true, tags: env.tags, stamp: Stamp{c.ledger.epoch(), env.stamp.ID}, took: env.took,
		created: now - int64(max(0, age)),
	}
	e.fresh, e.stale, e.dead = e.created+int64(env.fresh), e.created+int64(env.stale), e.created+int64(env.dead)
	e.number.Store(number)
	e.setPlain()
	if v == removed {
		return e, v, false, nil
	}
	size := 0
	if env.notFound {
		e.err = ErrNotFound
	} else {
		if e.value, err = sp.decode(env.codec, env.payload, env.compressed); err != nil {
			return nil, removed, false, errDecode
		}
		size = sp.weigh(e.value)
	}
	e.weigh(size)
	return e, v, false, nil
}
