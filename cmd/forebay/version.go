package main

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
)

// release is set by the linker when a release is built.
var release string

func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

type versionCommand struct {
	JSON bool `name:"json" help:"Print it as JSON."`
}

func (c versionCommand) Run(t terminal) error {
	if c.JSON {
		return json.NewEncoder(t.out).Encode(map[string]string{"version": version()})
	}
	_, err := fmt.Fprintln(t.out, "forebay", version())
	return err
}
