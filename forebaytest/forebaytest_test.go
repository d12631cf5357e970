package forebaytest_test

import (
	"testing"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/forebaytest"
)

func TestMemory(t *testing.T) {
	forebaytest.TestShared(t, func(*testing.T) forebay.Shared { return forebay.NewMemory() })
}
