package forebay

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/forebay-cache/forebay/internal/keys"
)

// A Class is a kind of data and how long it lives. It is plain data: a file can overlay it. For
// every number and duration, 0 means the default and a negative value means off.
type Class struct {
	// Name is the first part of the keys of the class: lower-case letters, digits, '_' and '-'.
	Name string `yaml:"name" json:"name"`

	// TTL is how long an entry is fresh. Default 5 minutes; off: nothing is kept, but callers of
	// the same key still share one load.
	TTL time.Duration `yaml:"ttl" json:"ttl"`

	// Stale is how long after TTL an entry is still served at once, while one load runs behind
	// (RFC 5861, stale-while-revalidate). Default off.
	Stale time.Duration `yaml:"stale" json:"stale"`

	// StaleIfError is how long after TTL an entry is served when the load fails or is not allowed
	// (RFC 5861, stale-if-error). Default 1 hour.
	StaleIfError time.Duration `yaml:"stale_if_error" json:"stale_if_error"`

	// Jitter is by what part of TTL, at most and at random, an entry is fresh for less, so that what was loaded at one time
	// does not expire at one time. What says for itself how long it is kept is left as it is. Default 0.05.
	Jitter float64 `yaml:"jitter" json:"jitter"`

	// Sliding is how long an entry may be kept by being read: a read in the second half of its life makes it fresh for TTL
	// again, until it is this old. Values of functions only. Default off.
	Sliding time.Duration `yaml:"sliding" json:"sliding"`

	// MaxBytes bounds an entry, in bytes of memory: a larger one is answered, and not stored. Default: no bound.
	MaxBytes int64 `yaml:"max_bytes" json:"max_bytes"`

	// NotFound is how long "not found" is kept. Default 10 seconds.
	NotFound time.Duration `yaml:"not_found" json:"not_found"`

	// Wait is how long a caller that can be served something stale waits for a load before it is served
	// that. Default: until the load ends; off: not at all.
	Wait time.Duration `yaml:"wait" json:"wait"`

	// LoadTimeout is when a load is cancelled and its key is free again. Default 30 seconds.
	LoadTimeout time.Duration `yaml:"load_timeout" json:"load_timeout"`

	// MaxLoads bounds the loads of the class that run at once on this node. Beyond it callers get
	// something stale, else wait, else a [BusyError]. Default 64.
	MaxLoads int `yaml:"max_loads" json:"max_loads"`

	// RefreshAhead is XFetch's beta: how eagerly an entry is loaded again before it expires,
	// weighed by how long its load takes (Vattani et al., VLDB 2015). Default 1.0.
	RefreshAhead float64 `yaml:"refresh_ahead" json:"refresh_ahead"`

	// Strict: a read sees every invalidation acknowledged before it began, on any node. Nothing
	// stale is served, by time or by error.
	Strict bool `yaml:"strict" json:"strict"`

	// Private: the key holds the caller ([Options.Caller]); an empty caller bypasses the cache.
	Private bool `yaml:"private" json:"private"`

	// Cost is what one load costs, in a unit of yours, such as cents or tokens: statistics say what was saved.
	// Default: not known.
	Cost float64 `yaml:"cost" json:"cost"`

	// Schema is the version of the stored form. Change it when the meaning of the value changes.
	Schema int `yaml:"schema" json:"schema"`
}

// defaultClass holds the defaults of every field but the name.
var defaultClass = Class{
	TTL:          5 * time.Minute,
	StaleIfError: time.Hour,
	NotFound:     10 * time.Second,
	LoadTimeout:  30 * time.Second,
	MaxLoads:     64,
	RefreshAhead: 1.0,
	Jitter:       0.05,
}

// withDefaults returns the class with every 0 replaced by its default and every negative value, off,
// by 0. What is off stays off; Wait keeps its sign, because its 0 means "until the load ends".
func (c Class) withDefaults() Class {
	d := defaultClass
	c.TTL = orDefault(c.TTL, d.TTL)
	c.Stale = orDefault(c.Stale, d.Stale)
	c.StaleIfError = orDefault(c.StaleIfError, d.StaleIfError)
	c.NotFound = orDefault(c.NotFound, d.NotFound)
	c.LoadTimeout = orDefault(c.LoadTimeout, d.LoadTimeout)
	c.MaxLoads = orDefault(c.MaxLoads, d.MaxLoads)
	c.RefreshAhead = orDefault(c.RefreshAhead, d.RefreshAhead)
	c.Jitter = orDefault(c.Jitter, d.Jitter)
	c.Sliding, c.MaxBytes = max(c.Sliding, 0), max(c.MaxBytes, 0)
	if c.Strict {
		c.Stale, c.StaleIfError = 0, 0
	}
	return c
}

func orDefault[T int | float64 | time.Duration](v, d T) T {
	switch {
	case v == 0:
		return d
	case v < 0:
		return 0
	}
	return v
}

