package httpcache

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/forebay-cache/forebay"
)

// WriteError is the default of [Options.Error].
func WriteError(w http.ResponseWriter, _ *http.Request, err error) {
	var busy *forebay.BusyError
	var slow interface{ Timeout() bool }
	switch {
	case errors.As(err, &busy):
		WriteProblem(w, http.StatusServiceUnavailable, "the origin has as many requests as it may have at once", busy.RetryAfter)
	case errors.Is(err, forebay.ErrLoadTimeout):
		WriteProblem(w, http.StatusGatewayTimeout, "the origin did not answer in time", 0)
	case errors.As(err, &slow) && slow.Timeout():
		WriteProblem(w, http.StatusGatewayTimeout, "the origin did not answer in time", 0)
	default:
		WriteProblem(w, http.StatusBadGateway, "the origin did not answer", 0)
	}
}

// WriteProblem writes problem details (RFC 9457); retry is for Retry-After, 0 for none.
func WriteProblem(w http.ResponseWriter, status int, text string, retry time.Duration) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(max(retry/time.Second, 1))))
	}
	w.WriteHeader(status)
	body, _ := json.Marshal(map[string]any{ // strings and numbers always marshal
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": text,
	})
	w.Write(append(body, '\n'))
}
