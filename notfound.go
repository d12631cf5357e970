package forebay

import (
	"errors"
	"fmt"
	"strings"
)

// notFound makes the origin's own "not found" match [ErrNotFound].
func (c *Cache) notFound(err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || c.options.IsNotFound == nil || !c.options.IsNotFound(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotFound, err)
}

// A kept "not found" came from the shared tier: to this node's callers it is what its origin says.
type kept struct {
	text string // of the origin's error
	is   func(error) bool
}

func (k *kept) Error() string {
	if k.text == "" {
		return ErrNotFound.Error()
	}
	return ErrNotFound.Error() + ": " + k.text
}

// Is has it match [ErrNotFound], and whatever [Options.IsNotFound] recognises: sql.ErrNoRows, say.
func (k *kept) Is(target error) bool { return target == ErrNotFound || k.is != nil && k.is(target) }

// maxErrorText bounds what the shared tier holds of an error.
const maxErrorText = 512

// textOf is the origin's part of a "not found".
func textOf(err error) string {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), ErrNotFound.Error()), ": ")
	return text[:min(len(text), maxErrorText)]
}
