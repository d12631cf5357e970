package forebay

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/internal/memlimit"
	"github.com/forebay-cache/forebay/internal/replica"
	"github.com/forebay-cache/forebay/shared"
)

// Options configure a [Cache]. The zero Options work: near tier only, every class by its defaults.
// They are copied; changing them later does nothing.
type Options struct {
	// Classes declares the kinds of data. A name that is not declared is then an error; if none is
	// declared, every name is a class with the defaults.
	Classes []Class

	// NearBytes bounds the near tier. Default: a quarter of the memory that the process may use
	// (cgroup, else physical), at most 512 MiB.
	NearBytes int64

	// LedgerSize bounds the invalidated targets that are remembered one by one. Default 100,000,
	// about 150 B each; beyond it keys are remembered by their class.
	LedgerSize int

	// Secret keys the hashes that stand for callers in the keys of private classes. Nodes that
	// share a tier need the same, so with private classes it is then required. Default: random.
	Secret []byte

	// Keys authenticate what is written to the shared tier and to the log: entries that were not written with one
	// of them are misses, and a record that was not counts as the removal of everything. The first one writes,
	// all read; at least 16 bytes each, the same on every node. Default: Secret, where it is set; an
	// empty list: none.
	Keys [][]byte

	// Encrypt has the values encrypted, too (AES-256-GCM), but not their keys, classes and tags. Default off.
	Encrypt bool

	// Caller names who is asking, for private classes. Default: nobody, so private classes bypass.
	Caller func(context.Context) string

	// IsNotFound recognises the origin's own "not found", such as sql.ErrNoRows. What it recognises
	// also matches [ErrNotFound].
	IsNotFound func(error) bool

	// Shared is the tier that nodes share: package redis opens one. The cache does not close it.
	// Default none: near tier only.
	Shared shared.Tier

	// Codec is how values are written to the shared tier. Default CBOR.
	Codec Codec

	// SharedMax bounds an entry in the shared tier, in bytes as it is written there: larger ones would keep
	// everybody else waiting on the way, and stay near. Default 1 MiB; negative: no bound.
	SharedMax int

	// Journal is the file that keeps the invalidations that the log does not have yet, so that they
	// survive a crash; each process needs its own. Default: memory.
	Journal string

	// InvalidateFor is how long an invalidation tries to be acknowledged by the log, within the caller's
	// deadline, before it is deferred. Where the log has been away for as long already, it is deferred at
	// once. Default 2 s; negative: one attempt.
	InvalidateFor time.Duration

	// Acknowledged: an invalidation that was deferred is an error, [ErrDeferred], too. For one call:
	// [MustAcknowledge]. Default off: the receipt says it.
	Acknowledged bool

	// Logger gets what the cache swallows: failed loads behind an answer. Default slog.Default().
	Logger *slog.Logger

	// Node names this process among those that share a tier, for people. Default: host name and process ID.
	Node string

	// Canary is how often an entry goes the whole way through the shared tier, to prove that it works.
	// Default 3 s; negative: never.
	Canary time.Duration

	// Observer is told what happens. Default nobody; [Cache.Observe] adds further ones.
	Observer Observer
}

// A Cache keeps answers ready. It is safe for concurrent use. [Open] opens it; [Cache.Close] ends it.
type Cache struct {
	options Options
	opened  time.Time
	replica *replica.Replica // this node's copy of the log
	keys    *codec.Keyring   // nil: what is written is not authenticated
	near    *near
	shared  *tier // nil: near tier only
	flights *flights
	logger  *slog.Logger

	watching   observers
	neighbours neighbours
	canary     *canary // nil: none sings
	census     census

	mu       sync.RWMutex // guards what follows
	classes  map[string]*class
	order    []string
	names    map[string]*space
	declared bool

	unread  atomic.Int64 // when the log's unreadable records were said last
	closed  atomic.Bool
	stop    context.CancelFunc
	sweep   chan struct{} // one pending request to sweep the tiers
	workers sync.WaitGroup
}

