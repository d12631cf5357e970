package forebay

import (
	"context"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/internal/replica"
)

// A lookup is what was found, before it has a type.
type lookup struct {
	entry       *entry
	state       state
	tier        Tier
	unconfirmed bool
	asked       int64
	visit       context.Context // to the shared tier; nil: it was not asked
}

// lookup goes through the tiers: near, then shared. A Strict class, and a node that has not been
// confirmed for a while, takes nothing from the shared tier without reading the log with it.
func (c *Cache) lookup(ctx context.Context, sp *space, key string) lookup {
	now := c.now()
	strict := sp.class.now().Strict && c.shared != nil
	if strict && c.replica.Ready() {
		visit := c.shared.Visit(ctx)
		if l, ok := c.strictLookup(ctx, visit, sp, key); ok {
			return l.in(visit)
		}
		return lookup{state: isDead, unconfirmed: true, asked: now}.in(visit)
	}
	if strict {
		return lookup{state: isDead, unconfirmed: true, asked: now}
	}
	l := lookup{unconfirmed: c.shared != nil && !c.replica.Confirmed()}
	l.entry, l.state = c.nearLookup(ctx, sp, key, now)
	if c.shared == nil || c.shared.alone || l.state < isOnError || sp.class.now().TTL == 0 || !c.replica.Ready() {
		return l
	}
	visit := c.shared.Visit(ctx)
	if s, ok := c.sharedLookup(within(ctx, visit), sp, key, l.unconfirmed); ok && s.state < l.state {
		return s.in(visit)
	}
	return l.in(visit)
}

// in remembers the visit that the look-up was a part of.
func (l lookup) in(visit context.Context) lookup {
	l.visit = visit
	return l
}

// strictLookup confirms, in the same round trip as the read. It returns false if it cannot.
func (c *Cache) strictLookup(ctx, visit context.Context, sp *space, key string) (lookup, bool) {
	e, st := c.nearLookup(ctx, sp, key, c.now())
	if !c.shared.alone && (st > isAhead || !c.replica.Confirmed()) {
		return c.sharedLookup(within(ctx, visit), sp, key, true)
	}
	step := beginStep(ctx, StageLog, sp, key)
	err := c.replica.Confirm(ctx, visit)
	step.end("confirmed", err)
	if err != nil {
		return lookup{}, false
	}
	if e != nil {
		e, st = c.near.judge(e, c.now())
	}
	if st <= isAhead || c.shared.alone {
		return lookup{entry: e, state: st}, true
	}
	return c.sharedLookup(within(ctx, visit), sp, key, true)
}

func (c *Cache) nearLookup(ctx context.Context, sp *space, key string, now int64) (*entry, state) {
	step := beginStep(ctx, StageNear, sp, key)
	e, st := c.near.get(key, now)
	if step.trace != nil {
		step.end(foundWord(e, st, now), nil)
	}
	return e, st
}

// sharedLookup reads the shared tier, with the log if withLog. It returns false if that failed.
func (c *Cache) sharedLookup(ctx context.Context, sp *space, key string, withLog bool) (lookup, bool) {
	step := beginStep(ctx, StageShared, sp, key)
	began := c.now()
	l, err := c.readShared(ctx, sp, key, withLog)
	c.tell(Event{Kind: EventShared, Class: sp.class.Name, Duration: c.since(began), Err: err})
	if step.trace != nil {
		step.end(foundWord(l.entry, l.state, c.now()), err)
	}
	return l, err == nil
}

func (c *Cache) readShared(ctx context.Context, sp *space, key string, withLog bool) (lookup, error) {
	for {
		c.shared.reads.Add(1)
		b, err := c.read(ctx, sp.stored(key), withLog)
		if err != nil {
			return lookup{}, err
		}
		l, err := c.sharedEntry(sp, key, b)
		if err == codec.ErrAhead && !withLog {
			withLog = true // it was loaded beyond what this node has read: read the log with it
			continue
		}
		if err != nil {
			c.shared.unusable(err)
		}
		return l, nil
	}
}

// sharedEntry is what the shared tier holds under a key, which may be nothing. An error says why it cannot be used.
func (c *Cache) sharedEntry(sp *space, key string, b []byte) (lookup, error) {
	l := lookup{state: isDead, tier: TierShared}
	if b == nil {
		return l, nil
	}
	e, v, _, err := c.unseal(sp, key, b)
	if err != nil {
		return l, err
	}
	l.entry, l.state = e, e.stateAt(c.now(), v)
	if v == replica.Valid && l.state < isOnError {
		c.near.put(e)
	}
	return l, nil
}

func (c *Cache) read(ctx context.Context, key string, withLog bool) ([]byte, error) {
	if !withLog {
		return c.shared.Get(ctx, key)
	}
	q := c.replica.Ask()
	b, answer, err := c.shared.GetAndRead(ctx, key, q.Head)
	if err != nil {
		return nil, err
	}
	return b, c.replica.Take(ctx, q, answer)
}

// lookupSize is how many keys are one operation on the shared tier: what they hold must fit its budget.
const lookupSize = 200

// lookupMany is lookup for many keys of a space, as if for one caller: it confirms once, and reads what is not near
// in few round trips.
func (c *Cache) lookupMany(ctx context.Context, sp *space, keys []string) []lookup {
	out := make([]lookup, len(keys))
	now := c.now()
	strict, unconfirmed := sp.class.now().Strict && c.shared != nil, c.shared != nil && !c.replica.Confirmed()
	readable := c.shared != nil && sp.class.now().TTL > 0 && c.replica.Ready()
	if readable && (strict || unconfirmed) {
		readable = c.replica.Confirm(ctx, c.shared.Visit(ctx)) == nil
	}
	if strict && !readable {
		for i := range out {
			out[i] = lookup{state: isDead, unconfirmed: true, asked: now}
		}
		return out
	}
	var missing []int
	for i, key := range keys {
		out[i].unconfirmed = unconfirmed
		if out[i].entry, out[i].state = c.nearLookup(ctx, sp, key, now); out[i].state >= isOnError {
			missing = append(missing, i)
		}
	}
	for ; readable && !c.shared.alone && len(missing) > 0 && c.replica.Ready(); missing = missing[min(lookupSize, len(missing)):] {
		c.lookupShared(ctx, sp, keys, missing[:min(lookupSize, len(missing))], out)
	}
	return out
}

// lookupShared looks some of the keys up in the shared tier, and takes what is better than what is near.
func (c *Cache) lookupShared(ctx context.Context, sp *space, keys []string, which []int, out []lookup) {
	stored := make([]string, len(which))
	for n, i := range which {
		stored[n] = sp.stored(keys[i])
	}
	visit := within(ctx, c.shared.Visit(ctx))
	step := beginStep(ctx, StageShared, sp, "")
	c.shared.reads.Add(uint64(len(which)))
	began := c.now()
	values, err := c.shared.GetMany(visit, stored)
	c.tell(Event{Kind: EventShared, Class: sp.class.Name, Duration: c.since(began), Err: err})
	for n := 0; err == nil && n < len(values); n++ {
		i := which[n]
		l, unusable := c.sharedEntry(sp, keys[i], values[n])
		if unusable == codec.ErrAhead && c.replica.Read(visit) == nil { // it was loaded beyond what this node had read
			l, unusable = c.sharedEntry(sp, keys[i], values[n])
		}
		if unusable != nil {
			c.shared.unusable(unusable)
		}
		if l.state < out[i].state {
			out[i].entry, out[i].state, out[i].tier, out[i].unconfirmed = l.entry, l.state, l.tier, false
		}
	}
	step.end("read", err)
}
