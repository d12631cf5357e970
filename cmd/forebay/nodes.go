package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/forebay-cache/forebay/admin"
)

type nodesCommand struct{ node }

// Run prints the nodes on the log, each as it says of itself.
func (c *nodesCommand) Run(t terminal) error {
	var nodes []admin.Node
	if err := c.call(t.ctx, http.MethodGet, "/api/nodes", nil, &nodes); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(nodes)
	}
	printNodes(t.out, nodes)
	return nil
}

func printNodes(w io.Writer, nodes []admin.Node) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "NODE\tSTATE\tLOOK-UPS/S\tHIT RATE\tNEAR\tLAG\tCONFIRMED\tHEARS\tVERSION\tADDRESS\tCAUSES")
	for _, n := range nodes {
		name := n.Name
		if n.Self {
			name += " (this one)"
		}
		state := n.State
		if n.SeenSeconds >= 10 {
			state = fmt.Sprintf("%s for %s", n.State, inWords(n.SeenSeconds))
		}
		fmt.Fprintf(tw, "%s\t%s\t%.1f\t%s\t%.1f of %.0f MiB\t%.0f ms\t%s\t%d\t%s\t%s\t%s\n", name, state, n.Lookups, rate(n.HitRate), mib(n.NearBytes), mib(n.NearMaxBytes),
			n.LagMS, yesNo(n.Confirmed), len(n.Hears), n.Version, n.Address, strings.Join(n.Causes, "; "))
	}
	tw.Flush()
}

func mib(bytes uint64) float64 { return float64(bytes) / (1 << 20) }

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