// minKey is how short a key may be.
const minKey = 16

// minNearBytes is what a near tier needs to hold anything at all.
const minNearBytes = 64 << 10

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
		options: o, opened: time.Now(), logger: o.Logger, watching: observers{logger: o.Logger},
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
	if every := orDefault(c.options.Canary, canaryEvery); every > 0 {
		c.canary = newCanary(c)
		c.workers.Go(func() { c.canary.sing(working, every) })
	}
	for _, jobs := range c.shared.jobs {
		c.workers.Go(func() { c.shared.write(working, jobs, c.now) })
	}
}

func (o Options) check() error {
	var mistakes []error
	seen := map[string]bool{}
	for i, k := range o.Classes {
		path := fmt.Sprintf("Classes[%d]", i)
		mistakes = append(mistakes, k.mistakes(path)...)
		if seen[k.Name] && k.Name != "" {
			mistakes = append(mistakes, fmt.Errorf("%s.Name: %q is declared twice", path, k.Name))
		}
		seen[k.Name] = true
	}
	for i, k := range o.Keys {
		if len(k) < minKey {
			mistakes = append(mistakes, fmt.Errorf("%s[%d]: %d bytes; %d are the least", "Keys", i, len(k), minKey))
		}
	}
	if o.Encrypt && len(o.Keys) == 0 && (o.Keys != nil || len(o.Secret) == 0) {
		mistakes = append(mistakes, fmt.Errorf("%s: there are no keys: set Keys", "Encrypt"))
	}
	if o.Shared != nil && len(o.Secret) == 0 && slices.ContainsFunc(o.Classes, func(k Class) bool { return k.Private }) {
		mistakes = append(mistakes, fmt.Errorf("%s: private classes on a shared tier need one, the same on every node", "Secret"))
	}
	if o.NearBytes != 0 && o.NearBytes < minNearBytes {
		mistakes = append(mistakes, fmt.Errorf("NearBytes: %d is less than %d", o.NearBytes, minNearBytes))
	}
	if o.Codec != "" && o.Codec != CBOR && o.Codec != JSON {
		mistakes = append(mistakes, fmt.Errorf("Codec: %q is neither %q nor %q", o.Codec, CBOR, JSON))
	}
	if len(o.Node) > maxNode {
		mistakes = append(mistakes, fmt.Errorf("%s: %d bytes; %d are the most", "Node", len(o.Node), maxNode))
	}
	if o.LedgerSize < 0 {
		mistakes = append(mistakes, fmt.Errorf("%s: is negative", "LedgerSize"))
	}
	return configError("Options", mistakes)
}

// minRetention is how long the ledger remembers at least.
const minRetention = 24 * time.Hour

// retention is the longest that an entry can be of use.
func retention(classes map[string]*class) time.Duration {
	longest := minRetention
	for _, k := range classes {
		longest = max(longest, k.life())
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
		e.space.class.leftOut("its time to live is 0")
		return false
	}
	if !c.near.put(e) {
		e.space.class.leftOut("invalidated while it was loaded")
		return false
	}
	e.space.class.kept.Add(1)
	if c.shared != nil && !e.shared && !e.near && e.stamp.Epoch != "" { // what was loaded without a place in the log stays near
		c.shared.enqueue(job{entry: e, key: e.space.stored(e.key), token: token})
	}
	return true
}

func (c *Cache) evicted(e *entry) {
	e.space.class.evictions.Add(1)
	c.tell(Event{Kind: EventEvict, Class: e.space.class.Name, Key: e.key})
}

// tell tells the observers. It may run under locks of the cache.
func (c *Cache) tell(e Event) { c.watching.tell(e) }

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

// Closed reports whether [Cache.Close] was called.
func (c *Cache) Closed() bool { return c.closed.Load() }
