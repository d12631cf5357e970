package forebay

import "time"

// slide makes an entry that was read fresh for its class's TTL again ([Class.Sliding]): as another entry, because what was
// served is shared with others. It has the number and the stamp of the old one, so that whatever the log says of that counts
// for it. In the first half of its life it stays as it is: few reads write. What says for itself how long it is kept always does.
func (s *space) slide(e *entry) {
	k := s.class.now()
	if k.Sliding == 0 || e == nil || e.err != nil || e.ownLife {
		return
	}
	now := s.cache.now()
	fresh := min(now+int64(k.TTL), e.created+int64(k.Sliding))
	if time.Duration(e.fresh-now) > k.TTL/2 || fresh <= e.fresh || now >= e.fresh {
		return
	}
	more := fresh - e.fresh
	o := &entry{
		value: e.value, took: e.took, space: e.space, key: e.key, tags: e.tags, stamp: e.stamp, created: e.created, weight: e.weight,
		fresh: fresh, stale: e.stale + more, dead: e.dead + more, nearOnly: e.nearOnly, loaded: e.loaded,
	}
	o.number.Store(e.number.Load())
	o.setRefreshFrom()
	if s.near.replace(e, o) && s.cache.sharable(o) {
		s.cache.shared.enqueue(job{entry: o, key: s.stored(o.key)})
	}
}
