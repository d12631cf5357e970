package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/forebay-cache/forebay/redis"
)

// openTier opens the shared tier at a URL; nil where there is none.
func openTier(ctx context.Context, url string, logger *slog.Logger) (*redis.Tier, error) {
	if url == "" {
		return nil, nil
	}
	tier, err := redis.Open(ctx, redis.Options{URL: url, Logger: logger})
	if err != nil {
		return nil, usageError{fmt.Errorf("--redis or REDIS_URL: %w", err)}
	}
	return tier, nil
}
