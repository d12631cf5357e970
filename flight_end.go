package forebay

import (
	"time"

	"github.com/forebay-cache/forebay/internal/replica"
)

// leave takes back a wait. A load that nobody waits for goes on, because its answer will be kept;
// one whose answer nobody could use is cancelled, unless it was published: those that left read it.
func (fs *flights) leave(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.waiters--
	if f.waiters > 0 || f.ended || f.behind || f.published {
		return
	}
	if f.grace > 0 {
		if f.deserted == nil {
			f.deserted = time.AfterFunc(f.grace, func() { fs.desert(f) })
		} else {
			f.deserted.Reset(f.grace)
		}
	}
	v, _ := fs.cache.replica.Judge(f.key, f.space.class.Name, nil, f.number)
	if f.space.class.now().TTL == 0 || v != replica.Valid {
		fs.forget(f) // what is cancelled has no answer for a newcomer
		f.cancel()
	}
}

// desert ends a load that nobody has waited for. Who comes at this moment:
//
//  1. The timer fires, and waits for the lock.
//  2. A caller joins; stopping the timer comes too late.
//  3. The count of those that wait says so, under the lock: the load goes on.
func (fs *flights) desert(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.waiters > 0 || f.ended || f.published {
		return
	}
	fs.forget(f)
	f.cancel()
}

// forget lets the next caller of the key lead a load of its own. The lock is held.
func (fs *flights) forget(f *flight) {
	if fs.byKey[f.key] == f {
		delete(fs.byKey, f.key)
	}
}

// detach makes a flight that of its readers alone. Other nodes need not wait for it either.
func (fs *flights) detach(f *flight) {
	fs.mu.Lock()
	if f.ended || !f.published || f.alone {
		fs.mu.Unlock()
		return
	}
	f.alone = true
	fs.forget(f)
	if f.late != nil {
		f.late.Stop()
	}
	token := f.token
	f.token = ""
	if f.renewal != nil {
		f.renewal.Stop()
	}
	fs.detached[f] = struct{}{}
	if fs.closed {
		f.cancel()
	}
	fs.mu.Unlock()
	if token != "" {
		fs.cache.release(f.space.stored(f.key), token)
	}
}

// close cancels the loads that nobody waits for, and those that live by themselves, and waits for all. Each is
// bounded by its timeout; those without one, and those that grow on and on, have the default one from now.
func (fs *flights) close() {
	fs.mu.Lock()
	fs.closed = true
	for f := range fs.detached {
		f.cancel()
	}
	for _, f := range fs.byKey {
		if f.waiters == 0 {
			f.cancel()
		}
	}
	fs.mu.Unlock()
	defer time.AfterFunc(defaultClass.LoadTimeout, fs.cutOff).Stop()
	fs.all.Wait()
}

// cutOff ends the loads that have no end of their own.
func (fs *flights) cutOff() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.cut = true
	for f := range fs.endless {
		f.cancel()
	}
}
