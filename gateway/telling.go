package gateway

import (
	"net/http"

	"github.com/forebay-cache/forebay/httpcache"
)

// A telling writer completes a response's fields for a cache above, once it is known what that may keep.
type telling struct {
	http.ResponseWriter
	fields func(h http.Header, may *httpcache.Served, status int) (keeps bool)
	may    *httpcache.Served // nil: nothing is known of it, so nothing may be kept
	asked  bool              // nobody else's: a service was asked whether this caller may have it, or it may be out of date
	told   bool
	kept   *httpcache.Served // the cache above may have kept it
}

// tellingOf finds the writer behind those that stand before it.
func tellingOf(w http.ResponseWriter) *telling {
	for {
		switch at := w.(type) {
		case *telling:
			return at
		case interface{ Unwrap() http.ResponseWriter }:
			w = at.Unwrap()
		default:
			return nil
		}
	}
}

// served is nil where nobody above is told anything.
func (c Config) served() func(http.ResponseWriter, httpcache.Served) {
	if c.CDN == nil && !c.Children {
		return nil
	}
	return func(w http.ResponseWriter, s httpcache.Served) {
		if t := tellingOf(w); t != nil && !t.asked {
			t.may = &s
		}
	}
}

// tell completes the fields.
func (t *telling) tell(status int) {
	if t.told || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	t.told = true
	if t.fields(t.Header(), t.may, status) {
		t.kept = t.may
	}
}

// WriteHeader implements [http.ResponseWriter].
func (t *telling) WriteHeader(status int) {
	t.tell(status)
	t.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (t *telling) Write(p []byte) (int, error) {
	t.tell(http.StatusOK)
	return t.ResponseWriter.Write(p)
}

// FlushError is for [http.ResponseController].
func (t *telling) FlushError() error {
	t.tell(http.StatusOK)
	return http.NewResponseController(t.ResponseWriter).Flush()
}

// Unwrap lets [http.ResponseController] reach the writer below.
func (t *telling) Unwrap() http.ResponseWriter { return t.ResponseWriter }
