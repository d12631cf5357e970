package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/forebay-cache/forebay/gateway"
)

type checkCommand struct {
	File string `arg:"" help:"The gateway's file."`
	Ask  bool   `help:"Ask the origin for each GET route without a variable, and say what keeps its answers from being stored."`
	JSON bool   `name:"json" help:"Print what was found as JSON."`
}

// foundInFile is what is said of a file.
type foundInFile struct {
	Good     bool     `json:"good"`
	Error    string   `json:"error,omitempty"`
	Warnings []string `json:"warnings"`
	Classes  int      `json:"classes"`
	Routes   int      `json:"routes"`
}

// askWithin is how long the origin may take for all routes together.
const askWithin = time.Minute

// Run reads a file and says what is wrong with it.
func (c *checkCommand) Run(t terminal) error {
	config, err := gateway.ReadConfig(c.File)
	found := foundInFile{Good: err == nil, Warnings: []string{}, Classes: len(config.Classes), Routes: len(config.Rules) + len(config.MCP)}
	for _, warning := range config.Warnings {
		found.Warnings = append(found.Warnings, c.File+":"+warning)
	}
	if err == nil && c.Ask {
		ctx, cancel := context.WithTimeout(t.ctx, askWithin)
		defer cancel()
		said, failed := gateway.Try(ctx, config)
		if failed != nil {
			err = failed
		}
		found.Warnings = slices.Concat(found.Warnings, said)
	}
	if err != nil {
		found.Good, found.Error = false, err.Error()
	}
	if c.JSON {
		if failed := json.NewEncoder(t.out).Encode(found); failed != nil {
			return failed
		}
	}
	switch {
	case err != nil:
		return usageError{err}
	case c.JSON:
		return nil
	}
	for _, warning := range found.Warnings {
		fmt.Fprintln(t.out, warning)
	}
	fmt.Fprintf(t.out, "%s: good: %d classes, %d routes\n", c.File, found.Classes, found.Routes)
	return nil
}

type schemaCommand struct{}

// Run prints the JSON Schema of the gateway's file.
func (*schemaCommand) Run(t terminal) error {
	_, err := t.out.Write(gateway.Schema)
	return err
}
