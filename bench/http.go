package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/demo"
	"github.com/forebay-cache/forebay/demo/origin"
)

// platform measures the reference platform over HTTP, as a client sees it.
func platform(w *bytes.Buffer, _ int) error {
	const misses, hits = 40, 2000
	p, err := demo.Open(ctx, demo.Options{OriginLatency: origin.Latency{Min: 200 * time.Millisecond, Max: 500 * time.Millisecond}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer p.Close()
	server := httptest.NewServer(p.Handler(p.Admin(admin.Options{Loopback: true})))
	defer server.Close()

	var missed, hit []time.Duration
	for range misses {
		if _, err := p.Cache().Invalidate(ctx, forebay.Everything()); err != nil {
			return err
		}
		took, err := fetch(server.URL + "/api/partners?org_id=acme")
		if err != nil {
			return err
		}
		missed = append(missed, took)
	}
	for range hits {
		took, err := fetch(server.URL + "/api/partners?org_id=acme")
		if err != nil {
			return err
		}
		hit = append(hit, took)
	}
	fmt.Fprintf(w, "\n## The platform over HTTP\n\n`GET /api/partners?org_id=acme` (64 partners, 10 KB) on loopback, one connection, the partner API as slow as the specification says.\n\n"+
		"| | p50 | p99 | the specification |\n| --- | --- | --- | --- |\n| miss | %.0f ms | %.0f ms | 200-500 ms |\n| hit | %.2f ms | %.2f ms | 10-100 ms |\n",
		ms(quantile(missed, 0.5)), ms(quantile(missed, 0.99)), ms(quantile(hit, 0.5)), ms(quantile(hit, 0.99)))
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func fetch(url string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, err
	}
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", url, res.Status)
	}
	return time.Since(start), nil
}
