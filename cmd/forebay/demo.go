package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"

	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/demo"
	"github.com/forebay-cache/forebay/demo/origin"
	"github.com/forebay-cache/forebay/docs"
	"github.com/forebay-cache/forebay/internal/memlimit"
	"github.com/forebay-cache/forebay/redis"
	"github.com/forebay-cache/forebay/web"
)

type demoCommand struct {
	listenFlags
	platformFlags
	Traffic int `default:"0" placeholder:"N" help:"Requests per second that the platform sends to itself."`
}

// platformFlags are what the platform is opened with, whoever is served.
type platformFlags struct {
	Redis         string   `placeholder:"URL" env:"REDIS_URL,FOREBAY_REDIS" help:"Shared tier, on Redis or Valkey. Default: near tier only."`
	Journal       string   `placeholder:"FILE" help:"Keeps the invalidations that Redis does not have yet, so that they survive a crash; each process needs its own. Default: memory."`
	Secret        string   `env:"FOREBAY_SECRET" hidden:""`
	NearBytes     byteSize `placeholder:"SIZE" help:"Memory of the near tier. Default: a quarter of what the process may use, at most 512MiB."`
	Data          string   `placeholder:"FILE" help:"Database file. Default: memory."`
	Database      string   `placeholder:"URL" env:"DATABASE_URL,FOREBAY_DATABASE" help:"Database of Postgres, instead of --data: postgres://user:password@host:5432/name."`
	OriginLatency spanOfMS `default:"200ms-500ms" placeholder:"A-B|0" help:"How long each call of the origin takes."`
	OpenAI        openAI   `embed:""`
}

// place is where the database is.
func (c platformFlags) place() (string, error) {
	switch {
	case c.Database == "":
		return c.Data, nil
	case c.Data != "":
		return "", errors.New("--data and --database (DATABASE_URL) name two databases: leave one of them out")
	case !origin.IsPostgres(c.Database):
		return "", errors.New("--database (DATABASE_URL) is not of the form postgres://user:password@host:5432/name; a file of SQLite is named by --data")
	}
	return c.Database, nil
}

// open opens the platform, and its shared tier where there is one. The caller closes both, the platform first.
func (c platformFlags) open(ctx context.Context, logger *slog.Logger) (*demo.Platform, *redis.Tier, error) {
	limitMemory()
	place, err := c.place()
	if err != nil {
		return nil, nil, usageError{err}
	}
	o := demo.Options{
		Journal: c.Journal, Secret: c.secret(),
		Database: place, OriginLatency: origin.Latency(c.OriginLatency), NearBytes: int64(c.NearBytes),
		Version: thisBuild().short(), Logger: logger,
	}
	if c.OpenAI.BaseURL != "" && c.OpenAI.Key != "" {
		o.Assistant = demo.NewOpenAI(c.OpenAI.BaseURL, c.OpenAI.Key, c.OpenAI.Model)
	}
	tier, err := openTier(ctx, c.Redis, logger)
	if err != nil {
		return nil, nil, err
	}
	if tier != nil {
		o.Shared = tier
	}
	p, err := demo.Open(ctx, o)
	if err != nil {
		if tier != nil {
			tier.Close()
		}
		return nil, nil, usageError{err}
	}
	return p, tier, nil
}

type openAI struct {
	BaseURL string `env:"OPENAI_BASE_URL" name:"openai-base-url" placeholder:"URL" help:"Endpoint of the assistant's language model. Default: an embedded assistant."`
	Key     string `env:"OPENAI_API_KEY" name:"openai-api-key" hidden:""`
	Model   string `env:"OPENAI_MODEL" name:"openai-model" placeholder:"NAME" help:"The model to ask."`
}

// Run serves the platform until it is told to stop.
func (c *demoCommand) Run(t terminal) error {
	logger := c.logger(t.err)
	if c.Traffic < 0 {
		return usageError{fmt.Errorf("--traffic %d: must not be negative", c.Traffic)}
	}
	p, tier, err := c.open(t.ctx, logger)
	if err != nil {
		return err
	}
	if tier != nil {
		defer tier.Close()
	}
	defer p.Close()

	traces, err := openTraces(t.ctx, logger)
	if err != nil {
		return err
	}
	defer traces.close()
	own, err := c.listen("")
	if err != nil {
		return err
	}
	public, operators := own.public, own.operators
	ao := c.operators(operators, tier)
	ao.TraceID, ao.Requirements = traces.id(), docs.Requirements
	a := p.Admin(ao)
	s := servers{stopping: a.Close, logger: logger, accessLog: c.accessLogging(), out: t.out, own: own, keeps: c.keeps()}
	s.add(public, c.withHealth(a.Handler(), withMCP(p.MCP(a, admin.MCPOptions{Loopback: isLoopback(public), Token: c.MCPToken}), web.Handler("/", traces.handler(a.Measure(p.Handler(a)))))))
	fmt.Fprintf(t.out, "platform  http://%s\n", public.Addr())
	if operators != nil {
		s.add(operators, withProfiles(a, withMCP(p.MCP(a, admin.MCPOptions{Loopback: isLoopback(operators), Token: c.MCPToken}), web.Handler("/", a.Measure(p.Operators(a))))))
		fmt.Fprintf(t.out, "admin     http://%s\n", operators.Addr())
	}
	fmt.Fprintf(t.out, "mcp       http://%s/mcp\n", public.Addr())
	fmt.Fprintf(t.out, "try       curl -i 'http://%s/api/partners?org_id=acme'   (twice)\n", public.Addr())

	ctx, stop := context.WithCancel(t.ctx)
	defer stop()
	var traffic sync.WaitGroup
	if c.Traffic > 0 {
		traffic.Go(func() { demo.Traffic{Base: "http://" + dialable(public.Addr()), PerSecond: c.Traffic}.Run(ctx) })
	}
	err = s.serve(ctx)
	stop()
	traffic.Wait()
	return err
}

// secret keys what stands for sessions in keys. Nodes must agree on it. Without one configured the
// hash is a plain one, which is enough for tokens that nobody can guess.
func (c platformFlags) secret() []byte {
	if c.Secret == "" {
		return []byte("forebay demo")
	}
	return []byte(c.Secret)
}

// keeps names what no second process can have beside this one.
func (c platformFlags) keeps() string {
	if c.Journal != "" {
		return "--journal " + c.Journal
	}
	return ""
}

// limitMemory tells the collector what the process may use, unless GOMEMLIMIT says so.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memlimit.Limit() / 10 * 9)
	}
}
