package forebay

import (
	"context"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/forebay-cache/forebay/internal/codec"
	"github.com/forebay-cache/forebay/internal/keys"
	"github.com/forebay-cache/forebay/internal/shape"
	"github.com/forebay-cache/forebay/internal/size"
)

// A Space is the entries of one name: the layer that [Wrap] is written on, and that a cache with
// keys of its own, such as the HTTP cache, is written on too. No two spaces share an entry.
//
// A caller looks up ([Space.Lookup]); if what it finds will not do, it begins a fill
// ([Space.Begin]), which it leads or has joined. The leader ends it with [Fill.Commit] or
// [Fill.Abandon]; everybody reads its answer with [Fill.Wait]. Nothing is stored except through
// Commit. All methods are safe for concurrent use.
type Space[V any] struct {
	*space
}

// A space is a Space without its type.
type space struct {
	cache  *Cache
	near   *near
	class  *class
	name   string
	prefix string // of every key: the name and ':'
	suffix string // of every key in the shared tier: see stored

	encode    func(any) ([]byte, error) // of the user; nil: the codec's
	decode    func(id codec.ID, payload []byte, compressed bool) (any, error)
	weigh     func(any) int
	lossCheck lossCheck

	saidLarge sync.Once
}

// OpenSpace opens the space of a name: a class, or "class/function". The name must be free and its
// class declared, unless [Options.Classes] declares none at all.
//
// sizeOf returns what a value takes in memory, in bytes; nil measures it.
func OpenSpace[V any](c *Cache, name string, sizeOf func(V) int) (*Space[V], error) {
	if c == nil {
		return nil, fmt.Errorf("forebay: OpenSpace %q: the cache is nil", name)
	}
	return openSpace(c, name, sizeOf, nil)
}

// A form is how values are written, where the user says so.
type form[V any] struct {
	encode func(V) ([]byte, error)
	decode func([]byte) (V, error)
}

func openSpace[V any](c *Cache, name string, sizeOf func(V) int, own *form[V]) (*Space[V], error) {
	sp, err := c.open(name, reflect.TypeFor[V](), own != nil)
	if err != nil {
		return nil, err
	}
	s := &Space[V]{space: sp}
	if sizeOf == nil {
		size.Prepare(reflect.TypeFor[V]())
		s.weigh = size.Of
	} else {
		s.weigh = func(v any) int {
			typed, _ := v.(V)
			return sizeOf(typed)
		}
	}
	s.decode = func(id codec.ID, payload []byte, compressed bool) (any, error) {
		var v V
		err := codec.Decode(id, payload, compressed, &v)
		return v, err
	}
	switch {
	case own != nil:
		s.writeBy(own)
	case c.shared != nil:
		s.judgeType(c.shared.codec)
	}
	return s, nil
}

// writeBy has values written in the user's form. To the codec it is bytes.
func (s *Space[V]) writeBy(own *form[V]) {
	s.encode = func(v any) ([]byte, error) {
		typed, _ := v.(V)
		b, err := own.encode(typed)
		if b == nil {
			b = []byte{}
		}
		return b, err
	}
	s.decode = func(id codec.ID, payload []byte, compressed bool) (any, error) {
		var b []byte
		if err := codec.Decode(id, payload, compressed, &b); err != nil {
			return nil, err
		}
		return own.decode(b)
	}
}

