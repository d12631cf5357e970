package main

import (
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

type versionCommand struct{}

func (versionCommand) Run(t terminal) error {
	_, err := fmt.Fprintln(t.out, "forebay", version())
	return err
}
