package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Live is what a page is told each second. What happened in it is summed up before it is sent.
type Live struct {
	Time     time.Time `json:"time"`
	Health   Health    `json:"health"`
	Point    Point     `json:"point"`
	Topology Topology  `json:"topology"`
	Activity []Item    `json:"activity" doc:"The latest; one may have counted up since it was sent before. Empty for a caller that may not operate"`
}

// A feed is the latest events, written once for all readers.
type feed struct {
	readers atomic.Int64 // on all listeners
	seats   [2]seats     // of the public listener, and of the operators'

	mu      sync.Mutex // guards the fields below
	changed chan struct{}
	number  uint64
	public  []byte // the events, for a caller that only reads …
	whole   []byte // … and for operators
}

// seats bound the streams of events on one listener, so that readers of the one never take those of the
// other.
type seats struct{ taken atomic.Int64 }

const (
	maxReaders = 256
	// reserved seats are for operators: readers thatm nobody knows cannot take the last ones.
	reserved = maxReaders / 4
)

func (s *seats) take(operator bool) bool {
	limit := int64(maxReaders)
	if !operator {
		limit -= reserved
	}
	if s.taken.Add(1) > limit {
		s.taken.Add(-1)
		return false
	}
	return true
}

// readerTimeout is how long a reader may not read: it must not hold the connection forever.
const readerTimeout = 10 * time.Second

func newFeed() *feed { return &feed{changed: make(chan struct{})} }

// publish writes the events of a second, if anybody reads them.
func (a *Admin) publish(p Point) {
	if a.feed.readers.Load() == 0 {
		return
	}
	stats := event("stats", a.Stats())
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	live := Live{Time: time.Now().UTC(), Health: a.Health(ctx), Point: p, Topology: a.Topology(), Activity: []Item{}}
	public := slices.Concat(stats, event("live", live))
	live.Activity = a.activity.latest(maxBurst)
	whole := slices.Concat(stats, event("live", live))

	f := a.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.number++
	f.public, f.whole = public, whole
	close(f.changed)
	f.changed = make(chan struct{})
}

func event(name string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		return nil // they are our own types
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, data)
}

// after returns the latest events, or what to wait for, if there are none later than a number.
func (f *feed) after(number uint64, operator bool) (events []byte, latest uint64, wait <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.number == number:
		return nil, number, f.changed
	case operator:
		return f.whole, f.number, nil
	}
	return f.public, f.number, nil
}

func (a *Admin) registerEvents(api huma.API, all bool) {
	live := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Live](), true, "Live")
	op := huma.Operation{
		OperationID: "events", Method: http.MethodGet, Path: "/api/events", Summary: "What happens, each second, as server-sent events",
		Errors: []int{http.StatusServiceUnavailable},
		Responses: map[string]*huma.Response{"200": {
			Description: "Events stats (the answer of /api/cache-stats) and live. Their id counts seconds: where one is missing, the reader was too slow for it.",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: live}},
		}},
	}
	here := &a.feed.seats[0]
	if all {
		here = &a.feed.seats[1]
	}
	huma.Register(api, op, func(_ context.Context, in *overviewRequest) (*huma.StreamResponse, error) {
		_, no := a.may(in.r)
		operator := all && no == nil
		if !here.take(operator) {
			return nil, huma.Error503ServiceUnavailable("as many pages as there may be are watching already: close one")
		}
		a.feed.readers.Add(1)
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			defer here.taken.Add(-1)
			defer a.feed.readers.Add(-1)
			r, w := humago.Unwrap(ctx)
			a.stream(w, r, operator)
		}}, nil
	})
}

// stream sends the statistics at once, and then what is published until the reader or the admin ends.
func (a *Admin) stream(w http.ResponseWriter, r *http.Request, operator bool) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	to := http.NewResponseController(w)
	send := func(events []byte) bool {
		to.SetWriteDeadline(time.Now().Add(readerTimeout))
		_, err := w.Write(events)
		return err == nil && to.Flush() == nil
	}
	if !send(event("stats", a.Stats())) {
		return
	}
	_, number, _ := a.feed.after(0, operator)
	for {
		events, latest, wait := a.feed.after(number, operator)
		if wait == nil {
			number = latest
			if !send(fmt.Appendf(nil, "id: %d\n%s", number, events)) {
				return
			}
			continue
		}
		select {
		case <-wait:
		case <-r.Context().Done():
			return
		case <-a.stopped:
			return
		}
	}
}
