package cdn

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/forebay-cache/forebay/edge"
)

// A cloudflare purges by Cache-Tag: https://developers.cloudflare.com/api/resources/cache/methods/purge.
type cloudflare struct{ o Options }

func newCloudflare(o Options) (edge.Purger, error) { return cloudflare{o}, nil }

// Limits implements [edge.Purger]: 100 tags a call; the smallest plan takes 5 calls a minute, the next ones 300 and more.
func (c cloudflare) Limits() edge.Limits {
	return edge.Limits{Tags: 100, PerMinute: c.o.perMinute(5)}
}

// Purge implements [edge.Purger].
func (c cloudflare) Purge(ctx context.Context, tags []string, _ bool) (string, error) {
	body, err := json.Marshal(map[string][]string{"tags": tags})
	if err != nil {
		return "", err
	}
	r, err := http.NewRequest(http.MethodPost, c.o.base("https://api.cloudflare.com")+"/client/v4/zones/"+c.o.Zone+"/purge_cache", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+c.o.Token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := call(ctx, r)
	if err != nil {
		return "", err
	}
	var said struct {
		Success bool
		Errors  []struct {
			Code    int
			Message string
		}
		Result struct{ ID string }
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return "", fmt.Errorf("cloudflare: its answer is not JSON: %w", err)
	}
	if !said.Success {
		var reasons []string
		for _, e := range said.Errors {
			reasons = append(reasons, fmt.Sprintf("%d %s", e.Code, e.Message))
		}
		return "", &edge.RefusedError{Status: http.StatusOK, Reason: "its answer says no: " + strings.Join(reasons, "; ")}
	}
	return said.Result.ID, nil
}

// Done implements [edge.Purger]: Cloudflare answers when the purge is on its way, and does not say when it has ended.
func (cloudflare) Done(context.Context, string) (bool, error) { return true, nil }
