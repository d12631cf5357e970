package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Set by the linker when a release is built: see deploy/release.
var release, commit, date string

// version names the build: that of a release, or of the module.
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

// A built says what this program is, and of which source.
type built struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Date    string `json:"date,omitempty"` // of the commit
	Go      string `json:"go"`
	System  string `json:"system"`
}

func thisBuild() built {
	b := built{Version: version(), Commit: commit, Date: date, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = cmp.Or(b.Commit, s.Value)
			case "vcs.time":
				b.Date = cmp.Or(b.Date, s.Value)
			}
		}
	}
	return b
}

// text is what the command prints, with nothing that is not known.
func (b built) text() string {
	out := "forebay " + b.Version
	if b.Commit != "" {
		out += fmt.Sprintf("\ncommit %s of %s", b.Commit, cmp.Or(b.Date, "an unknown date"))
	}
	return out + fmt.Sprintf("\n%s, %s", b.Go, b.System)
}

// short is for pages and metrics: "v1.2.0, 1a2b3c4 of 2026-12-01".
func (b built) short() string {
	if b.Commit == "" {
		return b.Version
	}
	day, _, _ := strings.Cut(b.Date, "T")
	return fmt.Sprintf("%s, %.7s of %s", b.Version, b.Commit, cmp.Or(day, "an unknown date"))
}

type versionCommand struct {
	JSON bool `name:"json" help:"Print it as JSON."`
}

func (c versionCommand) Run(t terminal) error {
	if c.JSON {
		return json.NewEncoder(t.out).Encode(thisBuild())
	}
	_, err := fmt.Fprintln(t.out, thisBuild().text())
	return err
}
