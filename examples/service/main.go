// Command service is an API with a database and a partner behind it, and a cache in front of both: what a program that uses forebay
// looks like. Its cache is in cache.go.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/forebay-cache/forebay"
	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/metrics"
	spans "github.com/forebay-cache/forebay/otel"
	"github.com/forebay-cache/forebay/redis"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	s, err := OpenStore(ctx, "service.db")
	if err != nil {
		return err
	}
	defer s.Close()

	o := options()
	o.Trace = spans.Trace(otel.Tracer("service"))
	if url := os.Getenv("REDIS_URL"); url != "" { // shared with the other nodes
		tier, err := redis.Open(ctx, redis.Options{URL: url, Namespace: "service"})
		if err != nil {
			return err
		}
		defer tier.Close()
		o.Shared, o.Secret = tier, []byte(os.Getenv("CACHE_SECRET"))
	}
	cache, err := forebay.Open(ctx, o)
	if err != nil {
		return err
	}
	defer cache.Close()
	cached, err := newCached(cache, s, &Partner{URL: os.Getenv("PARTNER_URL")})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var draining sync.WaitGroup
	draining.Go(func() { drainEvery(ctx, time.Second, s, cache) })
	defer func() { stop(); draining.Wait() }() // before the cache is closed

	operations := admin.New(cache, admin.Options{})
	defer operations.Close()
	prometheus.MustRegister(metrics.New(cache))
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.Handler())
	mux.Handle("/health", operations.HealthHandler())
	mux.Handle("/", otelhttp.NewHandler(routes(cached, s), "service"))

	server := &http.Server{Addr: "127.0.0.1:8000", Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		server.Shutdown(context.WithoutCancel(ctx))
	}()
	log.Print("http://", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
