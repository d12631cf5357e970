package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// bodyIdle is how long an upload may stand still. The whole of it may take as long as it likes.
const bodyIdle = time.Minute

// A patientBody gives each read of a request's body a deadline of its own, and remembers how it failed:
//
//  1. The transport sends a body to the origin, and reading it fails.
//  2. It closes the connection, and the goroutine that reads the answer there sees that.
//  3. Either error may be the one that the transport returns, and only the first is the client's.
type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
	failed  atomic.Pointer[uploadError]
}

// patient gives a request such a body. The context that it returns leads to it.
func patient(ctx context.Context, w http.ResponseWriter, r *http.Request) (context.Context, io.ReadCloser) {
	b := &patientBody{ReadCloser: r.Body, control: http.NewResponseController(w)}
	return context.WithValue(ctx, uploadKey{}, b), b
}

type uploadKey struct{}

// uploadFailure is how the body of the client failed; nil if it did not.
func uploadFailure(ctx context.Context) *uploadError {
	if b, ok := ctx.Value(uploadKey{}).(*patientBody); ok {
		return b.failed.Load()
	}
	return nil
}

func (b *patientBody) Read(p []byte) (int, error) {
	if err := b.control.SetReadDeadline(time.Now().Add(bodyIdle)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("gateway: deadline of an upload: %w", err)
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		failed := &uploadError{err}
		b.failed.Store(failed)
		return n, failed
	}
	return n, err
}

// An uploadError says that the client's body broke off, or broke the rules: no fault of the origin's.
type uploadError struct{ err error }

func (e *uploadError) Error() string { return "the client's body: " + e.err.Error() }
func (e *uploadError) Unwrap() error { return e.err }
