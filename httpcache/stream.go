package httpcache

import (
	"context"
	"net/http"
	"time"
)

// writeTrailer flushes first: a short body would otherwise go with its length, and there is no place for a
// trailer behind that.
func writeTrailer(w http.ResponseWriter, trailer http.Header) {
	if len(trailer) == 0 || http.NewResponseController(w).Flush() != nil {
		return
	}
	for name, lines := range trailer {
		w.Header()[http.TrailerPrefix+name] = lines
	}
}

// flushAfter is how long a head may wait for the first of its body: one write instead of two.
const flushAfter = time.Millisecond

// stream sends a body while it arrives. What breaks off at the origin breaks off here: the client must
// not take it for whole.
func stream(ctx context.Context, w http.ResponseWriter, r *response, from *reader) {
	flusher := http.NewResponseController(w)
	atOnce := r.incremental() || r.header["Content-Length"] == nil
	flushed := false
	for {
		p, more, err := from.next()
		switch {
		case err != nil:
			panic(http.ErrAbortHandler)
		case len(p) > 0:
			if _, err := w.Write(p); err != nil {
				return
			}
			flushed = false
			continue
		case more == nil:
			_, trailer, _ := r.body.complete()
			writeTrailer(w, trailer)
			return
		}
		if !flushed && !wait(ctx, more, atOnce) {
			flushed = true
			if flusher.Flush() != nil {
				return
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// wait gives what is missing a moment before what is there is flushed.
func wait(ctx context.Context, more <-chan struct{}, no bool) bool {
	if no {
		return false
	}
	t := time.NewTimer(flushAfter)
	defer t.Stop()
	select {
	case <-more:
		return true
	case <-t.C:
		return false
	case <-ctx.Done():
		return true
	}
}

// replay sends stored events: at once, or with a pause between one and the next.
func replay(ctx context.Context, w http.ResponseWriter, data []byte, pace time.Duration) {
	flusher := http.NewResponseController(w)
	for len(data) > 0 {
		event, rest := data, []byte(nil)
		if pace > 0 {
			event, rest = nextEvent(data)
		}
		if _, err := w.Write(event); err != nil || flusher.Flush() != nil {
			return
		}
		if data = rest; len(data) == 0 {
			return
		}
		select {
		case <-time.After(pace):
		case <-ctx.Done():
			return
		}
	}
}