// Check returns every mistake in the class, joined; [Open] does the same.
func (c Class) Check() error { return errors.Join(c.mistakes("class")...) }

// maxLife bounds every duration of a class, so that sums of them never overflow.
const maxLife = 10 * 365 * 24 * time.Hour

func (c Class) mistakes(path string) []error {
	var out []error
	wrong := func(field, format string, args ...any) {
		out = append(out, fmt.Errorf("%s.%s: %s", path, field, fmt.Sprintf(format, args...)))
	}
	if err := keys.CheckName(c.Name); err != nil {
		wrong("Name", "%v", err)
	}
	for _, f := range []struct {
		name string
		d    time.Duration
	}{{"TTL", c.TTL}, {"Stale", c.Stale}, {"StaleIfError", c.StaleIfError}, {"NotFound", c.NotFound}, {"Sliding", c.Sliding}, {"Wait", c.Wait}, {"LoadTimeout", c.LoadTimeout}} {
		if f.d > maxLife {
			wrong(f.name, "%s is longer than ten years", f.d)
		}
	}
	if c.Cost < 0 || math.IsNaN(c.Cost) || math.IsInf(c.Cost, 0) {
		wrong("Cost", "%v is not what a load can cost", c.Cost)
	}
	if c.Jitter > 1 || math.IsNaN(c.Jitter) {
		wrong("Jitter", "%v is not a part of TTL: at most 1", c.Jitter)
	}
	if ttl := orDefault(c.TTL, defaultClass.TTL); c.Sliding > 0 && c.Sliding < ttl {
		wrong("Sliding", "%s is shorter than TTL, %s: reading would prolong nothing", c.Sliding, ttl)
	}
	if c.Strict && (c.Stale > 0 || c.StaleIfError > 0) {
		wrong("Strict", "a strict class serves nothing stale: leave Stale and StaleIfError out")
	}
	return out
}

// life is how long an entry of the class can be of use at all.
func (c Class) life() time.Duration {
	return max(max(c.TTL, c.Sliding)+max(c.Stale, c.StaleIfError), c.NotFound)
}

// A class is a Class in use: its settings, which [Cache.SetClasses] replaces, and its counters.
type class struct {
	Name    string
	current atomic.Pointer[settings]
	counters
}

// settings are a Class with its defaults filled in, and the slots of its loads.
type settings struct {
	Class
	slots chan struct{} // nil: unlimited
}

func newClass(c Class) *class {
	k := &class{Name: c.Name}
	k.counters.init()
	k.set(c)
	return k
}

// now are the settings that count now.
func (k *class) now() *settings { return k.current.Load() }

// set replaces the settings. Loads that run keep the slots that they have.
func (k *class) set(c Class) {
	s := &settings{Class: c.withDefaults()}
	if s.MaxLoads > 0 {
		if old := k.current.Load(); old != nil && cap(old.slots) == s.MaxLoads {
			s.slots = old.slots
		} else {
			s.slots = make(chan struct{}, s.MaxLoads)
		}
	}
	k.current.Store(s)
}

// SetClasses replaces the classes that are declared. What is stored stays: what is new counts for what is loaded from now
// on, and MaxLoads, LoadTimeout and RefreshAhead at once. Schema, Private, Strict, and whether Sliding is on, of a class that there is already are fixed,
// because keys and reads depend on them. A class that is declared no more keeps its entries until they expire, and serves
// what was wrapped in it. An error changes nothing.
func (c *Cache) SetClasses(classes []Class) error {
	if err := (Options{Classes: classes, Secret: c.options.Secret, Shared: c.options.Shared}).check(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var mistakes []error
	for i, k := range classes {
		if old := c.classes[k.Name]; old != nil {
			mistakes = append(mistakes, fixed(fmt.Sprintf("Classes[%d] (%s)", i, k.Name), old.now().Class, k)...)
		}
	}
	if err := configError("SetClasses", mistakes); err != nil {
		return err
	}
	c.order, c.declared = nil, len(classes) > 0
	for _, k := range classes {
		if old := c.classes[k.Name]; old != nil {
			old.set(k)
		} else {
			c.classes[k.Name] = newClass(k)
		}
		c.order = append(c.order, k.Name)
	}
	c.replica.Retain(retention(c.classes))
	return nil
}

// fixed are the fields that differ and must not.
func fixed(path string, old, k Class) (out []error) {
	for _, f := range []struct {
		name   string
		differ bool
	}{{"Schema", old.Schema != k.Schema}, {"Private", old.Private != k.Private}, {"Strict", old.Strict != k.Strict}, {"Sliding, on or off", old.Sliding > 0 != (k.Sliding > 0)}} {
		if f.differ {
			out = append(out, fmt.Errorf("%s.%s: cannot change while the cache is open: open another", path, f.name))
		}
	}
	return out
}
