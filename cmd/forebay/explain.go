package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/admin"
	"github.com/forebay-cache/forebay/gateway"
)

type explainCommand struct {
	node
	Method string   `arg:"" help:"GET, or another method."`
	URL    string   `arg:"" name:"url" help:"Whole, with the host that clients use."`
	Header []string `name:"header" short:"H" sep:"none" placeholder:"NAME:VALUE" help:"A field of the request. Repeatable."`
	Data   string   `name:"data" short:"d" help:"Its body."`
	Value  bool     `help:"Show what is stored: its first 64 KiB."`
	Ask    bool     `help:"Send it through the cache first, to the origin where need be. GET, HEAD and QUERY alone."`
}

// Run prints what the node's cache makes of a request now. The origin is not asked, unless that is wanted.
func (c *explainCommand) Run(t terminal) error {
	q := admin.Question{Method: strings.ToUpper(c.Method), URL: c.URL, Headers: map[string]string{}, Body: c.Data, Ask: c.Ask, Value: c.Value}
	for _, line := range c.Header {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return usageError{fmt.Errorf("--header %q: write NAME:VALUE", line)}
		}
		q.Headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	var e admin.Explanation
	ctx, cancel := context.WithTimeout(t.ctx, 3*clientTimeout) // an origin may take its time
	defer cancel()
	if err := c.callFor(ctx, http.MethodPost, "/api/explain", q, &e); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(t.out).Encode(e)
	}
	printExplanation(t.out, e)
	return nil
}

func printExplanation(w io.Writer, e admin.Explanation) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("request", "%s", e.Canonical)
	if a := e.Asked; a != nil {
		line("asked", "%d, %d bytes in %.0f ms: %s%s", a.Status, a.Bytes, a.TookMS, a.CacheStatus, because(a.Error))
	}
	line("now", "%s%s", e.Would, because(e.Why))
	if e.Would == "refused" && e.Class == "" {
		return
	}
	line("rule", "%s", cmp.Or(e.Rule, "none matches"))
	line("class", "%s", e.Class)
	if e.Key != "" {
		line("key", "%s", e.Key)
	}
	for _, p := range e.Parts {
		line("", "%s: %s", p.Name, p.Value)
	}
	defer printHoldings(w, e.Nodes)
	if i := e.Invalidated; i != nil {
		line("last", "invalidated at %s by %s%s", i.Time.Local().Format("2006-01-02 15:04:05"), i.Target, because(i.By))
	}
	if !e.Stored {
		line("stored", "nothing")
		if near := nearby(e); near != "" {
			line("", "%s", near)
		}
		return
	}
	line("stored", "%d, %d bytes, in the %s tier, %s old", e.Status, e.Size, e.Tier, (time.Duration(e.Age) * time.Second).String())
	if e.FreshUntil != nil {
		line("", "fresh until %s", e.FreshUntil.Local().Format("2006-01-02 15:04:05"))
	}
	if len(e.Vary) > 0 {
		line("", "chosen by %s", strings.Join(e.Vary, ", "))
	}
	if len(e.Tags) > 0 {
		line("", "tags %s", strings.Join(e.Tags, ", "))
	}
	if e.Value != nil {
		fmt.Fprintf(w, "\n%s\n\n", cmp.Or(e.Value.Text, e.Value.Base64))
	}
}

// nearby says what is stored beside a request for which nothing is; "" if nothing is.
func nearby(e admin.Explanation) string {
	switch {
	case e.Nearest != nil:
		var parts []string
		for _, p := range e.Nearest.Differs {
			parts = append(parts, p.Name+": "+cmp.Or(p.Value, "(none)"))
		}
		return fmt.Sprintf("with %s it would be found, under %s", strings.Join(parts, " and "), e.Nearest.Key)
	case e.Nearby > 0:
		return fmt.Sprintf("%d other responses of this path are: one of the parts above differs, or a field that this request lacks", e.Nearby)
	}
	return ""
}

// printHoldings says what the others hold under the key.
func printHoldings(w io.Writer, nodes []admin.Holding) {
	for _, n := range nodes {
		switch {
		case n.Self:
		case n.Error != "":
			fmt.Fprintf(w, "%-10s %s: %s\n", "node", n.Name, n.Error)
		case !n.Stored:
			fmt.Fprintf(w, "%-10s %s: not in its near tier\n", "node", n.Name)
		default:
			fmt.Fprintf(w, "%-10s %s: %s old, fresh for %s\n", "node", n.Name, inWords(n.AgeSeconds), inWords(n.TTLSeconds))
		}
	}
}

func inWords(seconds float64) string {
	return (time.Duration(seconds) * time.Second).String()
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// explainer has the operators' side ask a gateway.
func explainer(g *gateway.Gateway) func(*http.Request) admin.Explanation {
	return func(r *http.Request) admin.Explanation {
		x := g.Explain(r)
		out := admin.Explanation{
			Canonical: x.Request, Rule: x.Rule, Class: x.Class, Key: x.Key, Parts: []admin.KeyPart{}, Vary: []string{}, Tags: []string{},
			Headers: http.Header{}, Would: x.Would, Nearby: x.Nearby, Why: cmp.Or(x.Refused, x.Why),
		}
		for _, p := range x.Parts {
			out.Parts = append(out.Parts, admin.KeyPart(p))
		}
		if n := x.Nearest; n != nil {
			out.Nearest = &admin.Nearest{Key: n.Key}
			for _, p := range n.Fields {
				out.Nearest.Differs = append(out.Nearest.Differs, admin.KeyPart(p))
			}
		}
		if s := x.Stored; s != nil {
			until := time.Now().Add(s.Left).UTC()
			out.Stored, out.Tier, out.Status, out.Size, out.Age, out.FreshUntil = true, s.Tier, s.Status, s.Bytes, s.Age.Seconds(), &until
			out.Vary, out.Tags, out.Headers = append(out.Vary, s.Vary...), append(out.Tags, s.Tags...), s.Header
			out.Start = s.Start
		}
		return out
	}
}
