package httpcache

import (
	"maps"
	"net/http"
	"sync"
)

// hints passes interim responses (1xx) on to the client whose request led to them, until it is answered.
type hints struct {
	mu    sync.Mutex // guards the fields below
	to    http.ResponseWriter
	r     *http.Request // of the client
	ended bool
}

func (e *hints) send(status int, fields http.Header) {
	if e == nil || !isInterim(status) || status == http.StatusContinue {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ended {
		sendInterim(e.to, e.r, status, fields)
	}
}

func isInterim(status int) bool {
	return status >= 100 && status < 200 && status != http.StatusSwitchingProtocols
}

// sendInterim sends a 1xx with the fields that are there and others. It is not sent to a client of HTTP/1.0,
// which would take it for the answer (RFC 9110, section 15.2); fields of the hop end here.
func sendInterim(w http.ResponseWriter, r *http.Request, status int, fields http.Header) {
	if !r.ProtoAtLeast(1, 1) {
		return
	}
	h := w.Header()
	before := cloneFields(h)
	for name, lines := range fields {
		if _, there := h[name]; !there {
			h[name] = lines
		}
	}
	on := endToEnd(h)
	maps.DeleteFunc(h, func(name string, _ []string) bool { return on[name] == nil })
	w.WriteHeader(status)
	clear(h)
	maps.Copy(h, before)
}

func (e *hints) end() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
}
