package forebay

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// sealed is seal, for what survives being written. Values have methods of the user's own: a panic in one
// is said once, and then the function's values stay near.
func (t *tier) sealed(e *entry, now int64) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, nil
			e.space.keepNear(fmt.Sprintf("%T: a method of the value panicked: %v", e.value, p))
		}
	}()
	if e.err == nil && !e.space.survives(t.codec, e.value) {
		return nil, nil
	}
	if b, err = t.seal(e, now); err != nil { // it is the value's fault, not the tier's
		e.space.keepNear(err.Error())
		return nil, nil
	}
	return b, nil
}

// seal makes an entry's envelope. Its times are of the tier's clock, which is everybody's.
func (t *tier) seal(e *entry, now int64) ([]byte, error) {
	env := envelope{
		key: e.key, class: e.space.class.Name, stamp: e.stamp, tags: e.tags, took: e.took, codec: t.codec, notFound: e.err != nil,
		created: t.Clock().Add(time.Duration(e.created - now)), fresh: time.Duration(e.fresh - e.created), stale: time.Duration(e.stale - e.created),
		dead: time.Duration(e.dead - e.created),
	}
	if e.err != nil {
		env.payload = []byte(textOf(e.err))
	} else {
		var err error
		if env.codec, env.payload, env.compressed, err = encodeValue(t.codec, e.value); err != nil {
			return nil, err
		}
	}
	return env.bytes(t.keys), nil
}

// clocksApart is how far two nodes may be apart in what they take the tier's clock for.
const clocksApart = time.Second

// decoded is an envelope's value and what it takes in memory. A panic of the value's own methods makes it
// unusable, no more.
func (s *space) decoded(env *envelope) (v any, size int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	if v, err = s.decode(env.codec, env.payload, env.compressed); err != nil {
		return nil, 0, err
	}
	return v, s.weigh(v), nil
}

// unseal opens an envelope, judges it by the log, and makes it an entry of this node. What it cannot
// use is an error that says why.
func (c *Cache) unseal(sp *space, key string, b []byte) (e *entry, v verdict, ahead bool, err error) {
	env, err := openEnvelope(b, c.shared.keys)
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
		space: sp, key: key, shared: true, tags: env.tags, stamp: shared.Stamp{Epoch: c.ledger.epoch(), ID: env.stamp.ID}, took: env.took,
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
		e.err = &kept{string(env.payload[:min(len(env.payload), maxErrorText)]), c.options.IsNotFound}
		size = len(env.payload)
	} else {
		if e.value, size, err = sp.decoded(env); err != nil {
			return nil, removed, false, errDecode
		}
	}
	e.weigh(size)
	return e, v, false, nil
}
