package shared_test

import (
	"testing"

	"github.com/forebay-cache/forebay/shared"
	"github.com/forebay-cache/forebay/shared/sharedtest"
)

func TestMemory(t *testing.T) {
	sharedtest.Run(t, func(*testing.T) shared.Tier { return shared.NewMemory() })
}
