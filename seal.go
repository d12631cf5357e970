package forebay

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/internal/replica"
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
	env := codec.Envelope{
		Key: e.key, Class: e.space.class.Name, Stamp: e.stamp, Tags: e.tags, Took: e.took, Codec: t.codec, NotFound: e.err != nil, OwnLife: e.ownLife,
		Created: t.Clock().Add(time.Duration(e.created - now)), Fresh: time.Duration(e.fresh - e.created), Stale: time.Duration(e.stale - e.created),
		Dead: time.Duration(e.dead - e.created),
	}
	if e.err != nil {
		env.Payload = []byte(textOf(e.err))
	} else {
		var err error
		if env.Codec, env.Payload, env.Compressed, err = e.space.written(t.codec, e.value); err != nil {
			return nil, err
		}
	}
	return env.Bytes(t.keys), nil
}

// clocksApart is how far two nodes may be apart in what they take the tier's clock for.
const clocksApart = time.Second

// decoded is an envelope's value and what it takes in memory. A panic of the value's own methods makes it
// unusable, no more.
func (s *space) decoded(env *codec.Envelope) (v any, size int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	if v, err = s.decode(env.Codec, env.Payload, env.Compressed); err != nil {
		return nil, 0, err
	}
	return v, s.weigh(v), nil
}

// unseal opens an envelope, judges it by the log, and makes it an entry of this node. What it cannot
// use is an error that says why.
func (c *Cache) unseal(sp *space, key string, b []byte) (e *entry, v replica.Verdict, ahead bool, err error) {
	env, err := codec.OpenEnvelope(b, c.shared.keys)
	if err != nil {
		return nil, replica.Removed, false, err
	}
	if env.Key != key || env.Class != sp.class.Name {
		return nil, replica.Removed, false, codec.ErrOtherKey
	}
	v, number, ahead := c.replica.JudgeStamp(env.Key, env.Class, env.Tags, env.Stamp)
	if ahead {
		return nil, replica.Removed, true, codec.ErrAhead
	}
	now, age := c.now(), c.shared.Clock().Sub(env.Created)
	if age < -clocksApart {
		return nil, replica.Removed, false, codec.ErrFuture
	}
	for i, tag := range env.Tags {
		env.Tags[i] = strings.Clone(tag) // or a tag would keep the whole envelope
	}
	e = &entry{
		space: sp, key: key, fromShared: true, tags: env.Tags, stamp: shared.Stamp{Epoch: c.replica.Epoch(), ID: env.Stamp.ID}, took: env.Took, ownLife: env.OwnLife,
		created: now - int64(max(0, age)),
	}
	e.fresh, e.stale, e.dead = e.created+int64(env.Fresh), e.created+int64(env.Stale), e.created+int64(env.Dead)
	e.number.Store(number)
	e.setRefreshFrom()
	if v == replica.Removed {
		return e, v, false, nil
	}
	size := 0
	if env.NotFound {
		e.err = &kept{string(env.Payload[:min(len(env.Payload), maxErrorText)]), c.options.IsNotFound}
		size = len(env.Payload)
	} else {
		if e.value, size, err = sp.decoded(&env); err != nil {
			return nil, replica.Removed, false, codec.ErrDecode
		}
	}
	e.weigh(size)
	return e, v, false, nil
}
