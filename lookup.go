package forebay

import "context"

// A lookup's result, before it has a type.
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
	strict := sp.class.Strict && c.shared != nil
	if strict && c.ready() {
		ctx = c.shared.Visit(ctx)
		if l, ok := c.strictLookup(ctx, sp, key); ok {
			return l.in(ctx)
		}
	}
	if strict {
		return lookup{state: isDead, unconfirmed: true, asked: now}.in(ctx)
	}
	l := lookup{unconfirmed: c.shared != nil && !c.confirmed()}
	l.entry, l.state = c.nearLookup(ctx, sp, key, now)
	if c.shared == nil || l.state < isOnError || sp.class.TTL == 0 || !c.ready() {
		return l
	}
	ctx = c.shared.Visit(ctx)
	if s, ok := c.sharedLookup(ctx, sp, key, l.unconfirmed); ok && s.state < l.state {
		return s.in(ctx)
	}
	return l.in(ctx)
}

// in remembers the visit that the look-up was a part of.
func (l lookup) in(ctx context.Context) lookup {
	l.visit = ctx
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
		b, err := c.read(ctx, sp.stored(key), withLog)
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
	return b, c.absorb(ctx, asked, r, sent)
}
