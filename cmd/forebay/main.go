// Command forebay runs the gateway and the reference platform, and talks to running nodes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes: a wrong flag, address or file is 2, what failed in spite of right ones is 1.
const (
	exitFailed = 1
	exitUsage  = 2
)

// A usageError is a mistake of the person at the keyboard.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

type commands struct {
	Demo        demoCommand       `cmd:"" help:"Run the reference platform."`
	Serve       serveCommand      `cmd:"" help:"Run the gateway: a cache in front of any HTTP API."`
	Check       checkCommand      `cmd:"" help:"Check the gateway's file: every mistake with its place."`
	Plan        planCommand       `cmd:"" help:"Say from an access log what a cache would do: routes, hit rates by time and memory, the rules to paste."`
	Schema      schemaCommand     `cmd:"" help:"Print the JSON Schema of the gateway's file, for editors."`
	Doctor      doctorCommand     `cmd:"" help:"Prove each tier by real round trips; a remedy for each thing that fails."`
	Drill       drillCommand      `cmd:"" help:"Take the shared tier away from a running node, and report what that does."`
	Stats       statsCommand      `cmd:"" help:"Show the statistics of a running node."`
	Explain     explainCommand    `cmd:"" help:"Say what a running gateway makes of a request: its key, what is stored, what the answer would be and why."`
	Purge       purgeCommand      `cmd:"" help:"Invalidate by key, tag, class, pattern or URL on a running node."`
	Edge        edgeCommand       `cmd:"" help:"Show how far the CDN above is purged, and what it has refused."`
	Audit       auditCommand      `cmd:"" help:"Ask the nodes, and URLs, whether they serve what was removed: 1, 10 and 60 s after each invalidation."`
	Top         topCommand        `cmd:"" help:"Watch a running node: what it does each second."`
	Routes      routesCommand     `cmd:"" help:"Show each route of a running node: requests, hits, times, why answers are not stored."`
	Nodes       nodesCommand      `cmd:"" help:"Show the nodes on the log side by side: verdict, hit rate, memory, lag, whom each hears."`
	MCP         mcpCommand        `cmd:"" name:"mcp" help:"Serve the platform's tools to one MCP client, over standard input and output."`
	Healthz     healthzCommand    `cmd:"" help:"Exit 0 if a node is live, 1 if not: for containers."`
	Completion  completionCommand `cmd:"" help:"Print what completes commands and flags in a shell."`
	Version     versionCommand    `cmd:"" help:"Print the version."`
	ShowVersion kong.VersionFlag  `name:"version" help:"Print the version."`
}

// A terminal is where a command reads nothing and writes its answers and logs.
type terminal struct {
	ctx      context.Context
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program without its process: tests call it.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	var c commands
	exit := -1
	parser, err := kong.New(&c, kong.Name("forebay"), kong.Writers(out, errOut), kong.DefaultEnvars("FOREBAY"),
		kong.Description("The response cache for APIs."), kong.UsageOnError(), kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Vars{"version": thisBuild().text()})
	if err != nil {
		fmt.Fprintln(errOut, "forebay:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	if err != nil {
		fmt.Fprintf(errOut, "forebay: %v: forebay --help lists what there is\n", err)
		return exitUsage
	}
	err = k.Run(terminal{ctx, out, errOut}, parser)
	if err == nil {
		return 0
	}
	fmt.Fprintln(errOut, "forebay:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}
