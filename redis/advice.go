package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

const (
	tinyMemory = 16 << 20
	maxSkew    = time.Second
)

// Advise looks at the server's settings.
func (t *Tier) Advise(ctx context.Context) ([]shared.Advice, error) {
	return guard(ctx, t, scanBudget, func(ctx context.Context, all clients) ([]shared.Advice, error) {
		c := all.log
		text, err := c.Do(ctx, c.B().Info().Build()).ToString()
		if err != nil {
			return nil, err
		}
		before := time.Now()
		clock, err := c.Do(ctx, c.B().Time().Build()).AsStrSlice()
		if err != nil {
			return nil, err
		}
		info := parseInfo(text)
		out := append(memoryAdvice(info), clockAdvice(clock, before, time.Now())...)
		if info["cluster_enabled"] == "1" && info["connected_slaves"] == "0" {
			out = append(out, shared.Advice{Problem: "the server of the log has no replica: when it is lost, so is the log, and every node starts over", Remedy: "give each master of the cluster a replica"})
		}
		return out, nil
	})
}

func memoryAdvice(info map[string]string) (out []shared.Advice) {
	limit, _ := strconv.ParseInt(info["maxmemory"], 10, 64) // 0 where the server does not say
	switch policy := info["maxmemory_policy"]; {
	case limit == 0:
		out = append(out, shared.Advice{Problem: "the server has no memory limit: what it stores may take the whole machine", Remedy: "set maxmemory, and maxmemory-policy volatile-lru"})
	case policy == "noeviction":
		out = append(out, shared.Advice{Problem: "maxmemory-policy is noeviction: when memory is full, writes and invalidations fail", Remedy: "set maxmemory-policy volatile-lru"})
	case strings.HasPrefix(policy, "allkeys-"):
		out = append(out, shared.Advice{Problem: "maxmemory-policy is " + policy + ": the log of invalidations can be evicted, and every node then starts over", Remedy: "set maxmemory-policy volatile-lru"})
	}
	if limit > 0 && limit < tinyMemory {
		out = append(out, shared.Advice{Problem: fmt.Sprintf("maxmemory is %.1f MiB: the log alone can fill it", float64(limit)/(1<<20)), Remedy: "give it 64 MB or more"})
	}
	return out
}

func clockAdvice(clock []string, before, after time.Time) []shared.Advice {
	if len(clock) != 2 {
		return nil
	}
	seconds, err := strconv.ParseInt(clock[0], 10, 64)
	if err != nil {
		return nil
	}
	server := time.Unix(seconds, 0)
	if server.Add(time.Second+maxSkew).After(before) && server.Add(-maxSkew).Before(after) {
		return nil
	}
	return []shared.Advice{{Problem: fmt.Sprintf("the server's clock differs from this machine's by %s: ages of HTTP responses that other nodes stored are off by as much", server.Sub(after).Round(time.Second)), Remedy: "run NTP on both"}}
}
