package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/shared"
)

type doctorCommand struct {
	JSON  bool   `name:"json" help:"Print what was found as JSON."`
	Redis string `placeholder:"URL" env:"REDIS_URL,FOREBAY_REDIS" help:"Shared tier to prove. Default: near tier only."`

	Bundle string `placeholder:"FILE" help:"Write what a bug report needs to this archive (.tar.gz): figures, configuration and incidents of a running node, without secrets, keys and values."`
	Config string `placeholder:"FILE" help:"The gateway's file, for the bundle."`
	Node   string `default:"127.0.0.1:9191" env:"FOREBAY_NODE" placeholder:"ADDR" help:"Admin listener of the node that is asked for the bundle."`
	Token  string `env:"FOREBAY_ADMIN_TOKEN" hidden:""`
}

var errUnproven = errors.New("something does not work: see the table")

// Run proves each tier by real round trips and prints what it found, with a remedy a line.
func (c *doctorCommand) Run(t terminal) error {
	proofs := []admin.Proof{admin.ProveNear(t.ctx)}
	var advice []shared.Advice
	if c.Redis != "" {
		tier, err := openTier(t.ctx, c.Redis, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		defer tier.Close()
		state := tier.State()
		if !state.Connected {
			proofs = append(proofs, admin.Proof{What: "shared tier: connect", Err: errors.New(state.Problem), Remedy: "nothing else can be tried"})
		} else {
			if !c.JSON {
				fmt.Fprintf(t.out, "%s, %.1f MB used\n", state.Version, float64(state.UsedMemory)/1e6)
			}
			proofs = append(proofs, admin.ProveShared(t.ctx, tier)...)
			if advice, err = tier.Advise(t.ctx); err != nil {
				proofs = append(proofs, admin.Proof{What: "settings: read", Err: err, Remedy: "allow the user INFO and TIME in the ACL"})
			}
		}
	}
	if c.Bundle != "" {
		return c.writeBundle(t, proofs, advice)
	}
	if c.JSON {
		return printProofs(t, proofs, advice)
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	failed := false
	for _, p := range proofs {
		if p.Err != nil {
			failed = true
			fmt.Fprintf(w, "FAILED\t%s\t\t%v: %s\n", p.What, p.Err, p.Remedy)
			continue
		}
		fmt.Fprintf(w, "ok\t%s\t%s\t\n", p.What, p.Took.Round(10*time.Microsecond))
	}
	for _, a := range advice {
		fmt.Fprintf(w, "warning\t%s\t\t%s\n", a.Problem, a.Remedy)
	}
	if c.Redis == "" {
		fmt.Fprintln(w, "warning\tno shared tier is configured\t\tset REDIS_URL to share answers between processes")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if failed {
		return errUnproven
	}
	return nil
}

// writeBundle writes what was proven, and what the node says, for a bug report.
func (c *doctorCommand) writeBundle(t terminal, proofs []admin.Proof, advice []shared.Advice) error {
	var proven bytes.Buffer
	failed := printProofs(terminal{t.ctx, &proven, t.err}, proofs, advice)
	if failed != nil && !errors.Is(failed, errUnproven) {
		return failed
	}
	b := makeBundle(t.ctx, node{Node: c.Node, Token: c.Token}, c.Config, []byte(withoutURLSecrets(proven.String())))
	if err := b.write(c.Bundle); err != nil {
		return usageError{err}
	}
	fmt.Fprintf(t.out, "%s: %d files. Secrets, keys, values and URLs of requests are not in it; look at it before you send it: tar xzf %s\n", c.Bundle, len(b.files), c.Bundle)
	return nil
}

// printProofs is the table for programs.
func printProofs(t terminal, proofs []admin.Proof, advice []shared.Advice) error {
	type row struct {
		What    string  `json:"what"`
		Good    bool    `json:"good"`
		TookMS  float64 `json:"took_ms"`
		Problem string  `json:"problem,omitempty"`
		Remedy  string  `json:"remedy,omitempty"`
	}
	found := struct {
		Proofs   []row `json:"proofs"`
		Warnings []row `json:"warnings"`
	}{[]row{}, []row{}}
	var failed error
	for _, p := range proofs {
		r := row{What: p.What, Good: p.Err == nil, TookMS: float64(p.Took) / float64(time.Millisecond)}
		if p.Err != nil {
			failed = errUnproven
			r.Problem, r.Remedy = p.Err.Error(), p.Remedy
		}
		found.Proofs = append(found.Proofs, r)
	}
	for _, a := range advice {
		found.Warnings = append(found.Warnings, row{What: "settings", Problem: a.Problem, Remedy: a.Remedy})
	}
	return errors.Join(json.NewEncoder(t.out).Encode(found), failed)
}
