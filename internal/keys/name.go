package keys

import (
	"errors"
	"fmt"
	"strings"
)

// maxName bounds the names of classes, functions and key parts: they stand in every key.
const maxName = 64

// CheckName says what is wrong with a name of a class or a function.
func CheckName(name string) error {
	if name == "" {
		return errors.New("is empty")
	}
	if len(name) > maxName {
		return fmt.Errorf("%q is longer than %d bytes", name, maxName)
	}
	if bad := strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-"); bad != "" {
		return fmt.Errorf("%q: use lower-case letters, digits, '_' and '-'", name)
	}
	return nil
}
