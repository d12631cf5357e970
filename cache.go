package forebay

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/internal/memlimit"
	"github.com/forebay-cache/forebay/internal/replica"
)

// A Cache keeps answers ready. It is safe for concurrent use. [Open] opens it; [Cache.Close] ends it.
type Cache struct {
	// Set by Open, and the same for good.
	options  Options
	opened   time.Time        // now counts from it
	logger   *slog.Logger     // what the cache swallows
	replica  *replica.Replica // this node's copy of the log
	keys     *codec.Keyring   // nil: what is written is not authenticated
	near     *near
	shared   *tier     // nil: near tier only
	flights  *flights  // the loads that run
	selfTest *selfTest // nil: disabled
	off      bool      // every call goes to the origin

	observers observers // guards itself, like the next two
	peers     peers     // the nodes whose self-tests were read in the log
	census    census    // what other programs write under our names

	mu       sync.RWMutex // guards the fields below
	classes  map[string]*class
	order    []string          // of their declaration
	names    map[string]*space // by "class" or "class/function"
	declared bool              // Options.Classes has some: other names are errors

	own struct { // what Keep has stored, where there is no shared tier
		mu     sync.Mutex
		values map[string][]byte
	}

	unread  atomic.Int64 // when unreadable records were logged last
	closed  atomic.Bool
	stop    context.CancelFunc // ends the workers …
	workers sync.WaitGroup     // … which Close waits for
	sweep   chan struct{}      // holds one token while a sweep of the tiers is wanted
}

// Open opens a cache. Its error names every mistake in the options with its place.
func Open(ctx context.Context, o Options) (*Cache, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o.Classes = append([]Class(nil), o.Classes...)
	if o.NearBytes == 0 {
		o.NearBytes = memlimit.NearDefault()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.SharedMax = orDefault(o.SharedMax, sharedMax)
	o.InvalidateFor = orDefault(o.InvalidateFor, invalidateFor)
	if o.Node == "" {
		o.Node = thisNode()
	}
	if o.Keys == nil && len(o.Secret) > 0 {
		o.Keys = [][]byte{o.Secret}
	}
	if len(o.Secret) == 0 {
		o.Secret = []byte(rand.Text())
	}
	c := &Cache{
		options: o, opened: time.Now(), logger: o.Logger, observers: observers{logger: o.Logger},
		classes: map[string]*class{}, names: map[string]*space{}, declared: len(o.Classes) > 0,
		sweep: make(chan struct{}, 1),
	}
	for _, k := range o.Classes {
		c.classes[k.Name] = newClass(k)
		c.order = append(c.order, k.Name)
	}
	if o.Observer != nil {
		c.Observe(o.Observer)
	}
	if c.off = o.Off.isOff(); c.off {
		o.Logger.Warn("forebay: the cache is off: every call goes to the origin (Options.Off, or FOREBAY_OFF in the environment)")
	}
	c.keys = codec.NewKeyring(o.Keys, o.Encrypt)
	var err error
	if c.replica, err = replica.Open(replica.Options{
		Tier: o.Shared, Targets: o.LedgerSize, Retention: retention(c.classes), Keys: c.keys, Journal: o.Journal,
		AppendFor: o.InvalidateFor, Now: c.now, Learned: c.learned, Logger: o.Logger,
	}); err != nil {
		return nil, fmt.Errorf("forebay: %w", err)
	}
	c.flights = newFlights(c)
	if c.near, err = newNear(uint64(o.NearBytes), c.replica, c.evicted); err != nil {
		return nil, fmt.Errorf("forebay: near tier: %w", err)
	}
	c.start(ctx)
	return c, nil
}

// start begins the cache's own work. A shared tier that is away now is joined when it comes.
func (c *Cache) start(ctx context.Context) {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	c.workers.Go(func() { c.sweeper(working) })
	if c.options.Shared == nil {
		c.replica.Start(ctx) // a log in memory never fails
		return
	}
	c.shared = newTier(c.options, c.keys)
	if err := c.replica.Start(ctx); err != nil {
		c.logger.Warn("forebay: the shared tier cannot be used yet; the near tier answers meanwhile", "error", err, "state", c.shared.State().Problem)
	}
	c.workers.Go(func() { c.replica.Follow(working) })
	if every := orDefault(c.options.SelfTest, selfTestEvery); every > 0 {
		c.selfTest = newSelfTest(c)
		c.workers.Go(func() { c.selfTest.run(working, every) })
	}
	for _, jobs := range c.shared.jobs {
		c.workers.Go(func() { c.shared.write(working, jobs, c.now) })
	}
}

// minRetention is how long the ledger remembers at least.
const minRetention = 24 * time.Hour

// retention is the longest that an entry can be of use.
func retention(classes map[string]*class) time.Duration {
	longest := minRetention
	for _, k := range classes {
		longest = max(longest, k.now().life())
	}
	return longest
}

// now is nanoseconds since the cache was opened, on the monotonic clock.
func (c *Cache) now() int64 { return int64(time.Since(c.opened)) }

// since is how long ago a time of now was.
func (c *Cache) since(then int64) time.Duration { return time.Duration(c.now() - then) }

// store puts an entry into the tiers, unless it is to be dropped or was invalidated since its load began.
func (c *Cache) store(e *entry, token string) bool {
	if c.closed.Load() {
		return false
	}
	if e.dead <= e.created {
		e.space.class.countNotStored("its time to live is 0")
		return false
	}
	if most := e.space.class.now().MaxBytes; most > 0 && int64(e.weight) > most {
		e.space.class.countNotStored("larger than the class's MaxBytes")
		return false
	}
	if !c.near.put(e) {
		e.space.class.countNotStored("invalidated while it was loaded")
		return false
	}
	e.space.class.kept.Add(1)
	c.tell(Event{Kind: EventStore, Class: e.space.class.Name, Key: e.key, Bytes: uint64(e.weight)})
	if !e.fromShared && c.sharable(e) {
		c.shared.enqueue(job{entry: e, key: e.space.stored(e.key), token: token})
	}
	return true
}

// sharable reports whether an entry may go to the shared tier: what was loaded without a place in the log stays near.
func (c *Cache) sharable(e *entry) bool {
	return c.shared != nil && !c.shared.alone && !e.nearOnly && e.stamp.Epoch != ""
}

func (c *Cache) evicted(e *entry) {
	e.space.class.evictions.Add(1)
	if c.now() < e.fresh {
		e.space.class.tooEarly.Add(1)
	}
	c.tell(Event{Kind: EventEvict, Class: e.space.class.Name, Key: e.key})
}

// tell tells the observers. It may run under locks of the cache.
func (c *Cache) tell(e Event) { c.observers.tell(e) }

// Close ends the cache: loads that nobody waits for are cancelled, the others are waited for, each
// at most its LoadTimeout, or 30 s where it has none. Afterwards every call loads without a cache. Close is safe to call twice.
func (c *Cache) Close() error {
	if c.closed.Swap(true) {
		c.workers.Wait()
		return nil
	}
	c.flights.close()
	c.stop()
	c.workers.Wait()
	c.near.close()
	return c.replica.Close()
}

// Off reports whether the cache is off ([Options.Off]): every call goes to the origin, and nothing is stored.
func (c *Cache) Off() bool { return c.off }

// Closed reports whether [Cache.Close] was called.
func (c *Cache) Closed() bool { return c.closed.Load() }
