package shared

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// Memory is a shared tier in this process: several caches on one make several nodes. Its log is
// also the log of a cache without a shared tier. See [NewMemory].
type Memory struct {
	run string

	mu      sync.Mutex // guards the fields below
	records []Record
	values  map[string]held
	leases  map[string]held
	grew    chan struct{} // closed and renewed at each append
}

// held is a value, or a lease's token, until a time.
type held struct {
	value []byte
	until time.Time
	kept  bool // until it is unlinked
}

func (h held) alive() bool { return h.kept || time.Now().Before(h.until) }

// makeRoom keeps a table within its bound: what has expired goes first, then whatever comes.
func makeRoom(table map[string]held) {
	if len(table) < memoryHeld {
		return
	}
	maps.DeleteFunc(table, func(_ string, h held) bool { return !h.alive() })
	for key, h := range table {
		if len(table) < memoryHeld {
			return
		}
		if !h.kept {
			delete(table, key)
		}
	}
}

// Bounds of what is in memory: the log, the values, the leases.
const (
	memoryRecords = 1 << 16
	memoryHeld    = 1 << 17
)

// NewMemory returns an empty tier in memory.
func NewMemory() *Memory {
	return &Memory{run: rand.Text(), values: map[string]held{}, leases: map[string]held{}, grew: make(chan struct{})}
}

// Append implements [Log]. It never fails.
func (m *Memory) Append(_ context.Context, head ID, records []Record) (Reading, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.records) == 0 {
		m.addLocked(Record{Fence: true, Epoch: rand.Text()})
	}
	appended := make([]ID, 0, len(records))
	for _, r := range records {
		r.Epoch = m.records[len(m.records)-1].Epoch
		appended = append(appended, m.addLocked(r))
	}
	// Trimmed by halves, so that the copy costs each append next to nothing.
	if len(m.records) > 2*memoryRecords {
		m.records = slices.Clone(m.records[len(m.records)-memoryRecords:])
	}
	if len(records) > 0 {
		close(m.grew)
		m.grew = make(chan struct{})
	}
	return Reading{Records: m.fromLocked(head), Run: m.run, Appended: appended, Epoch: m.records[len(m.records)-1].Epoch}, nil
}

// Rejoin implements [Log]. It never fails.
func (m *Memory) Rejoin(ctx context.Context, seen Stamp, left []string) (Reading, error) {
	m.mu.Lock()
	if len(m.records) > 0 && m.travelledLocked(seen, left) {
		m.addLocked(Record{Fence: true, Epoch: rand.Text()})
	}
	m.mu.Unlock()
	return m.Append(ctx, ID{}, nil)
}

// travelledLocked reports whether the log is an earlier one than a node has seen.
func (m *Memory) travelledLocked(seen Stamp, left []string) bool {
	epoch := m.records[len(m.records)-1].Epoch
	if slices.Contains(left, epoch) {
		return true
	}
	if seen == (Stamp{}) || epoch != seen.Epoch || m.records[0].ID.Compare(seen.ID) >= 0 {
		return false
	}
	from := m.fromLocked(seen.ID)
	return len(from) == 0 || (Stamp{from[0].Epoch, from[0].ID}) != seen
}

// Read implements [Log]. It never fails.
func (m *Memory) Read(_ context.Context, head Stamp) (Reading, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Reading{Records: m.fromLocked(head.ID), Run: m.run}, nil
}

func (m *Memory) addLocked(r Record) ID {
	id := ID{Ms: uint64(time.Now().UnixMilli())}
	if n := len(m.records); n > 0 && id.Compare(m.records[n-1].ID) <= 0 {
		// The clock stands still or was set back: the counter goes on, as in a Redis stream.
		id = ID{m.records[n-1].ID.Ms, m.records[n-1].ID.Seq + 1}
	}
	r.ID, r.Run = id, m.run
	m.records = append(m.records, r)
	return id
}

func (m *Memory) fromLocked(head ID) []Record {
	i := sort.Search(len(m.records), func(i int) bool { return m.records[i].ID.Compare(head) >= 0 })
	return slices.Clone(m.records[i:])
}

