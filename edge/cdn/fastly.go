package cdn

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/forebay-cache/forebay/edge"
)

// A fastly purges by Surrogate-Key: https://www.fastly.com/documentation/reference/api/purging/.
type fastly struct{ o Options }

func newFastly(o Options) (edge.Purger, error) { return fastly{o}, nil }

// Limits implements [edge.Purger]: 256 keys a call, 100,000 purges an hour.
func (f fastly) Limits() edge.Limits {
	return edge.Limits{Tags: 256, PerMinute: f.o.perMinute(1600), Soft: true}
}

// Purge implements [edge.Purger].
func (f fastly) Purge(ctx context.Context, tags []string, soft bool) (string, error) {
	body, err := json.Marshal(map[string][]string{"surrogate_keys": tags})
	if err != nil {
		return "", err
	}
	r, err := http.NewRequest(http.MethodPost, f.o.base("https://api.fastly.com")+"/service/"+f.o.Zone+"/purge", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Fastly-Key", f.o.Token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	if soft {
		r.Header.Set("Fastly-Soft-Purge", "1")
	}
	answer, err := call(ctx, r)
	if err != nil {
		return "", err
	}
	var ids map[string]string // a purge for each key
	if err := json.Unmarshal(answer, &ids); err != nil {
		return "", fmt.Errorf("fastly: its answer is not what it should be: %w", err)
	}
	return ids[tags[0]], nil
}

// Done implements [edge.Purger]: Fastly has purged when it answers.
func (fastly) Done(context.Context, string) (bool, error) { return true, nil }
