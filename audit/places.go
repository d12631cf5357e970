package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/forebay-cache/forebay/shared"
)

// A Node is the admin listener of a node.
type Node struct {
	Title string // as people know it
	Base  string // URL of its admin listener
	Token string
}

var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

const (
	// nodeDoubt covers what a node and the log differ by in time.
	nodeDoubt = 300 * time.Millisecond
	// edgeDoubt: ages are told in whole seconds.
	edgeDoubt  = 1500 * time.Millisecond
	maxAnswer  = 4 << 20
	oldestOnly = "3"
)

// Name implements [Place].
func (n Node) Name() string { return n.Title }

// Tier implements [Place].
func (n Node) Tier() string { return "node" }

// Holds implements [Place]: the near tier says how old what it would serve is.
func (n Node) Holds(ctx context.Context, t shared.Target) (string, time.Duration, time.Duration, bool, error) {
	query := url.Values{"sort": {"age"}, "limit": {oldestOnly}}
	if t.Kind != shared.KindAll {
		query.Set(t.Kind.String(), t.Name)
	}
	var got struct {
		Entries []struct {
			Key  string
			Age  float64 `json:"age_seconds"`
			Took float64 `json:"took_ms"`
		}
	}
	if err := ask(ctx, n.Base+"/api/entries?"+query.Encode(), n.Token, &got); err != nil {
		return "", 0, 0, false, err
	}
	what, oldest := "", time.Duration(-1)
	for _, e := range got.Entries {
		if age := time.Duration(e.Age*float64(time.Second)) + time.Duration(e.Took*float64(time.Millisecond)); age > oldest {
			what, oldest = e.Key, age
		}
	}
	return what, oldest, nodeDoubt, oldest >= 0, nil
}

func ask(ctx context.Context, url, token string, out any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return json.Unmarshal(body, out)
}

// An Edge is a URL as clients fetch it, through whatever stands before the gateway. It is safe for concurrent use.
type Edge struct {
	url string
	of  Node // says which class, key and tags the URL has

	mu     sync.Mutex // guards stored
	stored []stored   // of it, when there was something last
}

// NewEdge returns a URL whose class, keys and tags a node knows.
func NewEdge(url string, of Node) *Edge { return &Edge{url: url, of: of} }

// Name implements [Place].
func (e *Edge) Name() string { return e.url }

// Tier implements [Place].
func (e *Edge) Tier() string { return "edge" }

// Holds implements [Place]: the answer says how old it is (RFC 9111, section 5.1). One that does not comes from no cache.
func (e *Edge) Holds(ctx context.Context, t shared.Target) (string, time.Duration, time.Duration, bool, error) {
	covered, err := e.covered(ctx, t)
	if err != nil || !covered {
		return "", 0, 0, false, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url, nil)
	if err != nil {
		return "", 0, 0, false, err
	}
	r.Header.Set("User-Agent", "forebay-audit")
	res, err := client.Do(r)
	if err != nil {
		return "", 0, 0, false, err
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	seconds, err := strconv.Atoi(res.Header.Get("Age"))
	if err != nil {
		return "", 0, 0, false, nil
	}
	return e.url, time.Duration(seconds) * time.Second, edgeDoubt, true, nil
}

// covered reports whether a target reaches the URL, by what the node stored of it last.
func (e *Edge) covered(ctx context.Context, t shared.Target) (bool, error) {
	var got struct{ Entries []stored }
	if err := ask(ctx, e.of.Base+"/api/entries?"+url.Values{"url": {e.url}, "limit": {"20"}}.Encode(), e.of.Token, &got); err != nil {
		return false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(got.Entries) > 0 {
		e.stored = got.Entries
	}
	return t.Kind == shared.KindAll || slices.ContainsFunc(e.stored, func(s stored) bool {
		switch t.Kind {
		case shared.KindClass:
			return s.Class == t.Name
		case shared.KindKey:
			return s.Key == t.Name
		case shared.KindPattern:
			return shared.MatchPattern(t.Name, s.Key)
		}
		return slices.Contains(s.Tags, t.Name)
	}), nil
}

// stored is a variant of a URL as a node has it.
type stored struct {
	Class, Key string
	Tags       []string
}

// Look learns which tags the URL has, before anything of it is invalidated.
func (e *Edge) Look(ctx context.Context) error {
	if _, _, _, _, err := e.Holds(ctx, shared.Target{Kind: shared.KindAll}); err != nil {
		return err
	}
	_, err := e.covered(ctx, shared.Target{Kind: shared.KindAll})
	return err
}
