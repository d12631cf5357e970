package forebay

import (
	"context"
	"crypto/rand"
	"sort"
	"sync"
	"time"
)

// Memory is a log in this process: the log of a cache without Redis, and of several caches in one
// process that share it. The zero value is not usable; see [NewMemory].
type Memory struct {
	run  string
	keep int

	mu      sync.Mutex // guards what follows
	records []Record
}

// memoryRecords bounds the log in memory. A node of the same process never falls behind it: what
// leaves the log has long been in its ledger.
const memoryRecords = 1 << 16

// NewMemory returns an empty log in memory.
func NewMemory() *Memory { return &Memory{run: rand.Text(), keep: memoryRecords} }

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
	if len(m.records) > 2*m.keep {
		m.records = append([]Record(nil), m.records[len(m.records)-m.keep:]...)
	}
	return Reading{Records: m.fromLocked(head), Run: m.run, Appended: appended}, nil
}

// Read implements [Log]. It never fails.
func (m *Memory) Read(_ context.Context, head ID) (Reading, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Reading{Records: m.fromLocked(head), Run: m.run}, nil
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
	return append([]Record(nil), m.records[i:]...)
}
