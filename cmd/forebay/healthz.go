package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

type healthzCommand struct {
	URL string `arg:"" optional:"" default:"http://127.0.0.1:9191/health/live" name:"url" help:"Where a node says whether it is live."`
}

// healthzTimeout is shorter than what containers give a check.
const healthzTimeout = 2 * time.Second

// Run asks once. Its error is exit code 1.
func (c *healthzCommand) Run(t terminal) error {
	ctx, cancel := context.WithTimeout(t.ctx, healthzTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", c.URL, err)}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("not live: %w", err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // what it says is for people
	if res.StatusCode >= 400 {
		return fmt.Errorf("not live: %s answers %s", c.URL, res.Status)
	}
	_, err = fmt.Fprintln(t.out, "live")
	return err
}
