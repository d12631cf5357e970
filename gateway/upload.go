package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// bodyIdle is how long an upload may stand still. The whole of it may take as long as it likes.
const bodyIdle = time.Minute

// A patientBody gives each read of a request's body a deadline of its own.
type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *patientBody) Read(p []byte) (int, error) {
	if err := b.control.SetReadDeadline(time.Now().Add(bodyIdle)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("gateway: deadline of an upload: %w", err)
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = &uploadError{err}
	}
	return n, err
}

// An uploadError says that the client's body broke off, or broke the rules: no fault of the origin's.
type uploadError struct{ err error }

func (e *uploadError) Error() string { return "the client's body: " + e.err.Error() }
func (e *uploadError) Unwrap() error { return e.err }
