package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// eventEvery is how often the stream of events tells the statistics.
const eventEvery = time.Second

// events streams the statistics, once a second, as server-sent events.
func (a *Admin) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	stream := http.NewResponseController(w)
	tick := time.NewTicker(eventEvery)
	defer tick.Stop()
	for {
		body, err := json.Marshal(a.Stats())
		if err != nil {
			return
		}
		// A reader that does not read must not hold the connection for ever.
		stream.SetWriteDeadline(time.Now().Add(10 * eventEvery))
		if _, err := fmt.Fprintf(w, "event: stats\ndata: %s\n\n", body); err != nil || stream.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-a.stopped:
			return
		}
	}
}
