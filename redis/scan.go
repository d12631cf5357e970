package redis

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/forebay-cache/forebay/shared"
	"github.com/redis/rueidis"
)

const (
	scanPage  = 100
	headBytes = 1023 // the last byte of what a scan reads of each value

	// A cursor holds which server it belongs to above that server's own: servers count with far fewer bits.
	serverShift = 56
)

// Scan implements [shared.Tier], with SCAN: never KEYS.
func (t *Tier) Scan(ctx context.Context, cursor uint64, prefix string) (found []shared.Scanned, next uint64, err error) {
	type part struct {
		found []shared.Scanned
		next  uint64
	}
	out, err := guard(ctx, t, scanBudget, func(ctx context.Context, c clients) (p part, err error) {
		begin := t.valueKey("")
		servers := c.servers()
		at, own := int(cursor>>serverShift), cursor&(1<<serverShift-1)
		if at >= len(servers) {
			return p, nil // there were more of them when it began
		}
		server := servers[at]
		page, err := server.Do(ctx, server.B().Scan().Cursor(own).Match(glob(begin+prefix)+"*").Count(scanPage).Build()).AsScanEntry()
		if err != nil {
			return p, err
		}
		if p.next = uint64(at)<<serverShift | page.Cursor; page.Cursor == 0 {
			if p.next = uint64(at+1) << serverShift; at+1 == len(servers) {
				p.next = 0
			}
		}
		if len(page.Elements) == 0 {
			return p, nil
		}
		gets := make(rueidis.Commands, len(page.Elements))
		for i, k := range page.Elements {
			gets[i] = c.values.B().Getrange().Key(k).Start(0).End(headBytes).Build()
		}
		for i, r := range c.values.DoMulti(ctx, gets...) {
			if head, err := bytesOf(r); err == nil && len(head) > 0 {
				p.found = append(p.found, shared.Scanned{Key: strings.TrimPrefix(page.Elements[i], begin), Head: head})
			}
		}
		return p, nil
	})
	return out.found, out.next, err
}

// servers are those that hold values, in an order that stays.
func (c clients) servers() []rueidis.Client {
	if c.values == c.log {
		return []rueidis.Client{c.log}
	}
	nodes := c.values.Nodes()
	var out []rueidis.Client
	for _, addr := range slices.Sorted(maps.Keys(nodes)) {
		out = append(out, nodes[addr])
	}
	return out
}

// glob escapes what SCAN's patterns would take for more than itself.
func glob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
