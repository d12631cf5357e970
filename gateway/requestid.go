package gateway

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
)

// requestIDField names one request in the logs of everybody on its way.
const requestIDField = "X-Request-Id"

// requestIDs gives each request an identifier: its own, if it brings one that is harmless, else a new one. The answer has
// it, whatever is stored; and the origin is told it, in a load that of the first caller.
func requestIDs(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := ""
		if lines := r.Header[requestIDField]; len(lines) == 1 && isID(lines[0]) {
			id = lines[0]
		} else {
			id = rand.Text()
		}
		r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
		next.ServeHTTP(&namedWriter{ResponseWriter: w, id: id}, r)
	})
}

type requestIDKey struct{}

// requestIDOf is a request's identifier; "" where none are given.
func requestIDOf(r *http.Request) string {
	id, _ := r.Context().Value(requestIDKey{}).(string)
	return id
}

// maxID bounds what a client may have everybody write down.
const maxID = 128

func isID(s string) bool {
	return s != "" && len(s) <= maxID && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:=+/") == ""
}

// A namedWriter puts the identifier on the answer as it goes out: what is stored may have another's.
type namedWriter struct {
	http.ResponseWriter
	id string
}

// WriteHeader implements [http.ResponseWriter].
func (w *namedWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.Header()[requestIDField] = []string{w.id}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *namedWriter) Write(p []byte) (int, error) {
	w.Header()[requestIDField] = []string{w.id} // after the head it does nothing
	return w.ResponseWriter.Write(p)
}

// Unwrap lets [http.ResponseController] reach the writer below.
func (w *namedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
