package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints a script that the shell reads: source <(forebay completion bash).
func (c *completionCommand) Run(t terminal, app *kong.Kong) error {
	words := commandWords(app)
	switch c.Shell {
	case "fish":
		printFish(t.out, words)
	case "zsh":
		fmt.Fprint(t.out, "autoload -Uz bashcompinit && bashcompinit\n")
		printBash(t.out, words)
	default:
		printBash(t.out, words)
	}
	return nil
}

// A commandWord is a command with what may follow it.
type commandWord struct {
	name, help string
	flags      []*kong.Flag
	values     []string // of its arguments that have a fixed set
}

// commandWords reads the program's own description, so that nothing is listed twice.
func commandWords(app *kong.Kong) []commandWord {
	var out []commandWord
	for _, n := range app.Model.Leaves(true) {
		w := commandWord{name: n.Name, help: n.Help}
		for _, group := range n.AllFlags(true) {
			w.flags = append(w.flags, group...)
		}
		for _, p := range n.Positional {
			if p.Enum != "" {
				w.values = append(w.values, p.EnumSlice()...)
			}
		}
		out = append(out, w)
	}
	return out
}

func printBash(w io.Writer, words []commandWord) {
	fmt.Fprint(w, "_forebay() {\n  local words=\"\"\n  case \"${COMP_WORDS[1]}\" in\n")
	var names []string
	for _, c := range words {
		names = append(names, c.name)
		follow := append([]string(nil), c.values...)
		for _, f := range c.flags {
			follow = append(follow, "--"+f.Name)
		}
		fmt.Fprintf(w, "    %s) words=%q ;;\n", c.name, strings.Join(follow, " "))
	}
	fmt.Fprintf(w, "  esac\n  if [ \"$COMP_CWORD\" -eq 1 ]; then words=%q; fi\n", strings.Join(append(names, "--help", "--version"), " "))
	fmt.Fprint(w, "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _forebay forebay\n")
}

func printFish(w io.Writer, words []commandWord) {
	for _, c := range words {
		fmt.Fprintf(w, "complete -c forebay -n __fish_use_subcommand -f -a %s -d %s\n", c.name, fishQuote(c.help))
		seen := "-n '__fish_seen_subcommand_from " + c.name + "'"
		for _, v := range c.values {
			fmt.Fprintf(w, "complete -c forebay %s -a %s\n", seen, v)
		}
		for _, f := range c.flags {
			fmt.Fprintf(w, "complete -c forebay %s -l %s -d %s\n", seen, f.Name, fishQuote(f.Help))
		}
	}
}

func fishQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "\\'") + "'" }