// open takes a name for values of a type.
func (c *Cache) open(name string, value reflect.Type, ownForm bool) (*space, error) {
	className, function, hasFunction := strings.Cut(name, "/")
	var mistakes []error
	if err := keys.CheckName(className); err != nil {
		mistakes = append(mistakes, fmt.Errorf("class %w", err))
	}
	if hasFunction {
		if err := keys.CheckName(function); err != nil {
			mistakes = append(mistakes, fmt.Errorf("function %w", err))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names[name] != nil {
		mistakes = append(mistakes, fmt.Errorf("the name is taken: give the function one of its own, %q", className+"/…"))
	}
	k := c.classes[className]
	if c.declared && !slices.Contains(c.order, className) {
		mistakes = append(mistakes, fmt.Errorf("the class %q is not declared: add it to Options.Classes (declared: %s)", className, strings.Join(c.order, ", ")))
	}
	if err := configError(fmt.Sprintf("name %q", name), mistakes); err != nil {
		return nil, err
	}
	if k == nil {
		k = newClass(Class{Name: className})
		c.classes[className] = k
		c.order = append(c.order, className)
	}
	sp := c.newSpace(name, k, value, ownForm)
	c.names[name] = sp
	return sp, nil
}

func (c *Cache) newSpace(name string, k *class, value reflect.Type, ownForm bool) *space {
	sp := &space{cache: c, near: c.near, class: k, name: name, prefix: name + ":"}
	switch {
	case c.shared == nil:
	case ownForm:
		h := fnv.New32a()
		h.Write([]byte("own " + value.String()))
		sp.suffix = fmt.Sprintf("@%d-%08x", k.now().Schema, h.Sum32())
	default:
		sp.lossCheck.shape = shape.Of(value, c.shared.codec.Shape())
		sp.suffix = fmt.Sprintf("@%d-%08x", k.now().Schema, sp.lossCheck.shape.Print())
	}
	return sp
}

// Key returns the full key of a part, as [PlanKey] writes it or of the caller's own making: what
// [Key] targets and [Space.Lookup] takes. A long one ends in a hash.
func (s *space) Key(part string) string {
	key := s.prefix + part
	if len(key) > keys.MaxReadable {
		return string(keys.HashLong([]byte(key), len(s.prefix)))
	}
	return key
}

// PrivateKey returns the full key of a part that is one caller's own: a hash of both, keyed with
// [Options.Secret], so that neither key nor log nor page shows whose entry it is.
func (s *space) PrivateKey(part, caller string) string {
	return string(keys.HashPrivate([]byte(s.prefix+part), len(s.prefix), s.cache.options.Secret, caller))
}

// stored is where a key's entry is in the shared tier. Values of another schema, or of a type with another
// shape, are others: two versions of a program, or two programs, neither read nor overwrite each other's.
func (s *space) stored(key string) string { return key + s.suffix }

// Class returns the space's class, its defaults filled in.
func (s *space) Class() Class { return s.class.now().Class }

// Use says what may be done with what a look-up found.
type Use uint8

const (
	// UseFresh: fresh.
	UseFresh Use = iota
	// UseAndRefresh: fresh, and this caller was chosen to load ahead of time.
	UseAndRefresh
	// UseStale: past its TTL; serve it and load behind.
	UseStale
	// UseOnError: load, and serve it only when that fails or takes too long.
	UseOnError
)

// A Found is what a look-up found. Err is the kept "not found".
type Found[V any] struct {
	Value V
	Err   error
	Tags  []string
	Use   Use
	Outcome

	entry *entry
	asked int64           // when an unconfirmed caller of a Strict class came; 0 otherwise
	visit context.Context // to the shared tier
}

// Lookup returns what is stored under a full key, in either tier, and never loads. Where it returns
// false, the Reason says why. For a Strict class it first makes sure that this node knows every
// invalidation acknowledged so far; if it cannot, it finds nothing.
func (s *Space[V]) Lookup(ctx context.Context, key string) (Found[V], bool) {
	return s.judged(s.cache.lookup(ctx, s.space, key))
}

// A Near is what the near tier holds under a key. Since tells it from what was there before: when it was stored, since the
// cache was opened.
type Near[V any] struct {
	Value    V
	Since    time.Duration
	LoadTime time.Duration
}

// Peek returns what the near tier holds under a full key, if it is fresh. It asks no other tier, and is no request of the
// statistics.
func (s *Space[V]) Peek(key string) (Near[V], bool) { return s.nearUpTo(isAhead, key, s.cache.now()) }

// Ready is Peek for what a request can have now with nothing else done: it is too early to refresh it, and there is nothing
// to confirm. Where it returns false, ask [Space.Lookup].
func (s *Space[V]) Ready(key string, now time.Time) (Near[V], bool) {
	if s.cache.shared != nil && (s.class.now().Strict || !s.cache.replica.Confirmed()) {
		return Near[V]{}, false
	}
	return s.nearUpTo(isFresh, key, int64(now.Sub(s.cache.opened)))
}

func (s *Space[V]) nearUpTo(worst state, key string, now int64) (Near[V], bool) {
	e, st := s.near.get(key, now)
	if st > worst || e.err != nil {
		return Near[V]{}, false
	}
	v, ok := e.value.(V)
	return Near[V]{v, time.Duration(e.created), e.took}, ok
}

// Since is when what was found was stored, as [Near] has it.
func (f Found[V]) Since() time.Duration {
	if f.entry == nil {
		return 0
	}
	return time.Duration(f.entry.created)
}

// judged says what may be done with what was found.
func (s *Space[V]) judged(l lookup) (Found[V], bool) {
	found := s.found(l.entry, s.cache.now())
	found.Tier, found.Unconfirmed, found.asked, found.visit = l.tier, l.unconfirmed, l.asked, l.visit
	switch l.state {
	case isDead:
		return Found[V]{Outcome: Outcome{Status: Miss, Tier: TierOrigin, Reason: found.Reason}, asked: l.asked, visit: l.visit}, false
	case isAhead:
		if l.entry.refreshAhead(s.cache.now()) {
			found.Use = UseAndRefresh
		}
	case isStale:
		found.Use, found.Status = UseStale, StaleHit
	case isOnError:
		found.Use, found.Status = UseOnError, StaleHit
	}
	return found, true
}

// Drop takes what was found out of the near tier, unless something else has taken its place: of what is
// [Keep.NearOnly], nothing is left.
func (f Found[V]) Drop() {
	if f.entry != nil {
		f.entry.space.near.drop(f.entry)
	}
}

// BeginOptions is what this caller needs of a load.
func (f Found[V]) BeginOptions() BeginOptions { return BeginOptions{since: f.asked, visit: f.visit} }

// Within returns a context in which further look-ups spend what this one has left of the tier's budget: what
// one request may spend in all.
func (f Found[V]) Within(ctx context.Context) context.Context { return within(ctx, f.visit) }

func (s *Space[V]) found(e *entry, now int64) Found[V] {
	if e == nil {
		return Found[V]{Outcome: Outcome{Reason: ReasonAbsent}}
	}
	v, _ := e.value.(V)
	return Found[V]{Value: v, Err: e.err, Tags: e.tags, entry: e, Outcome: e.outcome(now)}
}

func (e *entry) outcome(now int64) Outcome {
	o := Outcome{Age: time.Duration(now - e.created), TTL: time.Duration(e.fresh - now), LoadTime: e.took, Reason: ReasonInvalidated}
	if now >= e.fresh {
		o.Reason = ReasonExpired
	}
	return o
}

// CountNotStored counts an answer that is not stored, by why: what explains a class that never hits.
func (s *space) CountNotStored(why string) { s.class.countNotStored(why) }

// Pass begins a call of the origin that is not a load: it is for one caller, and nothing of it is stored. end counts
// it, and tells the trace; an err other than [ErrNotFound] is a failure.
func (s *space) Pass(ctx context.Context, key string) (end func(err error)) {
	step := beginStep(ctx, StageOrigin, s, key)
	return func(err error) {
		s.class.passed.Add(1)
		if failed(err) {
			s.class.passedBad.Add(1)
		}
		step.end("passed", err)
	}
}

// Count adds a request's outcome to the statistics of the class. Call it once a request.
func (s *space) Count(o Outcome) {
	c := s.class
	switch o.Status {
	case Hit:
		c.hits[o.Tier].Add(o.LoadTime)
		return
	case StaleHit:
		c.staleHits.Add(1)
	case Coalesced:
		c.coalesced.Add(1)
	case Miss:
		c.misses[o.Reason].Add(1)
		return
	case Bypass:
		c.bypasses.Add(1)
		return
	}
	c.saved.Add(int64(o.LoadTime))
}

// PlanKey returns the function that writes the key part of a parameter, for [Space.Key]. Its own
// error is about the type; the function's is about a value whose text form fails.
func PlanKey[P any]() (func(P) (string, error), error) {
	plan, err := keys.NewPlan(reflect.TypeFor[P]())
	if err != nil {
		return nil, configError("PlanKey", []error{err})
	}
	return func(p P) (string, error) {
		key, err := keys.Append(plan, nil, &p)
		return string(key), err
	}, nil
}
