package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/forebay-cache/forebay"
)

// An Invalidation names one thing, and how far to go.
type Invalidation struct {
	Key     *string `json:"key,omitempty" doc:"One entry, by its full key"`
	Tag     *string `json:"tag,omitempty"`
	Class   *string `json:"class,omitempty"`
	Pattern *string `json:"pattern,omitempty" doc:"'*' stands for any run of characters"`
	URL     *string `json:"url,omitempty" doc:"What the gateway has stored of one URL, all variants and callers"`
	All     *bool   `json:"all,omitempty"`
	Mode    string  `json:"mode,omitempty" doc:"remove (the default), or expire: what is stored may still be served while it is loaded again; any other is refused"`
}

// targetOf returns the one thing that is named.
func (a *Admin) targetOf(i Invalidation) (forebay.Target, error) {
	tag := i.Tag
	if i.URL != nil {
		if i.Tag != nil {
			return forebay.Target{}, errNotOne
		}
		of, err := a.urlTag(*i.URL)
		if err != nil {
			return forebay.Target{}, err
		}
		tag = &of
	}
	t, err := oneTarget(i.Key, tag, i.Class, i.Pattern, i.All != nil && *i.All)
	if err == nil && t == nil {
		err = errNotOne
	}
	if err != nil {
		return forebay.Target{}, err
	}
	return *t, nil
}

// optional is a name that may be missing.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

var errNotOne = huma.Error422UnprocessableEntity(`name exactly one of "key", "tag", "class", "pattern", "url" and "all": true`)

// oneTarget returns the target that is named; nil if none is.
func oneTarget(key, tag, class, pattern *string, all bool) (*forebay.Target, error) {
	var named []forebay.Target
	for _, n := range []struct {
		name   *string
		target func(string) forebay.Target
	}{{key, forebay.Key}, {tag, forebay.Tag}, {class, forebay.InClass}, {pattern, forebay.Pattern}} {
		if n.name != nil {
			named = append(named, n.target(*n.name))
		}
	}
	if all {
		named = append(named, forebay.Everything())
	}
	switch len(named) {
	case 0:
		return nil, nil
	case 1:
		return &named[0], nil
	}
	return nil, errNotOne
}

// A Receipt is what became of an invalidation.
type Receipt struct {
	ID       string `json:"id,omitempty" doc:"Its place in the log"`
	Deferred bool   `json:"deferred,omitempty" doc:"It counts on this node, and everywhere once the log can be reached"`
	Entries  int    `json:"entries" doc:"That it covered in this node's near tier"`
	Bytes    uint64 `json:"bytes" doc:"Of those"`
	Nodes    int    `json:"nodes" doc:"That this node hears, itself included: they have it with their next look at the log"`
}

type invalidated struct {
	Status int
	Body   Receipt
}

func (a *Admin) invalidate(ctx context.Context, in *answer[Invalidation]) (*invalidated, error) {
	target, err := a.targetOf(in.Body)
	if err != nil {
		return nil, err
	}
	entries, bytes := a.covered(target)
	do := a.cache.Invalidate
	switch in.Body.Mode {
	case "", "remove":
	case "expire":
		do = a.cache.Expire
	default:
		return nil, huma.Error422UnprocessableEntity("mode: " + in.Body.Mode + " is neither remove nor expire")
	}
	receipt, err := do(ctx, target)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	out := &invalidated{Status: http.StatusOK, Body: Receipt{ID: receipt.ID.String(), Entries: entries, Bytes: bytes, Nodes: len(a.cache.Stats().Nodes)}}
	if receipt.Deferred {
		out.Status, out.Body.ID, out.Body.Deferred = http.StatusAccepted, "", true
	}
	a.audit(ctx, Item{Text: "invalidated", Target: target.String(), covers: reachOf(target), Mode: in.Body.Mode, Receipt: out.Body.ID, Deferred: receipt.Deferred})
	return out, nil
}

// covered is what a target covers in the near tier.
func (a *Admin) covered(t forebay.Target) (entries int, bytes uint64) {
	for e := range a.cache.Entries() {
		if e.Matches(t) {
			entries++
			bytes += uint64(e.Bytes)
		}
	}
	return entries, bytes
}