// Get implements [Tier].
func (m *Memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.getLocked(key), nil
}

func (m *Memory) getLocked(key string) []byte {
	h, ok := m.values[key]
	if ok && !h.alive() {
		delete(m.values, key)
		return nil
	}
	return h.value
}

// GetAndRead implements [Tier].
func (m *Memory) GetAndRead(_ context.Context, key string, head Stamp) ([]byte, Reading, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.getLocked(key), Reading{Records: m.fromLocked(head.ID), Run: m.run}, nil
}

// Set implements [Tier].
func (m *Memory) Set(_ context.Context, key string, value []byte, ttl time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	makeRoom(m.values)
	m.values[key] = held{slices.Clone(value), time.Now().Add(ttl), ttl == 0}
	return nil
}

// Unlink implements [Tier].
func (m *Memory) Unlink(_ context.Context, keys ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		delete(m.values, k)
	}
	return nil
}

// Lease implements [Tier].
func (m *Memory) Lease(_ context.Context, key, token string, life time.Duration) (bool, []byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leases[key].alive() {
		return false, m.getLocked(key), nil
	}
	makeRoom(m.leases)
	m.leases[key] = held{value: []byte(token), until: time.Now().Add(life)}
	return true, m.getLocked(key), nil
}

// GetMany implements [Tier].
func (m *Memory) GetMany(_ context.Context, keys []string) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = m.getLocked(k)
	}
	return out, nil
}

// LeaseMany implements [Tier].
func (m *Memory) LeaseMany(ctx context.Context, keys []string, token string, life time.Duration) (out []Lease, err error) {
	for _, k := range keys {
		var l Lease
		if l.Held, l.Value, l.Err = m.Lease(ctx, k, token, life); l.Err != nil {
			return nil, l.Err
		}
		out = append(out, l)
	}
	return out, nil
}

// Visit implements [Tier]: the tier answers at once.
func (m *Memory) Visit(ctx context.Context) context.Context { return ctx }

// Renew implements [Tier].
func (m *Memory) Renew(_ context.Context, key, token string, life time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.leases[key]
	if !h.alive() || string(h.value) != token {
		return false, nil
	}
	m.leases[key] = held{value: h.value, until: time.Now().Add(life)}
	return true, nil
}

// Release implements [Tier].
func (m *Memory) Release(_ context.Context, key, token string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if string(m.leases[key].value) == token {
		delete(m.leases, key)
	}
	return nil
}

// followFor bounds one wait of Follow.
const followFor = 900 * time.Millisecond

// Follow implements [Tier].
func (m *Memory) Follow(ctx context.Context, head ID) error {
	m.mu.Lock()
	grew, n := m.grew, len(m.records)
	behind := n > 0 && m.records[n-1].ID.Compare(head) > 0
	m.mu.Unlock()
	if behind {
		return nil
	}
	wait := time.NewTimer(followFor)
	defer wait.Stop()
	select {
	case <-grew:
	case <-wait.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Trim implements [Tier].
func (m *Memory) Trim(_ context.Context, retention time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.records) == 0 {
		return nil
	}
	cut := ID{Ms: m.records[len(m.records)-1].ID.Ms - uint64(retention.Milliseconds())}
	if i := sort.Search(len(m.records), func(i int) bool { return m.records[i].ID.Compare(cut) >= 0 }); i > 1 {
		m.records = slices.Clone(m.records[i-1:])
	}
	return nil
}

// Scan implements [Tier], all at once.
func (m *Memory) Scan(_ context.Context, _ uint64, prefix string) ([]Scanned, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Scanned
	for _, key := range slices.Sorted(maps.Keys(m.values)) {
		if v := m.getLocked(key); v != nil && strings.HasPrefix(key, prefix) {
			out = append(out, Scanned{key, v})
		}
	}
	return out, 0, nil
}

// Clock implements [Tier].
func (m *Memory) Clock() time.Time { return time.Now() }

// State implements [Tier].
func (m *Memory) State() State {
	return State{Connected: true, Version: "memory", Breaker: "closed"}
}

// Close implements [Tier]; there is nothing to end.
func (m *Memory) Close() error { return nil }
