package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the manual page")

// The manual page, docs/forebay.1, is made of the program's own description: go test ./cmd/forebay -run Man -update
func TestManPage(t *testing.T) {
	const file = "../../docs/forebay.1"
	var c commands
	app, err := kong.New(&c, kong.Name("forebay"), kong.DefaultEnvars("FOREBAY"), kong.Vars{"version": "forebay"})
	if err != nil {
		t.Fatal(err)
	}
	page := manPage(app)
	if *update {
		if err := os.WriteFile(file, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if held, err := os.ReadFile(file); err != nil || !bytes.Equal(held, page) {
		t.Errorf("%s is out of date: go test ./cmd/forebay -run Man -update (%v)", file, err)
	}
	if man, err := exec.LookPath("man"); err == nil { // where there is one, it must like it
		var warnings bytes.Buffer
		cmd := exec.Command(man, "--warnings", "-l", file)
		cmd.Stderr = &warnings
		if err := cmd.Run(); err != nil || warnings.Len() > 0 {
			t.Errorf("man: %v: %s", err, warnings.String())
		}
	}
}

func manPage(app *kong.Kong) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, ".TH FOREBAY 1 \"\" \"Forebay\" \"User Commands\"\n.SH NAME\nforebay \\- the response cache for APIs\n.SH SYNOPSIS\n.B forebay\n.I command\n.RI [ arguments ]\n.SH COMMANDS\n")
	for _, n := range app.Model.Leaves(true) {
		usage := n.Summary()
		fmt.Fprintf(&b, ".SS forebay %s\n%s\n", roff(strings.TrimPrefix(usage, "forebay ")), roff(n.Help))
		for _, p := range n.Positional {
			fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(p.Summary()), roff(p.Help))
		}
		for _, f := range n.Flags {
			if f.Hidden || f.Name == "help" {
				continue
			}
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(f.String()), roff(f.Help))
		}
	}
	fmt.Fprint(&b, ".SH ENVIRONMENT\nEach flag has a variable: FOREBAY_ and its name in capitals. The flag wins.\n"+
		".TP\n.B FOREBAY_ADMIN_TOKEN\nWhat operators present. Several have names and roles: alice/operate:SECRET,grafana/read:SECRET\n"+
		".TP\n.B REDIS_URL\nThe shared tier.\n.SH EXIT STATUS\n0: done. 1: it failed. 2: a flag, an address or a file is wrong.\n")
	return b.Bytes()
}

// roff escapes what troff would take for its own.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
