package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/forebay-cache/forebay"
)

// drain invalidates what committed writes have left in the outbox, and takes it out once every node will hear of it. It may run on
// several nodes: to invalidate twice is no harm. A crash between commit and invalidation costs the time until the next call, and no
// more.
func drain(ctx context.Context, s *Store, c *forebay.Cache) error {
	rows, err := s.db.QueryContext(ctx, `SELECT id, tag FROM outbox ORDER BY id LIMIT 1000`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var last int64
	var targets []forebay.Target
	for rows.Next() {
		var tag string
		if err := rows.Scan(&last, &tag); err != nil {
			return err
		}
		targets = append(targets, forebay.Tag(tag))
	}
	if err := rows.Err(); err != nil || len(targets) == 0 {
		return err
	}
	if _, err := c.Invalidate(forebay.MustAcknowledge(ctx), targets...); err != nil {
		return err // what is in the outbox stays there
	}
	_, err = s.db.ExecContext(ctx, `DELETE FROM outbox WHERE id <= ?`, last)
	return err
}

// drainEvery drains until ctx ends.
func drainEvery(ctx context.Context, every time.Duration, s *Store, c *forebay.Cache) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := drain(ctx, s, c); err != nil && ctx.Err() == nil {
				slog.Warn("the outbox waits", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}
