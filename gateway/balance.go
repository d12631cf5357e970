package gateway

import (
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A turn counts the requests of an origin, for those that go round.
type turn struct{ n atomic.Uint64 }

// pick chooses the server of a request among those that are well and were not tried; where none is, among all that were
// not tried: a request that may succeed is better than one that is refused.
func (u *upstream) pick(r *http.Request, tried []*server) *server {
	now := time.Now()
	var able, rest []*server
	for _, s := range u.servers {
		switch w := s.weight(now); {
		case slices.Contains(tried, s):
		case w >= 1 || w > 0 && rand.Float64() < w:
			able = append(able, s)
		case w > 0:
			rest = append(rest, s) // it has just come back
		}
	}
	if len(able) == 0 {
		able = rest
	}
	if len(able) == 0 {
		able = u.notWell(now, tried)
	}
	switch u.Balance {
	case balanceLeastPending:
		return u.leastPending(able)
	case balanceHash:
		return highest(able, r)
	}
	return able[u.turn.n.Add(1)%uint64(len(able))]
}

// notWell are the servers that were not tried, those that answer though their health check fails before those that do not.
func (u *upstream) notWell(now time.Time, tried []*server) (out []*server) {
	var silent []*server
	for _, s := range u.servers {
		switch {
		case slices.Contains(tried, s):
		case s.ejected(now):
			silent = append(silent, s)
		default:
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return silent
	}
	return out
}

// leastPending begins at another server each time, so that equals take turns.
func (u *upstream) leastPending(able []*server) *server {
	first := int(u.turn.n.Add(1) % uint64(len(able)))
	best := able[first]
	for i := range able {
		if s := able[(first+i)%len(able)]; s.pending.Load() < best.pending.Load() {
			best = s
		}
	}
	return best
}

// highest gives a URL the same server while that is well, and spreads its URLs over the others when it is not
// (rendezvous hashing, Thaler and Ravishankar 1998). Every gateway chooses alike.
func highest(able []*server, r *http.Request) *server {
	var best *server
	var most uint64
	for _, s := range able {
		h := fnv.New64a()
		io.WriteString(h, s.text+"\n"+r.Host+"\n"+r.URL.RequestURI())
		if n := mixed(h.Sum64()); best == nil || n > most {
			best, most = s, n
		}
	}
	return best
}

// mixed spreads the bits of a sum, of which the last byte moves few (the finaliser of MurmurHash3).
func mixed(n uint64) uint64 {
	n ^= n >> 33
	n *= 0xff51afd7ed558ccd
	n ^= n >> 33
	n *= 0xc4ceb9fe1a85ec53
	return n ^ n>>33
}

// A budget lets one request in ten be sent again: where everything fails, everything sent twice would be the end of it.
type budget struct{ tokens *tokens }

type tokens struct {
	mu sync.Mutex // guards n
	n  float64
}

const (
	retryShare = 0.1
	retryBurst = 10
)

func newBudget() budget { return budget{&tokens{n: retryBurst}} }

func (b budget) earn() {
	b.tokens.mu.Lock()
	defer b.tokens.mu.Unlock()
	b.tokens.n = min(b.tokens.n+retryShare, retryBurst)
}

func (b budget) spend() bool {
	b.tokens.mu.Lock()
	defer b.tokens.mu.Unlock()
	if b.tokens.n < 1 {
		return false
	}
	b.tokens.n--
	return true
}

// A keptBody outlives a try of which nothing was sent: a transport closes what it was given.
type keptBody struct {
	io.ReadCloser
	read atomic.Bool
	mu   sync.Mutex // guards the fields below
	held bool       // a try has closed it, and nothing has been read
	over bool
}

// keep returns nil for a request without a body.
func keep(r *http.Request) *keptBody {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	return &keptBody{ReadCloser: r.Body}
}

// Read implements [io.Reader].
func (b *keptBody) Read(p []byte) (int, error) {
	b.read.Store(true)
	return b.ReadCloser.Read(p)
}

// Close implements [io.Closer]: of a body that nothing was read of it is put off until it is known that no further try
// comes.
func (b *keptBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.read.Load() && !b.over {
		b.held = true
		return nil
	}
	return b.ReadCloser.Close()
}

// release says that no further try comes.
func (b *keptBody) release() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	if b.held {
		b.ReadCloser.Close()
	}
}
